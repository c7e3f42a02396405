"""One request and what comes back, without I/O: bytes in, events out, a reply or an error at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from dsnb.client.body import decode_body
from dsnb.client.decoder import StreamDecoder
from dsnb.client.endpoint import Endpoint
from dsnb.client.events import Event
from dsnb.client.failures import failure
from dsnb.client.reply import Reply, Timing
from dsnb.client.request import Request
from dsnb.client.timeouts import Timeouts
from dsnb.client.transcript import Transcript
from dsnb.client.watchdog import Watch
from dsnb.contract import Cost, Finding
from dsnb.errors import ConnectionFailed, DeadlineExceeded, DsnbError

Pricing = Callable[[Reply], Cost | None]


class Exchange:
    """Follow one request from its sending to its end.

    The transport tells what happens (`began`, `opened`, `received`, `refused`, `broke`, `interrupted`) and has it
    settled; `error` then says why there is no whole reply, and carries what there is of it. ``pricing`` says what a
    reply costs; without it the cost stays unknown. ``spent`` are the seconds of the deadline that earlier requests
    took.
    """

    def __init__(
        self,
        request: Request,
        endpoint: Endpoint,
        timeouts: Timeouts,
        *,
        pricing: Pricing | None = None,
        notes: tuple[Finding, ...] = (),
        spent: float = 0.0,
    ) -> None:
        self.request = request
        self.endpoint = endpoint
        self.timeouts = timeouts
        # blank lines are all that a plain reply shows of its progress, and the read limit follows those already
        left = None if timeouts.deadline is None else timeouts.deadline - spent
        self.watch = Watch(stall=timeouts.stall if request.stream else None, deadline=left)
        self.reply = Reply(
            asked_model=str(request.body.get("model", "")),
            served_by=endpoint.provider.name,
            notes=notes,
            start=request.start,
            start_reasoning=request.start_reasoning,
            suffix=request.suffix,
        )
        self.status: int | None = None  # HTTP; None while, or if, no answer came
        self.error: DsnbError | None = None
        self.when_answered: Callable[[], object] | None = None  # called as soon as a good answer begins
        self._pricing = pricing
        dialect = endpoint.provider.dialect
        self._dialect = replace(dialect, think_tags=False) if request.completion else dialect  # which is text, as it is
        self._decoder = StreamDecoder(self._dialect, request.echo)
        self._pieces: list[bytes] = []
        self._broken: str | None = None
        self._interrupted = False
        self._open = False
        self._streamed = request.stream
        self._started = time.monotonic()
        self._queued_at: float | None = None
        self._first_token: float | None = None
        self._first_answer: float | None = None

    @property
    def over(self) -> bool:
        """Whether nothing that still comes is of use: a limit has fired, or the answer is broken."""
        return self.watch.fired is not None or self.error is not None

    @property
    def phase(self) -> str:
        """Where the turn is: connect, queued, reasoning, answer or tool."""
        if not self._open:
            return "connect"
        decoder = self._decoder
        if not decoder.started:
            return "queued"
        if decoder.tool_calls:
            return "tool"
        return "answer" if self._first_answer is not None else "reasoning"

    def began(self) -> None:
        """Note that the request is being sent; until then it may have had to wait its turn."""
        self._started = time.monotonic()
        self.watch.resume(progress=True)

    def opened(self, headers: Mapping[str, str]) -> None:
        """Note that a good answer has begun."""
        self._open, self.status = True, 200
        # some hosts cannot stream and answer with plain JSON all the same
        self._streamed = self.request.stream and "json" not in headers.get("content-type", "")
        if self.when_answered is not None:
            self.when_answered()
        self.reply.trace_id = headers.get("x-ds-trace-id")
        self.reply.emulated = "x-dsnb-emulator" in headers

    def received(self, data: bytes) -> list[Event]:
        """Take the next bytes; return what they say. Never raises: a malformed frame ends the exchange."""
        watch = self.watch
        watch.pause()
        if not self._streamed:
            self._pieces.append(data)
            return [self._queued()] if not data.strip() else []
        decoder = self._decoder
        before = decoder.tokens
        events: list[Event] = []
        try:
            decoder.feed(data, events)
        except DsnbError as error:
            self.error = error
            return events
        if decoder.tokens == before:
            if events and events[-1].type == "queued":
                self._queued()
                before = -1  # until the first token a keep-alive is progress
        elif self._first_answer is None:
            self._clock_in(events)
        if decoder.done:
            watch.stall = min(watch.stall, LINGER)
        watch.resume(progress=decoder.tokens != before)
        return events

    def ended(self) -> list[Event]:
        """Take the end of the body, whole or not; return what had still been held back. Never raises."""
        events: list[Event] = []
        if self._open and self._streamed and self.error is None:
            try:
                self._decoder.finish(events)
            except DsnbError as malformed:
                self.error = malformed
        return events

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Note an error status."""
        self.status = status
        self.error = failure(status, headers, body, contract=self.endpoint.provider.contract)

    def broke(self, what: str) -> None:
        """Note that the connection failed or ended where it should not."""
        self._broken = what

    def interrupted(self) -> None:
        """Note that the caller gave up: a closed generator, a cancelled task, Ctrl-C."""
        self._interrupted = True

    def stop(self) -> None:
        """End the turn from outside, from any thread; the partial reply is kept."""
        self.watch.fire("stop")

    def settle(self) -> None:
        """Fill in the reply from what came; the transport calls this once, however the exchange ended."""
        source: Transcript = self._decoder
        if self._open and self.error is None:
            try:
                if self._streamed:
                    self._decoder.finish()
                elif not (self._broken or self.watch.fired or self._interrupted):
                    source = decode_body(b"".join(self._pieces), self._dialect, self.request.echo)
            except DsnbError as malformed:
                self.error = malformed
        reply = self.reply
        reply.answer, reply.reasoning = source.answer, source.reasoning
        reply.tool_calls, reply.usage, reply.logprobs = source.tool_calls, source.usage, source.logprobs
        reply.id, reply.model, reply.created = source.id, source.model, source.created
        reply.fingerprint, reply.finish_reason = source.fingerprint, source.finish_reason
        reply.timing = self._timing()
        if self.error is not None:
            reply.outcome = "truncated" if self._open else "interrupted"
        elif source.done:
            reply.outcome = source.outcome
        else:
            self.error = self._unfinished(source.outcome)
        if self._pricing is not None:
            reply.cost = self._pricing(reply)
        if self.error is not None:
            self.error.reply = reply
            self.error.phase = self.error.phase or self.phase
            self.error.attempts = reply.attempts

    def _unfinished(self, outcome: str) -> DsnbError | None:
        """Say how an exchange ended that did not come to its own end."""
        fired, reply = self.watch.fired, self.reply
        reply.outcome = outcome
        if self._interrupted or fired == "stop":
            reply.outcome = "interrupted"
        elif fired == "deadline" or (self._broken and self.watch.remaining <= 0):
            reply.outcome = "interrupted"
            return DeadlineExceeded(
                f"The turn's deadline of {self.timeouts.deadline:g} s ran out while {SITUATIONS[self.phase]}. "
                "Keep-alives do not extend it. Give the turn longer with deadline=..., or ask for less."
            )
        elif fired == "stall":
            reply.outcome = "stalled"
        elif self._broken and not (self._open and self._streamed):
            return no_answer(self.endpoint, self._broken)
        elif self._broken and "timed out" in self._broken and outcome == "truncated":
            reply.outcome = "stalled"
        return None

    def _queued(self) -> Event:
        if self._queued_at is None:
            self._queued_at = time.monotonic()
        return Event("queued")

    def _clock_in(self, events: list[Event]) -> None:
        now = time.monotonic()
        if self._first_token is None:
            self._first_token = now
        if any(event.type in {"answer", "tool"} for event in events):
            self._first_answer = now

    def _timing(self) -> Timing:
        start, now = self._started, time.monotonic()
        first = self._first_token
        queue_end = now if first is None else first
        return Timing(
            queued=0.0 if self._queued_at is None else queue_end - self._queued_at,
            first_token=None if first is None else first - start,
            first_answer=None if self._first_answer is None else self._first_answer - start,
            total=now - start,
        )


def no_answer(endpoint: Endpoint, why: str) -> ConnectionFailed:
    """Return the error for an endpoint that could not be reached or fell silent before it answered."""
    return ConnectionFailed(
        f"{endpoint.base_url} gave no answer: {why}. "
        "Check the network and the address (`dsnb doctor` tries both), then ask again."
    )


LINGER = 1.0  # seconds that a complete answer waits for the connection to end well, so that it can be used again

SITUATIONS = {
    "connect": "waiting for the connection and the first byte",
    "queued": "waiting in the queue",
    "reasoning": "the model was thinking",
    "answer": "the model was answering",
    "tool": "the model was writing a tool call",
}
