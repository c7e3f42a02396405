"""DSNB_OFFLINE: whether calls may leave this machine."""

from __future__ import annotations

import os
from typing import Final

from dsnb.errors import ConfigurationError

OFFLINE_VARIABLE: Final = "DSNB_OFFLINE"
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_MODES: Final = {"": "auto", "1": "offline", "true": "offline", "0": "live", "false": "live"}


def offline() -> bool:
    """Return whether DSNB_OFFLINE keeps every call on this machine."""
    return mode() == "offline"


def mode() -> str:
    """Return what DSNB_OFFLINE says: ``offline``, ``live``, or ``auto`` where it is unset.

    Raises `ConfigurationError` for a value that says nothing.
    """
    value = os.environ.get(OFFLINE_VARIABLE, "").strip().lower()
    if value not in _MODES:
        raise ConfigurationError(
            f"{OFFLINE_VARIABLE}={value!r} says nothing: 1 stays on this machine, 0 never uses the emulator."
        )
    return _MODES[value]
