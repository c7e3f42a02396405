"""What became of a text: the kind of change that tells one version from another."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final
from unicodedata import normalize

_MONTH: Final = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_CLOCK: Final = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s?[AaPp][Mm])?(?:\s?(?:Z|UTC|GMT|[+-]\d{2}:?\d{2}))?"
_TIME: Final = re.compile(
    rf"\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}(?:[T ,]+{_CLOCK})?"
    rf"|\d{{1,2}}[-/.]\d{{1,2}}[-/.]\d{{2,4}}(?:[T ,]+{_CLOCK})?"
    rf"|(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\s+)?(?:\d{{1,2}}\.?\s+{_MONTH}|{_MONTH}\s+\d{{1,2}})(?:,?\s+\d{{4}})?"
    rf"|\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b|\d{{4}}年\d{{1,2}}月\d{{1,2}}日"
    rf"|{_CLOCK}|\b1[5-9]\d{{8}}(?:\d{{3}})?(?:\.\d+)?\b"  # seconds or milliseconds since 1970, from 2017 to 2033
)
_ID: Final = re.compile(
    r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"
    r"|\b(?=[A-Za-z_-]*\d)(?=[\d_-]*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_-]{6,}\b"  # letters and digits mixed
)
_NUMBER: Final = re.compile(r"[-+]?\d[\d.,_]*(?:[eE][-+]?\d+)?%?")
_AROUND: Final = 120  # characters on both sides in which a changed word is whole
_WORDS: Final = re.compile(r"\w+|\s+|[^\w\s]")
_SHOWN: Final = 240  # characters of each version that are shown
_BEFORE: Final = 72  # characters before the change that are shown


def kind(one: str, other: str) -> str:
    """Return what kind of change leads from a text to another one; ``"edited"`` where it is none of the known."""
    if name := _order(one, other):
        return name
    mine, theirs = middle(one, other)
    simple = {
        "line_endings": lambda text: text.replace("\r\n", "\n").replace("\r", "\n"),
        "unicode": lambda text: normalize("NFKC", text),
        "whitespace": lambda text: "".join(text.split()),
        "letter_case": str.casefold,
    }
    for name, same in simple.items():
        if same(mine) == same(theirs):
            return name
    if name := _json_kind(one, other):
        return name
    for name, pattern in (("timestamp", _TIME), ("id", _ID), ("number", _NUMBER)):
        if pattern.sub("\0", mine) == pattern.sub("\0", theirs):
            return name
    return "grown" if other.startswith(one) else "edited"


def middle(one: str, other: str) -> tuple[str, str]:
    """Return what lies between the common beginning and the common end of two texts, and a little on both sides."""
    head = common(one, other)
    tail = min(common(one[::-1], other[::-1]), len(one) - head, len(other) - head)
    begin = max(head - _AROUND, 0)
    ends = [len(text) - max(tail - _AROUND, 0) for text in (one, other)]
    return one[begin : ends[0]], other[begin : ends[1]]


def common(one: str, other: str) -> int:
    """Return how many characters two texts begin with in common."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        half = (low + high + 1) // 2
        low, high = (half, high) if one[low:half] == other[low:half] else (low, half - 1)
    return low


def _json_kind(one: str, other: str) -> str:
    """Say whether two texts are, or hold, the same JSON written otherwise."""
    spans = []
    for text in (one, other):
        starts = [place for place in (text.find("{"), text.find("[")) if place >= 0]
        begin, end = min(starts, default=0), max(text.rfind("}"), text.rfind("]")) + 1
        try:
            spans.append((text[:begin], json.loads(text[begin:end]), text[end:]))
        except (ValueError, RecursionError):
            return ""
    return "json_keys" if spans[0] == spans[1] else ""


def same_json(one: Any, other: Any) -> bool:
    """Whether two texts are the same JSON, however it is written."""
    try:
        return bool(json.loads(one) == json.loads(other))
    except (ValueError, TypeError, RecursionError):
        return False


def _order(one: str, other: str) -> str:
    """Say whether a text has the same lines, or the same paragraphs, in another order."""
    if len(one) != len(other):
        return ""
    for gap in ("\n\n", "\n"):
        parts = [[part.strip() for part in text.split(gap)] for text in (one, other)]
        if len(parts[0]) > 1 and sorted(parts[0]) == sorted(parts[1]):
            return "passages"
    return ""


@dataclass(frozen=True, slots=True)
class Change:
    """Hold a change as pieces: each an operation (``" "`` same, ``"-"`` gone, ``"+"`` new) and a text."""

    pieces: tuple[tuple[str, str], ...]
    cut: tuple[bool, bool]  # whether something precedes, and follows

    @classmethod
    def between(cls, one: str, other: str, place: int) -> Change:
        """Compare two texts around the character at which they part."""
        begin = max(place - _BEFORE, 0)
        mine, theirs = one[begin : place + _SHOWN], other[begin : place + _SHOWN]
        if len(one) - place <= _SHOWN or len(other) - place <= _SHOWN:
            return cls(_pieces(mine, theirs), (begin > 0, max(len(one), len(other)) - place > _SHOWN))
        return cls(_pieces(mine, theirs), (begin > 0, True))


def _pieces(one: str, other: str) -> tuple[tuple[str, str], ...]:
    mine, theirs = _WORDS.findall(one), _WORDS.findall(other)
    found: list[tuple[str, str]] = []
    for what, i, j, k, m in SequenceMatcher(None, mine, theirs, autojunk=False).get_opcodes():
        if what == "equal":
            found.append((" ", "".join(mine[i:j])))
            continue
        found += [pair for pair in (("-", "".join(mine[i:j])), ("+", "".join(theirs[k:m]))) if pair[1]]
    return tuple(found)
