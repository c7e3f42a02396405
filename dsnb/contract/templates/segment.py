"""A stretch of a prompt that comes from one place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from dsnb.errors import RequestError

BOS = "<｜begin▁of▁sentence｜>"
EOS = "<｜end▁of▁sentence｜>"
USER = "<｜User｜>"
ASSISTANT = "<｜Assistant｜>"
SYSTEM = "<｜System｜>"
REMINDER = "<｜latest_reminder｜>"
IMAGE = "<｜deepseek_image｜>"
THINK = "<think>"
END_THINK = "</think>"
DSML = "｜DSML｜"

_CONTROL = re.compile(f"(<｜[^｜<>]+｜>|{DSML}|{THINK}|{END_THINK})")


class Segment(NamedTuple):
    """Hold a stretch of the prompt and where it comes from.

    ``where`` is a path into the request (``"messages[2].content"``, ``"tools[0]"``) or a part of the template
    (``"start"``, ``"tools"``, ``"effort"``, ``"response_format"``, ``"generation"``). A ``control`` segment is exactly
    one special token; everything else is plain text, whatever it spells.
    """

    text: str
    where: str
    control: bool = False


Segments = Iterator[Segment]


def markup(text: str, where: str) -> Segments:
    """Yield a template's own wording, its special tokens apart from its text. Never for text from outside."""
    for position, part in enumerate(_CONTROL.split(text)):
        if part:
            yield Segment(part, where, control=position % 2 == 1)


def functions(tools: Iterable[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], str]]:
    """Return each tool's function and its path, without ``strict``, which never reaches the prompt (recorded)."""
    found: list[tuple[Mapping[str, Any], str]] = []
    for tool in tools:
        function = tool.get("function")
        sent = function if isinstance(function, Mapping) else {}
        kept = {key: value for key, value in sent.items() if key != "strict"}
        found.append((kept, f"tools[{kept.get('name', '')!r}]"))
    return found


def json_text(value: object, where: str, *, indent: int | None = None, compact: bool = False) -> str:
    """Write JSON as the templates do: keys in the order given, ``", "`` and ``": "`` unless ``compact``."""
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent, separators=(",", ":") if compact else None)
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(f"{where} cannot be written as JSON ({error}): use plain JSON values.") from error
