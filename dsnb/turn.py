"""The course of one turn, without I/O: what to send, which tools to run, and what it all comes to.

`Turn.course` yields one step after the other; whoever drives it (the session, with threads or an event loop) carries
each of them out before it asks for the next. So the loop is written once for both.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any, Protocol
from uuid import uuid4

from dsnb.attempts import Attempts, Gates
from dsnb.client import records
from dsnb.client.budget import Budget
from dsnb.client.endpoint import Endpoint
from dsnb.client.events import Event
from dsnb.client.exchange import Exchange
from dsnb.client.output_format import JsonOutput
from dsnb.client.reply import CUT, Reply
from dsnb.client.request import Messages
from dsnb.client.retry import Retry
from dsnb.client.rounds import joined
from dsnb.client.stopping import Stop
from dsnb.client.timeouts import Timeouts
from dsnb.client.tool_call import ToolCall
from dsnb.contract import Contract
from dsnb.contract.finding import noticed
from dsnb.contract.settings import settings
from dsnb.errors import DeadlineExceeded, DsnbError, InvalidOutput, UnknownModel
from dsnb.steps import Calling, Step
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
        self,
        added: Messages,
        endpoint: Endpoint,
        contract: Contract,
        timeouts: Timeouts,
        *,
        spent: float = 0.0,
        begun: Reply | None = None,
        max_tokens: int | None = None,
    ) -> Exchange:
        """Return the next request of the turn; ``begun`` is an answer that was cut, and is to be gone on with."""


class Turn:
    """Follow one question to its reply.

    ``reply`` is what there is of it so far, ``error`` why there is no more; ``request`` is the first that is sent.
    Making a turn holds the request against the contract, and raises what that raises; nothing is sent before the
    course is driven. ``endpoints`` are asked in their order, ``sink`` keeps account of it, ``budget`` is asked before
    each request, and ``keep`` is given what it came to, whole or not. `stop` can be asked to end the turn from any
    thread, whatever it waits for; it is ``interrupted`` then.
    """

    def __init__(
        self,
        question: Asking,
        endpoints: Sequence[Endpoint],
        contract: Contract,
        timeouts: Timeouts,
        *,
        gates: Gates,
        retry: Retry,
        source: str,
        sink: records.Sink,
        budget: Budget | None = None,
        keep: Callable[[Reply], None] | None = None,
    ) -> None:
        self._question = question
        self._contract, self._timeouts = contract, timeouts
        self._sink = sink if budget is None else records.Sinks(sink, budget)
        self._budget = budget
        self._keep = keep
        self._began = time.monotonic()
        self._exchange = question.exchange((), endpoints[0], contract, timeouts)
        self._rounds: list[Reply] = []
        self._starts: list[float] = []
        self._calling: Sequence[ToolCall] = ()
        self.request = self._exchange.request
        self.reply = self._exchange.reply
        self.error: DsnbError | None = None
        self.stop = Stop()
        self.record = _record(self._exchange, contract, source)
        self._attempts = Attempts(endpoints, gates, retry, self.record, self._sink)

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
            if self._rounds:
                self.reply = joined(self._rounds, self._starts, self._spent)
            if interrupted:  # whatever had gone wrong before
                self.reply.outcome, self.error = "interrupted", None
            self._sink.ended(self.record, self.reply, self.error)
            if self._keep is not None:
                self._keep(self.reply)

    def end(self) -> Event:
        """Return the last event, with the finished reply, or raise the error that carries it."""
        if self.error is not None:
            self.error.reply = self.reply
            self.error.attempts = self._attempts.number
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
            yield from self._round(added)
            reply, last = self.reply, number == question.max_rounds
            if self.error is not None:
                return
            if reply.tool_calls and reply.outcome not in CUT and question.toolbox.runnable(reply.tool_calls):
                yield from self._call(reply, last=last)
                added += reply.messages
                if last:
                    return
            elif question.output is not None and not reply.tool_calls and self._is_over:
                correction = self._read(question.output, reply)
                if not correction or asked_again or last or reply.outcome == "length":  # which would be cut again
                    return
                added += correction
                self.error, asked_again = None, True
            else:
                return
            if self._left <= 0:
                raise DeadlineExceeded(
                    "The turn's deadline ran out while its tools were running. Give the turn longer with deadline=...."
                )
            self._exchange = self._compose(added, self._attempts.endpoint)

    def _round(self, added: Messages) -> Iterator[Step]:
        """Have one request sent, as often as it takes."""
        if not added:
            self._afford(self._exchange)
        self._rounds.append(self._exchange.reply)
        self._starts.append(self._spent)
        attempts = self._attempts
        json = self._question.output is not None
        try:
            yield from attempts.course(self._exchange, partial(self._compose, added), self._rounds[:-1], json=json)
        finally:
            self.reply = self._rounds[-1] = attempts.reply
            self.error = attempts.error

    def _compose(
        self, added: Messages, endpoint: Endpoint, begun: Reply | None = None, max_tokens: int | None = None
    ) -> Exchange:
        going_on: dict[str, Any] = {} if begun is None else {"begun": begun, "max_tokens": max_tokens}
        exchange = self._question.exchange(
            added, endpoint, self._contract, self._timeouts, spent=self._spent, **going_on
        )
        self._afford(exchange)
        return exchange

    def _afford(self, exchange: Exchange) -> None:
        """Raise BudgetSpent where the budget has not enough left for a request."""
        if self._budget is not None:
            self._budget.check(self.record.id, exchange, self._contract)

    @property
    def _is_over(self) -> bool:
        """Whether the model is done, or would never have been."""
        return self._attempts.endless or self.reply.outcome not in CUT

    @property
    def _left(self) -> float:
        """The seconds until the deadline."""
        return self._exchange.watch.remaining

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
        yield Calling(self._question.toolbox, reply.tool_calls, whole, self._left)
        self._calling = ()

    def _read(self, output: JsonOutput, reply: Reply) -> list[dict[str, Any]]:
        """Read the JSON of a reply; return what to say to the model where it is none and may be asked for again."""
        try:
            reply.parsed = output.parse(reply)
        except InvalidOutput as error:
            self.error = error
            return output.correction(reply, error)
        return []


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
