"""What a tool's work comes to, as the text that the model reads."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from pydantic_core import to_jsonable_python

from dsnb.client.text import quote, well_formed

_QUOTED: Final = re.compile(
    r"""(?P<quote>['"`])(?:file://)?(?:/|~|[A-Za-z]:[\\/]|\\\\)[^'"`\n]*[\\/](?P<last>[^'"`\\/\n]*)(?P=quote)"""
)
_BARE: Final = re.compile(
    r"""(?<![\w.:/\\…-])(?:file://)?(?:~?/|[A-Za-z]:[\\/]|\\\\)(?:[^\s'"`:,;()<>/\\]+[/\\]+)+(?P<last>[^\s'"`:,;()<>/\\]*)"""
)


class NoJson(TypeError):
    """Report a result that cannot be told; the message is for the model, which may think that nothing was done."""


def told(value: Any) -> str:
    """Return what a tool gave as the text of its message: a text as it is, anything else as JSON.

    Knows what pydantic knows, and the scalars, arrays and tables of numpy and pandas. Raises NoJson for anything else.
    """
    if isinstance(value, str):
        return well_formed(value)
    try:
        text = json.dumps(to_jsonable_python(value, fallback=_simpler), ensure_ascii=False)
    except Exception as error:  # the value's own code may be at work here
        raise NoJson(
            f"The tool did its work, but gave a {type(value).__name__} that cannot be told as JSON. "
            "It has to return a text, number, list, dict, dataclass or pydantic model."
        ) from error
    return well_formed(text)  # NaN stays NaN: a model knows what that is


def failure(words: str) -> str:
    """Return the text of the message of a tool that did not do its work."""
    return json.dumps({"error": words}, ensure_ascii=False)


def excuse(error: BaseException) -> str:
    """Say what a tool raised: the type and the message, without traceback, paths of this machine and keys."""
    if isinstance(error, NoJson):
        return str(error)
    try:
        words = str(error)
    except Exception:  # an exception may fail at this too
        words = ""
    name = type(error).__name__
    return f"{name}: {clean(words)}" if words else name


def clean(text: str, limit: int = 500) -> str:
    """Return text fit for an error that leaves this machine: one line, no keys, no folders."""
    text = text[: 20 * limit]
    text = _QUOTED.sub(r"\g<quote>…/\g<last>\g<quote>", text)
    return quote(_BARE.sub(r"…/\g<last>", text), limit)


def _simpler(value: Any) -> Any:
    """Return a value of numpy or pandas in plain Python; neither has to be installed."""
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return value.to_dict(orient="records")
    for method in ("to_dict", "tolist"):
        if callable(convert := getattr(value, method, None)) and not isinstance(value, type):
            return convert()
    raise TypeError(type(value).__name__)
