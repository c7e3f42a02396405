"""The values that a message mentions: key=value pairs, lists, dates, numbers, quotations and names, each given once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import islice
from typing import Any

from dsnb.emulator.engines.words import word_list

_NUMBER = re.compile(r"(?<![\w.])-?\d[\d_]*(?:,\d{3})*(?:\.\d+)?(?!\w|\.\d)")
_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:?\d{2})?)?\b")
_QUOTED = re.compile(r"""`([^`]+)`|"((?:[^"\\]|\\.)+)"|“([^”]+)”|(?<!\w)'((?:[^'\\]|\\.)+)'(?!\w)""")
_NAME = re.compile(r"\b[A-Z][\w.&'-]*(?: (?:(?:de|of|the|van|von|la|del) )*[A-Z][\w.&'-]*)*")
_THING = re.compile(r"\b(?:in|for|of|at|about|near|from|to|on)\s+(?:the\s+)?([^\W\d_][\w-]*)")
_READ = 20_000  # characters; nobody puts an argument further into a message, and reading on takes its time
_TRIES = 20  # places at which a value, list or object may begin
_BARE = re.compile(r"[\w./@:-]*[\w/]")


class Mentions:
    """Find values in a message, in the order in which it mentions them."""

    def __init__(self, text: str, *, besides: tuple[str, ...] = ()) -> None:
        text = text[:_READ]
        self.text = text
        skipped = {word.casefold() for name in besides for word in (name, *_words(name))}
        dates = [match.span() for match in _DATE.finditer(text)]
        self._dates = [text[start:end] for start, end in dates]
        numbers = [m for m in _NUMBER.finditer(text) if not any(start <= m.start() < end for start, end in dates)]
        self._numbers = [match[0].replace("_", "") for match in numbers]
        quoted = [next(filter(None, match.groups())) for match in _QUOTED.finditer(text)]
        self._quoted = [value for value in quoted if value.casefold() not in skipped]
        self._names = [name for name in _names(text) if name.casefold() not in skipped]
        self._things = [m[1] for m in _THING.finditer(text) if m[1].casefold() not in word_list("ordinary") | skipped]

    def pair(self, key: str) -> Any:
        """Return what the message gives for ``key`` (``key=value``, ``key: value``, ``key "value"``), or None.

        JSON values come parsed, everything else as text.
        """
        spelled = r"[\s_-]?".join(map(re.escape, _words(key)))
        if not spelled:
            return None
        between = r"(\s*(?:=|:)\s*|\s+(?:is|of|to)\s+|\s+)"
        found = re.finditer(rf"(?<![\w-])[\"'`]?{spelled}[\"'`]?{between}", self.text, re.IGNORECASE)
        for match in islice(found, _TRIES):
            sign = match[1].strip()
            value = self._value(match.end(), separated=bool(sign), signed=sign in ("=", ":"))
            if value is not None:
                return value
        return None

    def number(self) -> str | None:
        """Return the next number, as it is written."""
        return _next(self._numbers)

    def numbers(self) -> list[str]:
        """Return all numbers that are left."""
        return _rest(self._numbers)

    def date(self) -> str | None:
        """Return the next date or time in ISO form."""
        return _next(self._dates)

    def quoted(self) -> str | None:
        """Return the next text in quotation marks."""
        return _next(self._quoted)

    def all_quoted(self) -> list[str]:
        """Return all quotations that are left."""
        return _rest(self._quoted)

    def name(self, fits: Callable[[str], object] = bool) -> str | None:
        """Return the next capitalised name that ``fits``."""
        return _next(self._names, fits)

    def names(self) -> list[str]:
        """Return all capitalised names that are left."""
        return _rest(self._names)

    def thing(self) -> str | None:
        """Return the next word after a preposition."""
        return _next(self._things)

    def word(self, fits: Callable[[str], object]) -> str | None:
        """Return the first word of the message that ``fits``."""
        return next(
            (word for word in re.findall(r"[^\s,;()\[\]{}\"'`“”]+", self.text) if fits(word.rstrip(".?!:"))), None
        )

    def structure(self, kind: type[list[Any] | dict[str, Any]]) -> Any:
        """Return the first JSON list or object in the message, or None."""
        for match in islice(re.finditer(r"\[" if kind is list else r"\{", self.text), _TRIES):
            value = _json(self.text, match.start())
            if isinstance(value, kind):
                return value
        return None

    def _value(self, start: int, *, separated: bool, signed: bool) -> Any:
        if self.text[start : start + 1] in ("[", "{"):
            return _json(self.text, start)
        for pattern in (_QUOTED, _DATE, _NUMBER):
            match = pattern.match(self.text, start)
            if match:
                return next((group for group in match.groups() if group), match[0])
        match = _BARE.match(self.text, start)
        # Without a sign between them, a word after the key is its value only where it looks like no ordinary word.
        if match and (separated or re.search(r"[\d_./@-]|^[A-Z]", match[0])):
            return match[0] if signed or match[0].casefold() not in word_list("ordinary") else None
        return None


def enumeration(text: str) -> tuple[str, list[str]]:
    """Return a list such as ``Paris, Rome and Oslo`` as it stands in ``text``, and its members, none without one."""
    item = rf"(?:{_NAME.pattern[2:]}|\"[^\"]+\"|`[^`]+`)"
    match = re.search(rf"(?<!\w){item}(?:, {item})*,? (?:and|or|&) {item}", text)
    if not match:
        return "", []
    members = [member.strip('"`') for member in re.split(r",? (?:and|or|&) |, ", match[0])]
    return match[0], members if not any(member.casefold() in word_list("ordinary") for member in members) else []


def _names(text: str) -> list[str]:
    """Return the capitalised names; a single word at the start of a sentence may be none, and comes last."""
    sure: list[str] = []
    unsure: list[str] = []
    for match in _NAME.finditer(text):
        words = match[0].rstrip(".'-").split(" ")
        first = re.search(r"(?:^|[.!?:\n])\s*$", text[: match.start()]) is not None
        while words and words[0].casefold() in word_list("ordinary"):
            words, first = words[1:], False
        if words and words[0][:1].isupper():
            (unsure if first and len(words) == 1 else sure).append(" ".join(words))
    return sure + unsure


def _words(key: str) -> list[str]:
    return re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", key)


def _json(text: str, start: int) -> Any:
    try:
        return json.JSONDecoder().raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        return _loose(text, start)


def _loose(text: str, start: int) -> Any:
    """Return what reads like a list or object without the quotation marks, such as ``[{name: plan, weight: 1}]``."""
    end = _closing(text, start)
    quoted = re.sub(r"(?<![\w\"'-])([A-Za-z_][\w-]*)(?=\s*[:,\]}])", r'"\1"', text[start:end].replace("'", '"'))
    words = re.sub(r'"(true|false|null)"', r"\1", quoted)
    try:
        return json.loads(words)
    except (ValueError, RecursionError):
        return None


def _closing(text: str, start: int) -> int:
    depth = 0
    for position in range(start, len(text)):
        depth += (text[position] in "[{") - (text[position] in "]}")
        if depth == 0:
            return position + 1
    return len(text)


def _next(found: list[str], fits: Callable[[str], object] = bool) -> str | None:
    for index, value in enumerate(found):
        if fits(value):
            return found.pop(index)
    return None


def _rest(found: list[str]) -> list[str]:
    rest, found[:] = found[:], []
    return rest
