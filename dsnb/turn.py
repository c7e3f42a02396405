"""The course of one turn, without I/O: what to send, which tools to run, and what it all comes to.

`Turn.course` yields one step after the other; whoever drives it (the session, with threads or an event loop) carries
each of them out before it asks for the next. So the loop is written once for both.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol
from uuid import uuid4

from dsnb.client import records
from dsnb.client.endpoint import Endpoint
from dsnb.client.events import Event
from dsnb.client.exchange import Exchange
from dsnb.client.output_format import Blanks, JsonOutput
from dsnb.client.reply import CUT, Reply
from dsnb.client.request import Messages
from dsnb.client.rounds import joined
from dsnb.client.timeouts import Timeouts
from dsnb.client.tool_call import ToolCall
from dsnb.client.transport import Transport
from dsnb.contract import Contract
from dsnb.contract.finding import noticed
from dsnb.contract.settings import settings
from dsnb.errors import DeadlineExceeded, DsnbError, InvalidOutput, UnknownModel
from dsnb.tools import Toolbox


class Asking(Protocol):
    """What a turn asks: a `dsnb.question.Question`, or a completion."""

    @property
    def toolbox(self) -> Toolbox:
        """The tools that may be run."""

    @property
    def output(self) -> JsonOutput | None:
        """The form that the answer is to have, if any."""

    @property
    def max_rounds(self) -> int:
        """How many requests the turn may take."""

    def exchange(
        self, added: Messages, endpoint: Endpoint, contract: Contract, timeouts: Timeouts, *, spent: float = 0.0
    ) -> Exchange:
        """Return the next request of the turn."""


class Step(Protocol):
    """Something that has to be done before a turn can go on; it tells events while it is done."""

    def run(self, transport: Transport) -> Iterator[Event]:
        """Do it in this thread."""

    def arun(self, transport: Transport) -> AsyncGenerator[Event]:
        """Do it in the running event loop."""


class Turn:
    """Follow one question to its reply.

    ``reply`` is what there is of it so far, ``error`` why there is no more; ``request`` is the first that is sent.
    Making a turn holds the request against the contract, and raises what that raises; nothing is sent before the
    course is driven. ``sink`` keeps account of it, and ``keep`` is given what it came to, whole or not.
    """

    def __init__(
        self,
        question: Asking,
        endpoint: Endpoint,
        contract: Contract,
        timeouts: Timeouts,
        *,
        source: str,
        sink: records.Sink | None = None,
        keep: Callable[[Reply], None] | None = None,
    ) -> None:
        self._question = question
        self._target = (endpoint, contract, timeouts)
        self._sink = sink or _NOBODY
        self._keep = keep
        self._began = time.monotonic()
        self._exchange = question.exchange((), *self._target)
        self._rounds: list[Reply] = []
        self._starts: list[float] = []
        self._calling: Sequence[ToolCall] = ()
        self._endless = False
        self.request = self._exchange.request
        self.reply = self._exchange.reply
        self.error: DsnbError | None = None
        self.record = _record(self._exchange, contract, source)

    def course(self) -> Generator[Step]:
        """Yield what is to be done, step by step; keep account of it, however it ends."""
        self._sink.began(self.record)
        interrupted = True
        try:
            yield from self._steps()
            interrupted = False
        except DsnbError as error:
            self.error, interrupted = error, False
        finally:
            for call in self._calling:
                call.refuse("The turn was interrupted before this tool had ended.")
            self.reply = joined(self._rounds, self._starts, self._spent) if self._rounds else self.reply
            if interrupted:
                self.reply.outcome = "interrupted"
            self._sink.ended(self.record, self.reply, self.error)
            if self._keep is not None:
                self._keep(self.reply)

    def end(self) -> Event:
        """Return the last event, with the finished reply, or raise the error that carries it."""
        if self.error is not None:
            self.error.reply = self.reply
            self.error.attempts = self.reply.attempts
            raise self.error
        return Event("end", reply=self.reply)

    @property
    def _spent(self) -> float:
        return time.monotonic() - self._began

    def _steps(self) -> Iterator[Step]:
        question = self._question
        added: list[dict[str, Any]] = []
        asked_again = False
        for number in count(1):
            yield from self._send()
            reply, last = self.reply, number == question.max_rounds
            if self.error is not None:
                return
            if reply.tool_calls and reply.outcome not in CUT and question.toolbox.runnable(reply.tool_calls):
                yield from self._call(reply, last=last)
                added += reply.messages
                if last:
                    return
            elif question.output is not None and not reply.tool_calls and (self._endless or reply.outcome not in CUT):
                correction = self._read(question.output, reply)
                if not correction or asked_again or last:
                    return
                added += correction
                self.error, asked_again = None, True
            else:
                return
            if self._exchange.watch.remaining <= 0:
                raise DeadlineExceeded(
                    "The turn's deadline ran out while its tools were running. Give the turn longer with deadline=...."
                )
            self._exchange = question.exchange(added, *self._target, spent=self._spent)

    def _send(self) -> Iterator[Step]:
        """Have the next request sent, and account for it."""
        exchange = self._exchange
        self.reply = exchange.reply
        self._rounds.append(exchange.reply)
        self._starts.append(self._spent)
        started = time.time()
        step = Sending(exchange, self._rounds[:-1], None if self._question.output is None else Blanks())
        try:
            yield step
        finally:
            number = len(self._rounds)
            attempt = records.Attempt(self.record, number, started, exchange.status, exchange.reply, exchange.error)
            self._sink.attempted(attempt)
        self.error, self._endless = exchange.error, step.endless

    def _call(self, reply: Reply, *, last: bool) -> Iterator[Step]:
        """Have the tools run that a reply calls; at the last round say why they are not."""
        if last:
            limit = f"The turn ended here, at its limit of {self._question.max_rounds} rounds (max_rounds)."
            for call in reply.tool_calls:
                call.refuse(f"{limit} This tool was not run.")
            reply.notes += (noticed("rounds_ended", "max_rounds", rounds=self._question.max_rounds),)
            return
        self._calling = reply.tool_calls
        whole = reply.outcome != "length"  # cut off in the middle of a call
        yield Calling(self._question.toolbox, reply.tool_calls, whole, self._exchange.watch.remaining)
        self._calling = ()

    def _read(self, output: JsonOutput, reply: Reply) -> list[dict[str, Any]]:
        """Read the JSON of a reply; return what to say to the model where it is none and may be asked for again."""
        try:
            reply.parsed = output.parse(reply)
        except InvalidOutput as error:
            self.error = error
            return output.correction(reply, error)
        return []


@dataclass(slots=True)
class Sending:
    """Send a request; what it says begins a new paragraph where ``earlier`` rounds have spoken.

    Where JSON is asked for, ``blanks`` watches for white space without end; the stream is then ended (``endless``).
    """

    exchange: Exchange
    earlier: Sequence[Reply] = ()
    blanks: Blanks | None = None
    endless: bool = False

    def run(self, transport: Transport) -> Iterator[Event]:
        """Do it in this thread."""
        silent = self._silent()
        for event in transport.run(self.exchange):
            yield from self._told(event, silent)

    async def arun(self, transport: Transport) -> AsyncGenerator[Event]:
        """Do it in the running event loop."""
        silent = self._silent()
        async with aclosing(transport.arun(self.exchange)) as events:
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

    def run(self, _transport: Transport) -> Iterator[Event]:
        """Do it in this thread and others."""
        for call in self.toolbox.run(self.calls, complete=self.whole, seconds=self.seconds):
            yield Event("tool", tool=call)

    async def arun(self, _transport: Transport) -> AsyncGenerator[Event]:
        """Do it in the running event loop."""
        async with aclosing(self.toolbox.arun(self.calls, complete=self.whole, seconds=self.seconds)) as done:
            async for call in done:
                yield Event("tool", tool=call)


class _Nobody:
    """Keep no account."""

    def began(self, turn: records.Turn) -> None:
        pass

    def attempted(self, attempt: records.Attempt) -> None:
        pass

    def ended(self, turn: records.Turn, reply: Reply, error: DsnbError | None) -> None:
        pass


_NOBODY = _Nobody()


def _record(exchange: Exchange, contract: Contract, source: str) -> records.Turn:
    body, provider = exchange.request.body, exchange.endpoint.provider
    thinking = effort = None
    if provider.contract and "messages" in body:
        try:
            meant = settings(body, contract.model(str(body["model"])))
            thinking, effort = meant.thinking, meant.effort
        except UnknownModel:  # lint=False: the API is to say so
            pass
    prompt = {name: body.get(name) for name in ("messages", "tools", "prompt", "suffix")}
    text = json.dumps(prompt, ensure_ascii=True, sort_keys=True, default=repr)
    return records.Turn(
        id=uuid4().hex,
        started=time.time(),
        provider=provider.name,
        source=source,
        asked_model=exchange.reply.asked_model,
        streamed=exchange.request.stream,
        thinking=thinking,
        effort=effort,
        prompt_hash=hashlib.sha256(text.encode()).hexdigest()[:16],
        messages=len(body.get("messages", ())),
    )
