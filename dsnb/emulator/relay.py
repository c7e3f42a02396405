"""A reply that a live engine is making, passed on while it is made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress

from dsnb.emulator.connection import Connection
from dsnb.emulator.delivery import AnyDelivery
from dsnb.emulator.engines.live import Counts, Ending, EngineFailure, Told, broken, overloaded
from dsnb.emulator.output import BROKEN_OFF, LiveOutput

_KEEP_ALIVE_SECONDS = 10.0  # real, as the model's time is; how often the API sends them is not published
_LONGEST_SECONDS = 600.0  # real, without any sign from the model; the API too gives a request ten minutes to begin


class Relay:
    """Pass one reply on; ``call_id`` makes the id of the tool call with that number."""

    def __init__(
        self, connection: Connection, delivery: AnyDelivery, output: LiveOutput, call_id: Callable[[int], str]
    ) -> None:
        self._connection = connection
        self._delivery = delivery
        self._output = output
        self._call_id = call_id

    async def follow(self, told: AsyncGenerator[Told], last: int) -> bool:
        """Send what the engine says, token ``last`` at most, and then stop it; return whether the client stayed.

        Raises `EngineFailure`, also for an engine that fails in a way of its own.
        """
        output = self._output
        try:
            async with aclosing(told):
                while (item := await self._next(told)) is not None:
                    if isinstance(item, Counts):
                        output.count(item)
                        continue
                    self.open()
                    if isinstance(item, Ending):
                        output.end(item.finish_reason)
                        return True
                    if output.pieces >= last:
                        output.end("length")
                        return True
                    event = output.add(item, self._call_id)
                    if event is not None:
                        self._delivery.add(event)
                return False
        except EngineFailure:
            raise
        except Exception as problem:
            logging.getLogger(__name__).exception("The emulator's engine failed.")
            raise broken(f"{type(problem).__name__}: {problem}") from problem

    def open(self) -> None:
        """Put what opens the reply, once."""
        if not self._output.opened:
            self._output.opened = True
            self._delivery.open()

    async def _next(self, told: AsyncGenerator[Told]) -> Told | None:
        """Return what the engine says next, None if the client leaves before; meanwhile send what waits.

        Raises `EngineFailure` where nothing comes for too long.
        """
        step: asyncio.Future[Told] = asyncio.ensure_future(anext(told, Ending(BROKEN_OFF)))
        try:
            await asyncio.sleep(0)
            if not step.done() or self._delivery.full:
                await self._delivery.flush()
            waited = 0.0
            while not step.done():
                if not await self._connection.until(step, _KEEP_ALIVE_SECONDS):
                    return None
                waited += _KEEP_ALIVE_SECONDS
                if not step.done():
                    if waited >= _LONGEST_SECONDS:
                        raise overloaded(f"nothing came from the model for {_LONGEST_SECONDS:g} seconds.")
                    self._delivery.put(self._delivery.keep_alive)
                    await self._delivery.flush()
            return None if self._connection.gone else step.result()
        finally:
            step.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await step
