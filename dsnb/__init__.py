"""dsnb: a Jupyter kit for research on the DeepSeek API.

>>> import dsnb
>>> ds = dsnb.connect()          # the live API with a key, an emulator on this machine without
>>> reply = ds.ask("Prove that sqrt(2) is irrational.")

Everything below loads when it is first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # what type checkers know as true; importing typing for it would triple the cost of this module
if TYPE_CHECKING:
    import pandas as pd
    from IPython.core.interactiveshell import InteractiveShell

    from dsnb.client.endpoint import Provider
    from dsnb.client.events import Event
    from dsnb.client.reply import Reply
    from dsnb.client.retry import Retry
    from dsnb.client.timeouts import Timeouts
    from dsnb.connection import connect
    from dsnb.conversation import Conversation
    from dsnb.display import render
    from dsnb.emulator import Emulator
    from dsnb.errors import DsnbError
    from dsnb.experiments.planning.explanation import explain
    from dsnb.experiments.planning.fitting import fit
    from dsnb.experiments.planning.plan import plan
    from dsnb.experiments.sweeping.outcomes import Sweep
    from dsnb.experiments.sweeping.sweep import sweep
    from dsnb.session import Session
    from dsnb.tools import tool
    from dsnb.usage import UsageLog

    prices: pd.DataFrame

__version__ = "0.1.0"

__all__ = [
    "Conversation",
    "DsnbError",
    "Emulator",
    "Event",
    "Provider",
    "Reply",
    "Retry",
    "Session",
    "Sweep",
    "Timeouts",
    "UsageLog",
    "connect",
    "explain",
    "fit",
    "plan",
    "prices",
    "render",
    "sweep",
    "tool",
]

_HOMES = {
    "Conversation": "dsnb.conversation",
    "DsnbError": "dsnb.errors",
    "Emulator": "dsnb.emulator",
    "Event": "dsnb.client.events",
    "Provider": "dsnb.client.endpoint",
    "Reply": "dsnb.client.reply",
    "Retry": "dsnb.client.retry",
    "Session": "dsnb.session",
    "Sweep": "dsnb.experiments.sweeping.outcomes",
    "Timeouts": "dsnb.client.timeouts",
    "UsageLog": "dsnb.usage",
    "connect": "dsnb.connection",
    "explain": "dsnb.experiments.planning.explanation",
    "fit": "dsnb.experiments.planning.fitting",
    "plan": "dsnb.experiments.planning.plan",
    "render": "dsnb.display",
    "sweep": "dsnb.experiments.sweeping.sweep",
    "tool": "dsnb.tools",
}

_MODULES = {
    "contract": "dsnb.contract",
    "economics": "dsnb.experiments.economics",
    "errors": "dsnb.errors",
    "experiments": "dsnb.experiments",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value: object = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name == "prices":  # a frame of its own for whoever asks, to do with as they like
        return import_module("dsnb.experiments.economics.prices").frame()
    if name in _MODULES:
        return import_module(_MODULES[name])
    raise AttributeError(f"module 'dsnb' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__", *_MODULES])


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Do what ``%load_ext dsnb`` asks for: bring ``%%ask`` and ``%usage``."""
    from dsnb.magics import load

    load(ipython)
