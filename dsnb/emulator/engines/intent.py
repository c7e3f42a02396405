"""Which of the offered tools a message asks for, and how often."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from dsnb.emulator.engines.arguments import arguments
from dsnb.emulator.engines.mentions import Mentions, enumeration
from dsnb.emulator.engines.words import stem, word_list

_FORBIDDEN = re.compile(
    r"\b(?:do not|don't|never|without)\s+(?:call|calling|use|using|invoke|invoking|run|running)\b(?P<what>[^.!?\n]*)",
    re.IGNORECASE,
)
_ALL_TOOLS = re.compile(
    r"^\s*(?:(?:any|a|the|your|these|those)\s+)*(?:\w+\s+)?(?:tools?|functions?)\b|^\s*(?:any(?:thing)?|them|it)?\s*$",
    re.IGNORECASE,
)
_ORDER = re.compile(r"\b(?:call|use|invoke)\b(?P<what>[^.!?\n]*)", re.IGNORECASE)
_TIMES = re.compile(
    r"\b(?:(?P<digits>\d+)|(?P<word>two|three|four|five|six|seven|eight|nine|ten))\s+times\b|\b(?P<adverb>twice|thrice)\b",
    re.IGNORECASE,
)
_NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COUNTS = {word: number for number, word in enumerate(_NUMBERS, 2)} | {"twice": 2, "thrice": 3}
_MOST_CALLS = 16  # nobody means more, and a reply should stay readable


@dataclass(frozen=True, slots=True)
class Call:
    """Hold one call that the message asks for."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Tool:
    name: str
    schema: object
    words: frozenset[str]
    description: frozenset[str]


def calls(text: str, tools: Sequence[Mapping[str, Any]], *, forced: bool, instructions: str = "") -> list[Call]:
    """Return the calls that ``text`` asks for, in the order of its words; ``forced`` makes at least one.

    Where the text names no tool, one that the ``instructions`` (the system message) order by its full name is called.
    """
    offered = [_tool(tool["function"]) for tool in tools if isinstance(tool.get("function"), Mapping)]
    asked = _TIMES.sub(" ", _FORBIDDEN.sub(" ", text))
    suppressed = not forced and _suppressed(text, offered)
    named = [] if suppressed else _named(asked, offered) or _ordered(instructions, offered)
    if not named and forced and offered:
        named = offered[:1]
    if not named:
        return []
    times = _times(text) if len(named) == 1 else 1
    besides = tuple(tool.name for tool in offered)
    found = [
        Call(tool.name, arguments(tool.schema, Mentions(part, besides=besides)))
        for tool, segment in zip(named, _segments(asked, named), strict=True)
        for part in (_each(segment, tool) if len(named) == times == 1 else [segment])
    ]
    return (found * times)[:_MOST_CALLS]


def _tool(function: Mapping[str, Any]) -> _Tool:
    name = str(function.get("name", ""))
    parts = frozenset(map(stem, re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)))
    # A tool whose whole name is generic ("search") is told by exactly those words.
    distinctive = (parts - _generic()) or parts
    description = frozenset(map(stem, re.findall(r"[^\W\d_]{3,}", str(function.get("description") or ""))))
    return _Tool(name, function.get("parameters"), distinctive, description - _generic())


def _named(text: str, tools: Sequence[_Tool]) -> list[_Tool]:
    said = {stem(word) for word in re.findall(r"[^\W\d_]+", text)}
    named = [tool for tool in tools if _position(text, tool.name) is not None]
    if named:
        # Beside full names only a tool counts that the message names by all its words, none of them another's.
        rest = said.difference(*(tool.words for tool in named))
        named += [tool for tool in tools if tool not in named and tool.words and tool.words <= rest]
    else:
        matched = {tool.name: tool.words & said for tool in tools}
        named = [
            tool
            for tool in tools
            if matched[tool.name] and not any(_better(other, tool, matched) for other in tools if other is not tool)
        ]
    if named:
        return sorted(named, key=lambda tool: _place(text, tool))
    # The weaker sign: two words of a description.
    described = [(len(tool.description & said), tool) for tool in tools]
    most = max((count for count, _ in described), default=0)
    return [tool for count, tool in described if count == most][:1] if most >= 2 else []


def _ordered(instructions: str, tools: Sequence[_Tool]) -> list[_Tool]:
    """Return the tool that the system message tells to call or use, by its full name."""
    orders = [match["what"] for match in _ORDER.finditer(_FORBIDDEN.sub(" ", instructions))]
    return [tool for tool in tools if any(_position(order, tool.name) is not None for order in orders)][:1]


def _better(other: _Tool, tool: _Tool, matched: Mapping[str, frozenset[str]]) -> bool:
    """Return whether the message fits ``other`` so much better that it cannot mean ``tool`` as well."""
    if matched[tool.name] < matched[other.name]:
        return True
    return matched[tool.name] == matched[other.name] and len(other.words) < len(tool.words)


def _position(text: str, name: str) -> int | None:
    """Return where the full name stands, in any spelling of its gaps (``get_weather``, ``get weather``)."""
    if not name:
        return None
    spelled = re.sub(r"(?:\\?[-_])+", r"[\\s_-]?", re.escape(name))
    match = re.search(rf"(?<![\w-]){spelled}(?![\w-]|\(s\))", text, re.IGNORECASE)
    return match.start() if match else None


def _place(text: str, tool: _Tool) -> int:
    """Return where the message names ``tool``, by its full name or by the first of its words."""
    position = _position(text, tool.name)
    if position is not None:
        return position
    return next((word.start() for word in re.finditer(r"[^\W\d_]+", text) if stem(word[0]) in tool.words), 0)


def _suppressed(text: str, tools: Sequence[_Tool]) -> bool:
    """Return whether the message forbids every tool; forbidding a named one only takes its name out."""
    return any(
        _ALL_TOOLS.search(match["what"])
        and not any(_position(match["what"], tool.name) is not None for tool in tools)
        and "other" not in match["what"].casefold()
        and "again" not in match["what"].casefold()
        for match in _FORBIDDEN.finditer(text)
    )


def _segments(text: str, named: Sequence[_Tool]) -> list[str]:
    """Return for each tool the words after its name and then the whole message, so that near values come first."""
    if len(named) == 1:
        return [text]
    places = [_place(text, tool) for tool in named]
    return [f"{text[start:end]}\n{text}" for start, end in zip(places, [*places[1:], len(text)], strict=True)]


def _each(text: str, tool: _Tool) -> list[str]:
    """Return the message once for each member of a list such as ``Paris, Rome and Oslo``, where the tool takes one."""
    whole, members = enumeration(text)
    if len(members) < 2:
        return [text]
    texts = [text.replace(whole, member, 1) for member in members]
    filled = [str(arguments(tool.schema, Mentions(part, besides=(tool.name,)))) for part in texts]
    alone = all(member in found for member, found in zip(members, filled, strict=True))
    together = str(arguments(tool.schema, Mentions(text, besides=(tool.name,))))
    return texts if alone and not all(member in together for member in members) else [text]


def _times(text: str) -> int:
    match = _TIMES.search(text)
    if not match or re.search(r"\b(?:not|never|n't)\b[^.!?]*$", text[: match.start()], re.IGNORECASE):
        return 1
    count = int(match["digits"]) if match["digits"] else _COUNTS[(match["word"] or match["adverb"]).casefold()]
    return max(1, min(count, _MOST_CALLS))


@cache
def _generic() -> frozenset[str]:
    return frozenset(map(stem, word_list("generic")))
