"""One request for a completion, from its arrival to the last byte of its reply and its row in the ledger."""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from dsnb.contract import cost
from dsnb.contract.error_bodies import ErrorBody, error, invalid_key
from dsnb.emulator import draw
from dsnb.emulator.backend import Backend, Request
from dsnb.emulator.chat_reply import ChatReply
from dsnb.emulator.clock import FIRST_TOKEN_SECONDS, TOKENS_PER_SECOND
from dsnb.emulator.connection import SHORTEST_SLEEP, Connection
from dsnb.emulator.delivery import AnyDelivery, PlainDelivery, Reply, StreamDelivery
from dsnb.emulator.engines.live import EngineFailure, LiveEngine, is_live
from dsnb.emulator.faults import BREAKS
from dsnb.emulator.headers import Headers
from dsnb.emulator.ledger import LedgerRow
from dsnb.emulator.output import AnyOutput, LiveOutput, Output
from dsnb.emulator.referee import ABORTED, Visit
from dsnb.emulator.relay import Relay
from dsnb.emulator.text_reply import TextReply
from dsnb.emulator.wire import Head, Usage, dumps

_T = TypeVar("_T")

_LARGE = 64 * 1024  # bytes; a larger request is worked on in another thread, so that it does not hold up the others
_KEEP_ALIVE_SECONDS = 10.0  # emulated; how often the API sends them is not published
_CEILING = 500  # requests at once, where the catalogue knows none: the smaller of the documented ceilings
_STALL_SECONDS = 600.0  # real; the API too gives a request ten minutes
_TYPICAL = 64  # tokens; within so many a fault strikes a live reply, whose length nobody knows before
_REASON = 300  # characters of a header that tells why an engine failed
# The errors behind the statuses that a fault can name. The 400 is the one that most clients have met.
_STATUSES = {
    400: "reasoning_missing",
    402: "balance_empty",
    500: "internal",
    502: "bad_gateway",
    503: "overloaded",
    504: "gateway_timeout",
}


