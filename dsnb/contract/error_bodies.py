"""The API's error answers, byte by byte, and what each status means to a client.

The words stand in ``data/errors.toml``, one row an error, with their source and confidence; a new error is a new row.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """Hold an error answer as it crosses the wire; ``content_type`` is None where the header is absent."""

    status: int
    content_type: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """Describe one error of the API: how it is answered, and how a user avoids it.

    ``message`` and ``mend`` may hold words in braces that ``error`` fills in. ``rule`` is the id of the finding that
    foretells the error, empty for errors that no request foretells.
    """

    name: str
    message: str
    status: int = 400
    content_type: str = "application/octet-stream"
    plain: bool = False
    type: str = "invalid_request_error"
    code: str = "invalid_request_error"
    rule: str = ""
    mend: str = ""
    source: str = ""
    confidence: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """Say what a status means, whether the same request may succeed later, and what to do next."""

    meaning: str
    retry: bool
    next: str


@cache
def _data() -> Mapping[str, Any]:
    text = resources.files("dsnb.contract").joinpath("data", "errors.toml").read_text("utf-8")
    return MappingProxyType(tomllib.loads(text))


@cache
def rows() -> Mapping[str, ErrorRow]:
    """Return every error by its name."""
    return MappingProxyType({name: ErrorRow(name=name, **row) for name, row in _data()["errors"].items()})


def error(name: str, /, **fields: object) -> ErrorBody:
    """Return the answer of the error ``name`` with its words filled in.

    Raises KeyError for a name or a field that ``data/errors.toml`` does not know.
    """
    row = rows()[name]
    return _body(row, row.message.format_map(fields), row.status, row.content_type)


def invalid_key(key: str) -> ErrorBody:
    """Return the answer to a wrong key: it shows the last four characters, a key no longer than that whole."""
    return error("key_invalid", key=key if len(key) <= 4 else f"****{key[-4:]}")


def misshapen(serde: str, status: int, content_type: str) -> ErrorBody:
    """Return the answer to a body of the wrong shape; status and content type depend on the contract's date."""
    row = rows()["body_misshapen"]
    return _body(row, row.message.format(serde=serde), status, content_type)


def advice(status: int | None, type: str | None = None) -> Advice:  # noqa: A002 — the API's own name for the field
    """Return what an error of this status and ``type`` means to a client.

    A status that is not listed counts as its class: other 5xx as 500, other 4xx as 400. An error inside a stream has
    no status and is judged by its type alone, as a failure of the server where that says nothing.
    """
    if status is None:
        status = next((row.status for row in rows().values() if row.type == type and row.code == type), 500)
    table = _data()["advice"]
    known = table.get(str(status)) or table["400" if 400 <= status < 500 else "500"]
    return Advice(**known)


def _body(row: ErrorRow, message: str, status: int, content_type: str) -> ErrorBody:
    if row.plain or content_type.startswith("text/plain"):
        return ErrorBody(status, content_type or None, message.encode("utf-8", "replace"))
    content = {"error": {"message": message, "type": row.type, "param": None, "code": row.code}}
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return ErrorBody(status, content_type or None, text.encode("utf-8", "replace"))
