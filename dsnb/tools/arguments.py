"""The arguments of a call, as the model wrote them: read with suspicion, and answered in words that it can act on."""

from __future__ import annotations

import json
import math
from typing import Any, Final, NoReturn

from pydantic import TypeAdapter, ValidationError

from dsnb.client.json_text import repeated
from dsnb.tools.results import clean

_MOST_PROBLEMS: Final = 5  # a union in a list makes hundreds, and the first tell enough
_HALVES: Final = range(0xD800, 0xE000)


class BadArguments(Exception):
    """Report arguments that a tool cannot be called with; the message is for the model."""


def read(text: str, adapter: TypeAdapter[Any], *, empty: bool) -> Any:
    """Return what JSON text gives for the parameters that ``adapter`` knows; raise BadArguments.

    ``empty`` allows for no text at all, as some models write for a tool without parameters. Stricter than Python's
    json: no key twice, no NaN or infinity, no half characters.
    """
    if empty and not text.strip():
        text = "{}"
    _check(text)
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        raise BadArguments(_problems(error)) from None


def _check(text: str) -> None:
    try:
        found = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
        halved = "\\u" in text and _has_half(found)
    except json.JSONDecodeError as error:
        cut = text.strip() and (error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"))
        seems = ", as if cut off" if cut else ""
        raise BadArguments(f"The arguments are no JSON{seems}: {clean(str(error), 100)}.") from None
    except RecursionError:
        raise BadArguments("The arguments are nested too deeply.") from None
    except ValueError as error:  # an integer of thousands of digits
        raise BadArguments(f"The arguments hold a number that is too long: {clean(str(error), 100)}.") from None
    if not isinstance(found, dict):
        raise BadArguments(f"The arguments are {_article(found)}, not an object.")
    if halved:
        raise BadArguments(
            "The arguments hold half a character (a lone \\ud800 to \\udfff). Write the character itself."
        )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if (twice := repeated(pairs)) is not None:
        raise BadArguments(f"The arguments say `{clean(twice, 60)}` twice.")
    return dict(pairs)


def _constant(name: str) -> NoReturn:
    raise BadArguments(f"The arguments hold {name}, which JSON does not have.")


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise BadArguments(f"The arguments hold {clean(digits, 40)}, a number that is too large.")
    return number


def _has_half(found: Any) -> bool:
    text = json.dumps(found, ensure_ascii=False)
    return any(ord(character) in _HALVES for character in text)


def _problems(error: ValidationError) -> str:
    problems = []
    errors = error.errors(include_url=False)
    for entry in errors[:_MOST_PROBLEMS]:
        where = ".".join(map(str, entry["loc"]))
        problem = clean(entry["msg"].removeprefix("Value error, "), 200)
        if entry["type"] not in {"missing", "extra_forbidden", "json_invalid"}:
            problem += f" (not {clean(repr(entry['input']), 60)})"
        problems.append(f"`{clean(where, 100)}`: {problem}" if where else problem)
    more = len(errors) - len(problems)
    return "; ".join(problems) + (f"; and {more} more." if more else ".")


def _article(value: Any) -> str:
    kinds = {list: "an array", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
