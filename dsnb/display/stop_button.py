"""The Stop button of a panel: what it does, and which interrupts were its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self


class StopButton:
    """End a turn for its reader; a context manager around the turn.

    ``ask`` wishes its end, from any thread; ``task`` drives it, where an event loop does. Where the kernel cannot hear
    the button it is interrupted instead (see `dsnb.display.hearing`): such an interrupt, as ``heard`` tells, ends in
    here, and the turn returns what there is. All others go on.
    """

    def __init__(self, ask: Callable[[], None], task: asyncio.Task[Any] | None = None) -> None:
        self.ask = ask
        self.heard: Callable[[], bool] = lambda: False
        self._task = task

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, KeyboardInterrupt | asyncio.CancelledError) or not self.heard():
            return False
        if self._task is not None and isinstance(error, asyncio.CancelledError):
            self._task.uncancel()
        return True
