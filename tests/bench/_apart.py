"""An emulator in a process of its own, so that its work is not counted as the client's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from dsnb import Emulator


class Apart:
    """Stand for an emulator in another process: ``get`` calls a method there, ``set`` an attribute."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.base_url: str = pipe.recv()

    def get(self, name: str) -> Any:
        """Return what a method of the emulator returns."""
        self._pipe.send((name, ()))
        return self._pipe.recv()

    def set(self, name: str, value: object) -> None:
        """Set one of the emulator's attributes."""
        self._pipe.send((name, (value,)))
        self._pipe.recv()


@contextmanager
def apart(**options: Any) -> Iterator[Apart]:
    """Serve an emulator from a process of its own."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, options), daemon=True)
    process.start()
    there.close()  # so that the end of the one side is seen by the other
    try:
        yield Apart(here)
    finally:
        here.close()
        process.join()


def _serve(pipe: Connection, options: dict[str, Any]) -> None:
    with suppress(EOFError, KeyboardInterrupt), Emulator(**options) as emulator:
        pipe.send(emulator.base_url)
        while True:
            name, value = pipe.recv()
            pipe.send(setattr(emulator, name, *value) if value else getattr(emulator, name)())
