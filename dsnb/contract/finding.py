"""What is wrong with a request, or worth knowing about it: the result of `requests.check`.

The words stand in ``data/errors.toml`` (what the API rejects) and ``data/notices.toml`` (what it ignores or bills).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from dsnb.contract.error_bodies import ErrorBody, error, rows


@dataclass(frozen=True, slots=True)
class Finding:
    """Tell one thing about a request before it is sent.

    ``rule`` is a stable id such as ``"max_tokens.range"``; ``effect`` is ``"rejected"``, ``"ignored"``, ``"billed"``,
    or ``"changed"`` where dsnb itself acts; ``where`` names the field. ``message`` is what the API would say (our
    words where it says nothing), ``mend`` what to do about it, ``error`` the API's answer where it rejects the
    request. ``confidence`` is H, M or L.
    """

    rule: str
    effect: str
    where: str
    message: str
    mend: str
    error: ErrorBody | None
    confidence: str


def rejected(name: str, where: str, /, **fields: object) -> Finding:
    """Return the finding that foretells the error ``name``."""
    row = rows()[name]
    return Finding(
        rule=row.rule,
        effect="rejected",
        where=where,
        message=row.message.format_map(fields),
        mend=row.mend.format_map({"where": where, **fields}),
        error=error(name, **fields),
        confidence=row.confidence,
    )


def noticed(name: str, where: str, /, **fields: object) -> Finding:
    """Return the finding that tells of something ignored, billed or changed."""
    row = notices()["notices"][name]
    words = {"where": where, **fields}
    return Finding(
        rule=row["rule"].format_map(words),
        effect=row["effect"],
        where=where,
        message=row["message"].format_map(words),
        mend=row["mend"].format_map(words),
        error=None,
        confidence=row["confidence"],
    )


def hint(message: str) -> str:
    """Return how to mend a field that serde complains about."""
    for row in notices()["hints"]:
        if re.search(row["pattern"], message):
            return str(row["mend"])
    field, _, complaint = message.partition(": ")
    expected = complaint.rpartition("expected ")[2].partition(" at line")[0]
    return f"Change {field}: it must be {expected}." if "expected " in complaint else f"Change {field or 'the body'}."


@cache
def notices() -> Mapping[str, Any]:
    """Return the tables of ``data/notices.toml``."""
    text = resources.files("dsnb.contract").joinpath("data", "notices.toml").read_text("utf-8")
    return MappingProxyType(tomllib.loads(text))
