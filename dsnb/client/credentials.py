"""Where the API key comes from, and a wrapper that never shows it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

KEY_VARIABLE: Final = "DEEPSEEK_API_KEY"


class Secret:
    """Hold a key; show only whether there is one."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the key itself, for the one place that sends it."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret(configured)" if self._value else "Secret(not configured)"

    __str__ = __repr__

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("A key is not pickled: let the worker read it from its own environment.")


def find_key(variable: str = KEY_VARIABLE) -> Secret | None:
    """Return the key named by an environment variable, else by the nearest ``.env`` at or above the working folder.

    Returns None where neither names one. A key with blanks around it (a common slip of copying) is stripped.
    """
    value = os.environ.get(variable, "").strip()
    if not value:
        value = _from_dotenv(variable)
    return Secret(value) if value else None


def _from_dotenv(variable: str) -> str:
    here = Path.cwd()
    for folder in (here, *here.parents):
        path = folder / ".env"
        if path.is_file():
            from dotenv import dotenv_values

            return (dotenv_values(path, interpolate=False).get(variable) or "").strip()
    return ""
