"""One request of a turn, until it is answered: again, elsewhere, or on from where an answer was cut. Without I/O."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from itertools import count
from typing import Final, Protocol

from dsnb.client.endpoint import Endpoint
from dsnb.client.exchange import Exchange
from dsnb.client.gate import Gate, Pass
from dsnb.client.output_format import Blanks
from dsnb.client.records import Attempt, Sink, Turn
from dsnb.client.reply import CUT, Reply
from dsnb.client.retry import ELSEWHERE, FINAL, GOOD, Patience, Retry, health, verdict
from dsnb.client.rounds import mended
from dsnb.client.text import quote
from dsnb.contract.tokens import count as tokens
from dsnb.errors import DeadlineExceeded, DsnbError
from dsnb.steps import Entering, Pausing, Sending, Step


class Compose(Protocol):
    """Make the request of a round for an endpoint.

    ``begun`` is the answer that it is to go on from, ``max_tokens`` what is then left of the limit, if there is one.
    """

    def __call__(self, endpoint: Endpoint, begun: Reply | None = None, max_tokens: int | None = None) -> Exchange:
        """Return the request, ready to send."""


class Gates(Protocol):
    """Give the gate of a model at an endpoint."""

    def __call__(self, endpoint: Endpoint, model: str) -> Gate:
        """Return it, the same for everybody in this process."""


class Attempts:
    """Send the requests of one turn, each as often as it takes, with one budget for all of them.

    ``endpoints`` are asked in their order. `reply` is what the round under way has come to, `error` why there is no
    more, and `endless` says that it was ended because nothing but white space came.
    """

    def __init__(self, endpoints: Sequence[Endpoint], gates: Gates, retry: Retry, turn: Turn, sink: Sink) -> None:
        self.endpoints = endpoints
        self.number = 0
        self.reply = Reply()
        self.error: DsnbError | None = None
        self.endless = False
        self._gates = gates
        self._retry = retry
        self._patience = Patience(retry)
        self._turn = turn
        self._sink = sink
        self._place = 0
        self._failures = 0  # in a row, of the endpoint that is asked
        self._excluded: set[int] = set()

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that is asked now."""
        return self.endpoints[self._place]

    def course(self, exchange: Exchange, compose: Compose, earlier: Sequence[Reply], *, json: bool) -> Iterator[Step]:
        """Yield the steps of one round. ``exchange`` is its first request, ``earlier`` are the rounds before it."""
        parts: list[Reply] = []  # of an answer that was cut, and when each of them was sent
        starts: list[float] = []
        began, sent = time.monotonic(), self.number
        limit = exchange.request.body.get("max_tokens")
        resumed = 0
        while True:
            exchange, passed = yield from self._admitted(exchange, None if parts else compose)
            start = time.monotonic() - began
            try:
                spoken = () if parts else earlier  # what goes on with a part goes on in its paragraph
                yield from self._sent(exchange, passed, Sending(exchange, spoken, Blanks() if json else None))
            finally:
                self.error = exchange.error
                self.reply = mended([*parts, exchange.reply], [*starts, start])
                self.reply.attempts = self.number - sent
            judged = GOOD if self.endless else verdict(exchange)
            if judged == GOOD:
                self._failures = 0
            if judged in {GOOD, FINAL} or not self._goes_on(judged):
                break
            if _resumable(exchange):
                parts.append(exchange.reply)
                starts.append(start)
                resumed += 1
            goes_on = resumed <= self._retry.resumes and self.endpoint.provider.contract
            begun = mended(parts, starts) if parts and goes_on and _extends(exchange, parts) else None
            left = limit
            if begun is not None and isinstance(limit, int):
                left = limit - _taken(begun)
                if left <= 0:
                    self.reply.outcome, self.error = "length", None
                    return
            pause = self._patience.pause(exchange)
            if pause is None:
                break
            why = self._why(exchange, pause, begun)
            exchange = compose(self.endpoint, begun, left)
            yield Pausing(pause, why, begun is None and _spoke(self.reply), self._retry)
            if begun is None:
                parts, starts = [], []
        if parts and parts[-1] is not exchange.reply and (self.error or exchange.reply.outcome == "empty"):
            # what there is of the answer is worth more than why nobody goes on with it
            self.reply.outcome, self.error = "truncated", None

    def _admitted(self, exchange: Exchange, compose: Compose | None) -> Generator[Step, None, tuple[Exchange, Pass]]:
        """Wait at the gate; where it is shut and there is another endpoint, go there instead."""
        for tried in count(1):
            elsewhere = compose is not None and tried < len(self.endpoints) - len(self._excluded)
            within = 0.0 if elsewhere else exchange.watch.remaining
            step = Entering(self._gates(exchange.endpoint, str(exchange.request.body.get("model"))), within)
            try:
                yield step
            except GeneratorExit:
                if step.passed is not None:
                    step.passed.leave("other")
                raise
            if step.passed is not None:
                return exchange, step.passed
            if compose is None or not elsewhere:
                break
            self._move()
            exchange = compose(self.endpoint)
        raise DeadlineExceeded(
            "The turn's deadline ran out before its request could be sent: the endpoint is down, or has more requests "
            "under way than it bears. Ask later, ask fewer at a time, or give the turn longer with deadline=....",
            phase="connect",
        )

    def _sent(self, exchange: Exchange, passed: Pass, step: Sending) -> Iterator[Step]:
        self.number += 1
        self.reply = exchange.reply
        exchange.when_answered = passed.answered
        started = time.time()
        try:
            yield step
        finally:
            passed.leave(health(exchange))
            self.endless = step.endless
            attempt = (self._turn, self.number, started, exchange.status, exchange.reply, exchange.error)
            self._sink.attempted(Attempt(*attempt))

    def _goes_on(self, judged: str) -> bool:
        """Choose whom to ask next; return whether there is anybody."""
        self._failures += 1
        if judged == ELSEWHERE:
            self._excluded.add(self._place)
        if len(self._excluded) == len(self.endpoints):
            return False
        if judged == ELSEWHERE or self._failures >= self._retry.elsewhere:
            self._move()
        return True

    def _move(self) -> None:
        places = [*range(self._place + 1, len(self.endpoints)), *range(self._place + 1)]
        self._place = next((place for place in places if place not in self._excluded), self._place)
        self._failures = 0

    def _why(self, exchange: Exchange, pause: float, begun: Reply | None) -> str:
        """Say what happened and what is done about it."""
        reason = str(exchange.error).partition(". ")[0] if exchange.error else _OUTCOMES[exchange.reply.outcome]
        what = "Going on from there" if begun is not None else "Asking again"
        if self.endpoint is not exchange.endpoint:
            what += f", at {self.endpoint.provider.name},"
        number = f"attempt {self._patience.attempts} of {self._retry.attempts}"
        return f"{quote(reason, 200)}. {what} in {pause:.1f} s ({number})."


_OUTCOMES: Final = {
    "truncated": "The stream was cut before its end",
    "stalled": "The stream stalled",
    "empty": "The reply was empty",
}


def _resumable(exchange: Exchange) -> bool:
    """Whether another request could go on with what this one said: text only, never in the middle of a call."""
    reply = exchange.reply
    return bool(reply.answer and not reply.tool_calls and reply.outcome in CUT and not exchange.request.completion)


def _extends(exchange: Exchange, parts: Sequence[Reply]) -> bool:
    """Whether the last request leaves the parts as something to go on from: it is one of them, or said nothing.

    A continuation that is whole and empty does not: the answer was complete, or nobody went on with it; who knows.
    """
    reply = exchange.reply
    return reply is parts[-1] or not (_spoke(reply) or reply.outcome == "empty")


def _taken(begun: Reply) -> int:
    """Return how many of the tokens allowed an answer has taken so far; the end of the thinking is one of them."""
    thought = begun.reasoning is not None and (begun.reasoning != "" or not (begun.start or begun.start_reasoning))
    return tokens(begun.answer) + tokens(begun.reasoning or "") + thought


def _spoke(reply: Reply) -> bool:
    return bool(reply.answer or reply.reasoning or reply.tool_calls)
