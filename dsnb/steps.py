"""What has to be done before a turn can go on: wait, send a request, run tools. Each by threads or an event loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from dsnb.client.endpoint import Endpoint
from dsnb.client.events import Event
from dsnb.client.exchange import Exchange
from dsnb.client.gate import Gate, Pass
from dsnb.client.output_format import Blanks
from dsnb.client.reply import Reply
from dsnb.client.retry import Retry
from dsnb.client.stopping import Stop
from dsnb.client.tool_call import ToolCall
from dsnb.client.transport import Transport
from dsnb.tools import Toolbox

Carriers = Callable[[Endpoint], Transport]


class Step(Protocol):
    """Something to be done; it tells events while it is done. ``carriers`` give the transport to an endpoint.

    What is not a request is left by Stopped as soon as ``stop`` is asked; a request ends as ``interrupted``.
    """

    def run(self, carriers: Carriers, stop: Stop) -> Iterator[Event]:
        """Do it in this thread."""

    def arun(self, carriers: Carriers, stop: Stop) -> AsyncGenerator[Event]:
        """Do it in the running event loop."""


@dataclass(slots=True)
class Entering:
    """Wait until the gate lets a request pass, ``within`` so many seconds; ``passed`` is the right to send it."""

    gate: Gate
    within: float
    passed: Pass | None = None

    def run(self, _carriers: Carriers, stop: Stop) -> Iterator[Event]:
        """Do it in this thread."""
        self.passed = self.gate.enter(0)
        if self.passed is None:
            yield Event("retry", self._why)
            self.passed = self.gate.enter(self.within, stop)

    async def arun(self, _carriers: Carriers, stop: Stop) -> AsyncGenerator[Event]:
        """Do it in the running event loop."""
        self.passed = self.gate.enter(0)
        if self.passed is None:
            yield Event("retry", self._why)
            self.passed = await stop.until(self.gate.aenter(self.within))

    @property
    def _why(self) -> str:
        if not self.gate.open:
            return "The endpoint is down; waiting until one request finds out that it is up again."
        return f"Waiting for a place: {self.gate.under_way} requests are under way, which is what the endpoint bears."


@dataclass(frozen=True, slots=True)
class Pausing:
    """Wait before the next attempt, and say why; ``anew``: what this round has said so far is void."""

    seconds: float
    why: str
    anew: bool
    retry: Retry

    def run(self, _carriers: Carriers, stop: Stop) -> Iterator[Event]:
        """Do it in this thread."""
        yield Event("retry", self.why, anew=self.anew)
        (self.retry.sleep or stop.wait)(self.seconds)

    async def arun(self, _carriers: Carriers, stop: Stop) -> AsyncGenerator[Event]:
        """Do it in the running event loop."""
        yield Event("retry", self.why, anew=self.anew)
        await stop.until(self.retry.asleep(self.seconds))


@dataclass(slots=True)
class Sending:
    """Send a request; what it says begins a new paragraph where ``earlier`` rounds have spoken.

    Where JSON is asked for, ``blanks`` watches for white space without end; the stream is then ended (``endless``).
    """

    exchange: Exchange
    earlier: Sequence[Reply] = ()
    blanks: Blanks | None = None
    endless: bool = False

    def run(self, carriers: Carriers, stop: Stop) -> Iterator[Event]:
        """Do it in this thread."""
        silent = self._silent()
        with stop.waking(self.exchange.stop):
            for event in carriers(self.exchange.endpoint).run(self.exchange):
                yield from self._told(event, silent)

    async def arun(self, carriers: Carriers, stop: Stop) -> AsyncGenerator[Event]:
        """Do it in the running event loop."""
        silent = self._silent()
        with stop.waking(self.exchange.stop):
            async with aclosing(carriers(self.exchange.endpoint).arun(self.exchange)) as events:
                async for event in events:
                    for each in self._told(event, silent):
                        yield each

    def _silent(self) -> set[str]:
        """Return what has been spoken before, but not yet in this round."""
        return {name for name in ("reasoning", "answer") if any(getattr(reply, name) for reply in self.earlier)}

    def _told(self, event: Event, silent: set[str]) -> Iterator[Event]:
        if event.type in silent:
            silent.remove(event.type)
            yield Event(event.type, "\n\n")
        yield event
        if event.type == "answer" and self.blanks is not None and self.blanks.feed(event.text):
            self.endless = True
            self.exchange.stop()


@dataclass(frozen=True, slots=True)
class Calling:
    """Run the tools that a reply calls; ``whole`` is False where the reply was cut off."""

    toolbox: Toolbox
    calls: Sequence[ToolCall]
    whole: bool
    seconds: float

    def run(self, _carriers: Carriers, stop: Stop) -> Iterator[Event]:
        """Do it in this thread and others."""
        for call in self.toolbox.run(self.calls, complete=self.whole, seconds=self.seconds, stop=stop):
            yield Event("tool", tool=call)

    async def arun(self, _carriers: Carriers, stop: Stop) -> AsyncGenerator[Event]:
        """Do it in the running event loop."""
        run = self.toolbox.arun(self.calls, complete=self.whole, seconds=self.seconds, stop=stop)
        async with aclosing(run) as done:
            async for call in done:
                yield Event("tool", tool=call)
