"""A text that a simple regular expression accepts: literals, classes, groups, alternatives and counts."""

from __future__ import annotations

import re

_CLASSES = {"d": "0", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a", "b": "", "B": "", "n": "\n", "t": "\t"}
_COUNT = re.compile(r"\{(\d+)(,\d*)?\}|[*+?]")
_LONGEST = 100  # repeats; more than any identifier has


def sample(pattern: str) -> str | None:
    """Return a text that ``pattern`` accepts, or None where it is beyond this reader."""
    try:
        text, rest = _alternatives(pattern)
        return text if not rest and re.search(pattern, text) else None
    except (re.error, IndexError, ValueError, RecursionError, OverflowError, FutureWarning):
        return None


def _alternatives(pattern: str) -> tuple[str, str]:
    """Return the first alternative's text and what follows the group."""
    text, pattern = _sequence(pattern)
    while pattern[:1] == "|":
        _, pattern = _sequence(pattern[1:])
    return text, pattern


def _sequence(pattern: str) -> tuple[str, str]:
    text = ""
    while pattern and pattern[0] not in "|)":
        atom, pattern = _atom(pattern)
        count = _COUNT.match(pattern)
        if count:
            pattern = pattern[count.end() :].removeprefix("?")
            repeat = int(count[1]) if count[1] else 1 if count[0] == "+" else 0
            atom *= min(repeat, _LONGEST)
        text += atom
    return text, pattern


def _atom(pattern: str) -> tuple[str, str]:
    head, rest = pattern[0], pattern[1:]
    if head in "^$":
        return "", rest
    if head == ".":
        return "a", rest
    if head == "\\":
        return _CLASSES.get(rest[0], rest[0]), rest[1:]
    if head == "[":
        return _class(rest)
    if head == "(":
        inner = re.sub(r"^\?(?:P<\w+>|:)", "", rest)
        text, after = _alternatives(inner)
        return text, after.removeprefix(")")
    return head, rest


def _class(pattern: str) -> tuple[str, str]:
    """Return the first member of a class; a negated one is met by the first ordinary character outside it."""
    end = pattern.index("]", 1)
    members, rest = pattern[:end], pattern[end + 1 :]
    if members[0] == "^":
        expression = re.compile(f"[{members}]")
        return next(char for char in "a0A-_ ./" if expression.match(char)), rest
    return (_CLASSES.get(members[1], members[1]) if members[0] == "\\" else members[0]), rest
