"""JSON as a model writes it: read strictly, and what is wrong with it told in a place and a few words."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from dsnb.client.text import quote, well_formed

# DeepSeek's JSON mode sends none, other hosts do: one fence around the whole
_FENCE: Final = re.compile(r"(?P<ticks>`{3,}+|~{3,}+)[ \t]*+(?:json[c5]?)?+[ \t\r]*+\n", re.IGNORECASE)
_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")  # the escape of half a character
_SPACE: Final = " \t\r\n\ufeff"


class NotJson(ValueError):
    """Report text that is not one JSON value."""


def read(text: str) -> tuple[Any, str]:
    """Return the value that a text holds, and the text cleaned such that any parser reads the same from it.

    What JSON does not know or leaves open is refused: NaN and infinities, a key that stands twice, text behind the
    value. A byte order mark and one fence around the whole are taken off, a lone half of a surrogate pair becomes
    U+FFFD. Raises NotJson, whose words name the place by line and column.
    """
    text = well_formed(unfenced(text))
    value = _load(text)
    if _HALF.search(text):
        try:
            text = well_formed(json.dumps(value, ensure_ascii=False))
        except RecursionError:
            raise NotJson("it is nested too deep") from None
        value = _load(text)
    return value, text


def unfenced(text: str) -> str:
    """Return text without the blanks, the byte order mark and the one fence around it.

    The fence need not be closed: with ``stop=["```"]`` it never is.
    """
    text = text.strip(_SPACE)
    fence = _FENCE.match(text)
    return text if fence is None else text[fence.end() :].removesuffix(fence["ticks"]).strip(_SPACE)


def repeated(pairs: Sequence[tuple[str, Any]]) -> str | None:
    """Return the first key of an object that stands in it twice, None where none does; at linear cost."""
    counts = Counter(key for key, _ in pairs)
    return None if len(counts) == len(pairs) else next(key for key, count in counts.items() if count > 1)


def _load(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refused, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise NotJson(_told(error)) from None
    except NotJson:
        raise
    except RecursionError:
        raise NotJson("it is nested too deep") from None
    except ValueError:  # Python's guard against whole numbers that take forever to read
        raise NotJson("a number in it has too many digits") from None


def _told(error: json.JSONDecodeError) -> str:
    words = error.msg.removesuffix(" starting at").removesuffix(" at")
    words = "there is more after its end" if words == "Extra data" else f"{words[0].lower()}{words[1:]}"
    near = quote(error.doc[error.pos : error.pos + 200], 30)
    place = f"before {near!r}" if near else "where the text ends"
    return f"{words} (line {error.lineno}, column {error.colno}, {place})"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if (twice := repeated(pairs)) is not None:
        raise NotJson(f"the key {quote(twice, 40)!r} stands twice in one object")
    return dict(pairs)


def _refused(name: str) -> NoReturn:
    raise NotJson(f"{name} is no number in JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise NotJson(f"the number {quote(digits, 40)} is too large")
    return number
