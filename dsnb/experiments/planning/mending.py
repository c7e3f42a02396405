"""The same two requests, written so that they share more: what changes stands behind what stays."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from dsnb.experiments.planning.asked import Asked, Frame
from dsnb.experiments.planning.wording import common

_PLACE: Final = re.compile(r"messages\[(\d+)\]\.content")
_SENTENCE_END: Final = re.compile(r"[.!?。！？](?=\s|$)")


@dataclass(frozen=True, slots=True)
class Mended:
    """Hold two requests as they might have been written, and what was done to them."""

    before: Asked
    after: Asked
    words: str


def mended(cause: str, before: Asked, after: Asked, where: str) -> Mended | None:
    """Return the requests mended; None where nothing is known that helps."""
    if cause in {"timestamp", "id", "number"} and (place := _PLACE.fullmatch(where)):
        return _moved(before, after, int(place[1]))
    if cause in {"tool_order", "tool_keys"}:
        return _kept(before, after, "tools")
    if cause in {"messages_reordered", "passages", "json_keys", "whitespace", "line_endings", "unicode", "letter_case"}:
        return _repeated(before, after)
    return None


def _moved(before: Asked, after: Asked, index: int) -> Mended | None:
    """Move the sentence that changes to the end of the last question."""
    texts = [asked.messages[index].get("content") for asked in (before, after)]
    one, other = texts
    if not isinstance(one, str) or not isinstance(other, str):
        return None
    head = common(one, other)
    found = [_statement(text, min(head, len(text) - 1)) for text in (one, other)]
    requests = [
        _with_moved(asked, index, begin, end) for asked, (begin, end) in zip((before, after), found, strict=True)
    ]
    if requests[0] is None or requests[1] is None:
        return None
    return Mended(requests[0], requests[1], "Move what changes to the end of the last question")


def _with_moved(asked: Asked, index: int, begin: int, end: int) -> Asked | None:
    messages = [dict(message) for message in asked.messages]
    last = max((place for place, message in enumerate(messages) if message.get("role") == "user"), default=-1)
    text = messages[index]["content"]
    moved, left = text[begin:end].strip(), (text[:begin] + text[end:]).strip()
    if last < index or not isinstance(messages[last].get("content"), str) or not moved:
        return None
    if last == index and not text[end:].strip():
        return None  # it stands at the end already
    messages[index]["content"] = left
    messages[last]["content"] = f"{messages[last]['content']}\n\n{moved}".strip()
    return replace(asked, messages=messages, reply=None)


def _statement(text: str, place: int) -> tuple[int, int]:
    """Return the line around a place, or the sentence where the line is long or all there is."""
    begin, end = text.rfind("\n", 0, place) + 1, text.find("\n", place)
    end = len(text) if end < 0 else end + 1
    if end - begin <= 200 and end - begin < len(text):  # a line of more than 200 characters is a paragraph
        return begin, end
    ends = [found.end() for found in _SENTENCE_END.finditer(text, begin, end)]
    return max((at for at in ends if at <= place), default=begin), min((at for at in ends if at > place), default=end)


def _kept(before: Asked, after: Asked, key: str) -> Mended:
    """Write the later request's tools as the earlier one's were written."""
    frame = after.frame
    body: Mapping[str, Any] = {**frame.body, key: before.frame.body[key]}
    kept: Frame = replace(frame, body=body, settings=replace(frame.settings, tools=before.frame.settings.tools))
    return Mended(before, replace(after, frame=kept), "Write the tools in one order, with their keys in one order")


def _repeated(before: Asked, after: Asked) -> Mended:
    """Write what is the same in other words as it was written before; what comes after it stays."""
    more: Callable[[int], bool] = lambda place: place >= len(before.messages)  # noqa: E731 — one line
    messages = [*before.messages, *(message for place, message in enumerate(after.messages) if more(place))]
    return Mended(before, replace(after, messages=messages), "Write what stays the same as it was written before")