class Exchange:
    """Serve one request: a chat, or with ``completion`` the middle of a text."""

    def __init__(
        self, backend: Backend, headers: Headers, connection: Connection, *, key: str, beta: bool, completion: bool
    ) -> None:
        self._backend = backend
        self._headers = headers
        self._connection = connection
        self._key = key
        self._beta = beta
        self._completion = completion
        self._ordinal = backend.ledger.arrive()
        self._fault = backend.faults.draw(self._ordinal)
        self._timeline = backend.clock.timeline()
        self._contract = backend.contract(self._timeline.began)
        self._model: str | None = None
        self._visit: Visit | None = None

    async def serve(self) -> None:
        """Answer the request, or break it as its fault says."""
        raw = await self._connection.body()
        if raw is None:
            self._enter(None, ABORTED)
            return
        self._visit = self._backend.referee.arrive(self._key, self._path, raw, self._backend.clock.pace)
        parse = partial(self._backend.parse, raw, self._contract, completion=self._completion)
        parsed = await self._off_loop(len(raw) > _LARGE, parse)
        if not isinstance(parsed, ErrorBody):
            self._backend.ledger.received(self._ordinal, dict(parsed))
            name = parsed.get("model")
            self._model = name if isinstance(name, str) else None
        if self._fault.kind == "refuse":
            self._enter(None, "refuse")
            await self._connection.reset()
        elif self._fault.kind == "status":
            await self._refuse(self._failure(), retry_after=self._fault.retry_after)
        elif not _is_json(self._connection.headers.get(b"content-type", b"")):
            await self._refuse(error("content_type_wrong"))
        elif isinstance(parsed, ErrorBody):
            await self._refuse(parsed)
        else:
            await self._answer(parsed, raw)

    async def _answer(self, parsed: Mapping[str, Any], raw: bytes) -> None:
        backend, large = self._backend, len(raw) > _LARGE
        read = partial(backend.read, parsed, raw, self._contract, beta=self._beta, completion=self._completion)
        request = await self._off_loop(large, read)
        if isinstance(request, ErrorBody):
            await self._refuse(request)
            return
        refusal = backend.admit(request.model)
        if refusal:
            if refusal.status == 429 and self._visit is not None:
                self._visit.limit = backend.account.limit(request.model)
            await self._refuse(refusal)
            return
        empty = self._fault.kind == "empty"
        with backend.account.slot(request.model):
            if is_live(backend.engine) and not empty:
                await self._relay(request, backend.engine)
                return
            try:
                output = await self._off_loop(large or backend.foreign, lambda: backend.reply(request, empty=empty))
            except Exception as problem:  # an engine is foreign code: its failure is a server's failure, and is told
                logging.getLogger(__name__).exception("The emulator's engine failed.")
                await self._refuse(_engine_failure(problem))
                return
            await self._deliver(request, output)

    async def _deliver(self, request: Request, output: Output) -> None:
        backend = self._backend
        cache = backend.account.cache(self._key, request.body.get("user_id"), request.model)
        hit = cache.lookup(request.prompt, self._timeline.at)
        prompt = len(request.prompt)
        head = self._head(request)
        usage = Usage(prompt, hit, output.total, output.reasoning_tokens, details=self._contract.wire.usage_details)
        reply = _reply(request, head, output, usage, backend.seed)
        delivery = self._delivery(request, reply, output)

        def settle(outcome: str, generated: int) -> None:
            self._settle(request, head, outcome, replace(usage, completion=generated), output)
            cache.store(request.prompt, output.ids[:generated], self._timeline.at)

        if not await self._queue(delivery):
            return
        strike = self._fault.token(output.total) if self._fault.kind in BREAKS else None
        last = output.total if strike is None else strike
        due = self._schedule(output.reasoning_tokens)
        if await self._generate(delivery, due, last):
            settle(output.finish_reason if strike is None else self._fault.kind, last)
            await self._finish(delivery, strike)
        else:
            self._timeline.interrupt()
            settle(ABORTED, bisect_right([due(token) for token in range(1, last + 1)], self._timeline.seconds))

    async def _relay(self, request: Request, engine: LiveEngine) -> None:
        """Pass on a reply as a live engine makes it, and bill what the engine counts.

        A failure is an error while nothing was sent, and after that the end of a reply that broke off.
        """
        head, output = self._head(request), LiveOutput(request.settings)
        details = self._contract.wire.usage_details
        reply = _reply(request, head, output, output.usage(len(request.prompt), details=details), None)
        delivery = self._delivery(request, reply, output)
        if not await self._queue(delivery):
            return
        fault, model, backend = self._fault, request.model, self._backend
        relay = Relay(self._connection, delivery, output, partial(backend.call_id, body=request.body))
        strike = fault.token(fault.at or _TYPICAL) if fault.kind in BREAKS else None
        longest = request.settings.max_tokens + (model.max_reasoning or 0)  # for an engine that overlooks the limit
        began, stays = time.monotonic(), True
        try:
            told = engine.pieces(backend.asked(request))
            stays = await relay.follow(told, longest if strike is None else strike)
        except EngineFailure as failure:
            logging.getLogger(__name__).warning("The emulator's engine %s failed: %s", engine.name, failure.reason)
            if not delivery.begun and not (request.settings.stream and output.opened):
                await self._refuse(failure.answer, reason=failure.reason)
                return
            relay.open()
            strike = None
        finally:
            self._timeline.spend(time.monotonic() - began)
        reply.usage = output.usage(len(request.prompt), details=details)
        if stays:
            outcome = output.finish_reason if strike is None else fault.kind
            self._settle(request, head, outcome, reply.usage, output)
            await self._finish(delivery, strike)
        else:
            self._settle(request, head, ABORTED, reply.usage, output)

    def _head(self, request: Request) -> Head:
        identity = draw.uuid4(self._backend.seed, "reply", self._ordinal)
        created = int(self._timeline.began.timestamp())
        return Head(identity, created, request.model.served, request.model.fingerprint)

    def _delivery(self, request: Request, reply: Reply, output: AnyOutput) -> AnyDelivery:
        kind = StreamDelivery if request.settings.stream else PlainDelivery
        return kind(self._connection, self._headers, reply, output)

    def _settle(self, request: Request, head: Head, outcome: str, usage: Usage, output: AnyOutput) -> None:
        """Bill and enter the row; before the last byte, so that whoever has it sees them."""
        self._timeline.end()
        miss = usage.prompt - usage.hit
        charged = cost(usage.hit, miss, usage.completion, self._contract.price(request.model))
        self._backend.account.charge(charged)
        row = LedgerRow(
            id=head.id,
            model=head.model,
            status=200,
            outcome=outcome,
            prompt_tokens=usage.prompt,
            cache_hit_tokens=usage.hit,
            completion_tokens=usage.completion,
            billed=True,
            cost=charged,
            started=self._timeline.began,
        )
        self._record(row)
        self._backend.known_calls.update(call.id for call in output.calls)

    async def _queue(self, delivery: AnyDelivery) -> bool:
        """Wait for the inference to begin, with keep-alives; return whether it does, else end the exchange."""
        if self._fault.kind != "queue":
            return True
        longest = self._contract.wire.queue_seconds
        waited = 0.0
        while waited < min(self._fault.seconds, longest):
            waited = min(waited + _KEEP_ALIVE_SECONDS, self._fault.seconds, longest)
            if not await self._reach(waited, delivery):
                self._timeline.interrupt()
                await self._abandon(ABORTED)
                return False
            delivery.put(delivery.keep_alive)
            await delivery.flush()
        if self._fault.seconds < longest:
            return True
        await self._abandon("queue")
        return False

    async def _abandon(self, outcome: str) -> None:
        """End an exchange whose inference never began."""
        self._timeline.end()
        self._enter(200, outcome)
        await self._connection.cut()

    def _schedule(self, thought: int | None) -> Callable[[int], float]:
        """Return when, in emulated seconds, each token is there."""
        queued = self._fault.seconds if self._fault.kind == "queue" else 0.0
        begin = queued + FIRST_TOKEN_SECONDS
        if self._fault.kind != "think" or not thought:
            return lambda token: begin + token / TOKENS_PER_SECOND
        long = self._fault.seconds

        def slow(token: int) -> float:
            return begin + long * min(token / thought, 1.0) + max(token - thought, 0) / TOKENS_PER_SECOND

        return slow

    async def _generate(self, delivery: AnyDelivery, due: Callable[[int], float], last: int) -> bool:
        """Generate up to the token ``last``; return whether the client stayed for it."""
        if not await self._reach(due(0), delivery):
            return False
        delivery.open()
        for event in delivery.events:
            if event.token > last:
                break
            wait = self._timeline.to(due(event.token))
            if (wait >= SHORTEST_SLEEP or delivery.full) and not await self._pause(wait, delivery):
                return False
            delivery.add(event)
        return await self._reach(due(last), delivery)

    async def _reach(self, seconds: float, delivery: AnyDelivery) -> bool:
        return await self._pause(self._timeline.to(seconds), delivery)

    async def _pause(self, wait: float, delivery: AnyDelivery) -> bool:
        """Send what is there if there is time to, and wait; return whether the client is still there."""
        if wait >= SHORTEST_SLEEP or delivery.full:
            await delivery.flush()
        return await self._connection.pause(wait)

    async def _finish(self, delivery: AnyDelivery, strike: int | None) -> None:
        """Send the rest, or break the reply where it stands."""
        connection, kind = self._connection, self._fault.kind
        if strike is None:
            delivery.put(delivery.rest())
            await delivery.end()
        elif kind == "stall":
            await delivery.flush()
            await connection.pause(_STALL_SECONDS)
            await connection.cut()
        elif kind in ("eof", "malformed"):
            delivery.put(delivery.part(strike) if kind == "eof" else delivery.malformed())
            await delivery.end()
        else:
            delivery.put(delivery.part(strike))
            await delivery.flush()
            await (connection.reset() if kind == "reset" else connection.cut())

    async def _refuse(self, refusal: ErrorBody, *, retry_after: int | None = None, reason: str = "") -> None:
        """Answer with an error, which costs nothing; ``reason`` is for whoever runs the emulator."""
        if self._visit is not None:
            self._visit.retry_after = retry_after
        self._enter(refusal.status, "rejected")
        extra = {} if retry_after is None else {"retry-after": str(retry_after)}
        if reason:
            extra["x-dsnb-reason"] = "".join(sign if " " <= sign <= "~" else "?" for sign in reason[:_REASON]).strip()
        fields = self._headers.fixed(refusal.content_type, refusal.body, extra)
        await self._connection.start(refusal.status, fields)
        await self._connection.end(refusal.body)

    def _enter(self, status: int | None, outcome: str) -> None:
        self._record(LedgerRow(None, self._model, status, outcome, started=self._timeline.began))

    def _record(self, row: LedgerRow) -> None:
        self._backend.ledger.enter(self._ordinal, row)
        if self._visit is not None:
            self._backend.referee.leave(self._visit, row)

    @property
    def _path(self) -> str:
        return f"{'beta ' if self._beta else ''}{'completion' if self._completion else 'chat'}"

    def _failure(self) -> ErrorBody:
        """Return the answer that a status fault gives."""
        status = self._fault.status or 500
        if status == 401:
            return invalid_key(self._key)
        if status == 429:
            limit = self._backend.account.concurrency or self._ceiling()
            return error("concurrency", current=limit + 1, limit=limit)
        return error(_STATUSES[status])

    def _ceiling(self) -> int:
        ceilings = [model.concurrency for model in self._contract.models if model.concurrency]
        return min(ceilings, default=_CEILING)

    async def _off_loop(self, apart: bool, work: Callable[[], _T]) -> _T:
        """Do work that may take long in another thread, everything else at once."""
        return await asyncio.to_thread(work) if apart else work()


def _reply(request: Request, head: Head, output: AnyOutput, usage: Usage, seed: int | None) -> Reply:
    """Return the reply in the form of the endpoint that was asked."""
    if not request.completion:
        return ChatReply(head, request.settings, output, usage, seed)
    prompt, echo = request.body["prompt"], request.body.get("echo") is True
    return TextReply(head, request.settings, output, usage, seed, prompt=prompt, echo=echo)


def _is_json(content_type: bytes) -> bool:
    kind = content_type.partition(b";")[0].strip().lower()
    return kind == b"application/json" or (kind.startswith(b"application/") and kind.endswith(b"+json"))


def _engine_failure(problem: Exception) -> ErrorBody:
    message = f"The emulator's engine failed: {type(problem).__name__}: {problem}"
    body = {
        "error": {"message": message, "type": "internal_server_error", "param": None, "code": "internal_server_error"}
    }
    return ErrorBody(500, "application/json", dumps(body).encode("utf-8", "replace"))
