"""The wish that a turn should end, told from any thread to whatever the turn is waiting for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """Leave what was waited for, since the turn is to end."""


class Stop:
    """Carry the wish to end one turn; `ask` may be called from any thread, more than once, at any time.

    Whoever waits for the turn does it inside `waking`, `wait` or `until`, and so ends at once.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._wakers: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    @property
    def asked(self) -> bool:
        """Whether somebody wishes the end."""
        return self._asked.is_set()

    def ask(self) -> None:
        """Wish the end, and wake whoever waits."""
        with self._lock:  # so that nobody is woken who has left, and nobody missed who comes
            self._asked.set()
            for wake in self._wakers:
                wake()

    def check(self) -> None:
        """Raise Stopped where the end is wished."""
        if self.asked:
            raise Stopped

    @contextmanager
    def waking(self, wake: Callable[[], object]) -> Iterator[None]:
        """Call ``wake`` when the end is wished inside the block, or was before; it must not block."""
        with self._lock:
            self._wakers.append(wake)
            if self.asked:
                wake()
        try:
            yield
        finally:
            with self._lock:
                self._wakers.remove(wake)

    def wait(self, seconds: float) -> None:
        """Let time pass in this thread; raise Stopped as soon as the end is wished."""
        self._asked.wait(min(seconds, threading.TIMEOUT_MAX))
        self.check()

    async def until(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine of the running loop comes to; cancel it, and raise Stopped, at the end's wish."""
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        try:
            with self.waking(lambda: loop.call_soon_threadsafe(task.cancel)):
                return await task
        except asyncio.CancelledError:
            if task.cancelled() and self.asked:
                raise Stopped from None
            raise
