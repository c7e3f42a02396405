"""The messages of a request, put into one shape for every template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dsnb.contract.templates.segment import IMAGE, Segment

_ROLES = frozenset({"system", "user", "assistant", "tool", "latest_reminder"})


@dataclass(frozen=True, slots=True)
class Call:
    """Hold one tool call: the function's name and its arguments as JSON text."""

    name: str
    arguments: str


class Turn(NamedTuple):
    """Hold one message; ``where`` is its path.

    ``answers`` is the id of the call that a tool result belongs to; ``contentless`` says that there is no ``content``
    key at all.
    """

    role: str
    where: str
    content: tuple[Segment, ...]
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    call_ids: tuple[str, ...] = ()
    answers: str = ""
    prefix: bool = False
    contentless: bool = False


def turns(messages: object) -> tuple[Turn, ...]:
    """Return the messages as turns, tool results in the order of the calls they answer.

    Reading never fails: what is not a message is skipped and a role that the API does not know reads as ``user``
    (``requests.check`` is what tells the user so).
    """
    return tuple(_in_call_order([_turn(message, f"messages[{index}]") for index, message in _mappings(messages)]))


def calls(value: object) -> tuple[Call, ...]:
    """Return the tool calls of a message or reply, in the API's own form."""
    functions = [call.get("function") for _, call in _mappings(value)]
    return tuple(
        Call(_text(function.get("name")), _text(function.get("arguments")))
        for function in functions
        if isinstance(function, Mapping)
    )


def _turn(message: Mapping[str, Any], where: str) -> Turn:
    role, content = message.get("role"), message.get("content")
    called = message.get("tool_calls") if role == "assistant" else None
    return Turn(
        role=role if isinstance(role, str) and role in _ROLES else "user",
        where=where,
        content=_content(content, f"{where}.content") if content else (),
        reasoning=_text(message.get("reasoning_content")),
        calls=calls(called) if called else (),
        call_ids=tuple(_text(call.get("id")) for _, call in _mappings(called)) if called else (),
        answers=_text(message.get("tool_call_id")),
        prefix=message.get("prefix") is True,
        contentless="content" not in message,
    )


def _content(value: object, where: str) -> tuple[Segment, ...]:
    """Return the text of a message; the parts of a list are joined by a blank line (public encoders)."""
    if isinstance(value, str):
        return (Segment(value, where),)
    return tuple(part for part in _parts(value, where) if part.text)


def _parts(value: object, where: str) -> Iterator[Segment]:
    for position, (_, part) in enumerate(_mappings(value)):
        if position:
            yield Segment("\n\n", where)
        if part.get("type") == "text":
            yield Segment(_text(part.get("text")), where)
        else:
            yield Segment(IMAGE, where, control=True)


def _in_call_order(read: list[Turn]) -> list[Turn]:
    """Sort the tool results of each block by the calls before it, as the public encoders of V4 and V4.1 do."""
    if all(turn.role != "tool" for turn in read):
        return read
    order: dict[str, int] = {}
    start = 0
    for end, turn in enumerate([*read, Turn("end", "", ())]):
        if turn.role in ("user", "tool"):
            continue
        slots = [index for index in range(start, end) if read[index].role == "tool"]
        results = sorted((read[index] for index in slots), key=lambda result: order.get(result.answers, 0))
        for slot, result in zip(slots, results, strict=True):
            read[slot] = result
        if turn.role == "assistant" and turn.calls:
            order = {name: position for position, name in enumerate(turn.call_ids)}
        start = end + 1
    return read


def _mappings(value: object) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the objects in a list with their places; nothing if it is no list."""
    rows = value if isinstance(value, (list, tuple)) else ()
    return [(index, row) for index, row in enumerate(rows) if isinstance(row, (dict, Mapping))]  # the first is quick


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
