"""What `connect` returns: the rooms below, composed. Nothing is decided here that a room below could decide."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from dsnb import display
from dsnb.client.account import Balance, ModelCard, balance, models
from dsnb.client.endpoint import Endpoint
from dsnb.client.events import Event
from dsnb.client.exchange import Exchange
from dsnb.client.lint import current_model, examine
from dsnb.client.pricing import price_of
from dsnb.client.reply import Reply
from dsnb.client.request import Messages, build
from dsnb.client.timeouts import Timeouts
from dsnb.client.transport import AsyncClient, SyncClient, Transport
from dsnb.contract import Contract, at
from dsnb.display import View
from dsnb.errors import DsnbError

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

    from dsnb.emulator import Emulator


class Session:
    """Ask DeepSeek, or the emulator, and keep the last reply at hand. Made by `connect`.

    A session is safe to share between threads and tasks; ``last`` is then whichever reply came last. It is a context
    manager; without one, its connections close with the process.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        model: str,
        timeouts: Timeouts,
        as_of: datetime | None = None,
        http_client: SyncClient | AsyncClient | None = None,
        emulator: Emulator | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.model = model
        self.timeouts = timeouts
        self.emulator = emulator
        self.last: Reply | None = None
        self._as_of = as_of
        self._transport = Transport(endpoint, timeouts, http_client)

    @property
    def openai(self) -> OpenAI:
        """The tuned client of the SDK, for code that wants it raw: our limits, and no retries of its own."""
        return self._transport.openai

    @property
    def async_openai(self) -> AsyncOpenAI:
        """The tuned async client of the SDK."""
        return self._transport.async_openai

    @property
    def contract(self) -> Contract:
        """The contract in force: at ``as_of`` where that was given, at the emulator's date offline, else now."""
        return at(self._as_of or datetime.now(UTC))

    def ask(self, prompt: str | Messages, *, render: str | None = "auto", **options: Any) -> Reply:
        """Ask, show the turn while it runs, and return the Reply.

        ``render`` chooses how it is shown: ``live``, ``final``, ``plain``, None for not at all, or ``auto`` (see
        `dsnb.render`). Takes the options of `stream`, and raises what it raises.
        """
        exchange = self._exchange(prompt, **options)
        with self._showing(exchange, render) as show, closing(self._run(exchange)) as events:
            for event in events:
                show(event)
        return exchange.reply

    async def aask(self, prompt: str | Messages, *, render: str | None = "auto", **options: Any) -> Reply:
        """Do as `ask` does, for an event loop."""
        exchange = self._exchange(prompt, **options)
        with self._showing(exchange, render) as show:
            async with aclosing(self._arun(exchange)) as events:
                async for event in events:
                    show(event)
        return exchange.reply

    def stream(self, prompt: str | Messages, **options: Any) -> Iterator[Event]:
        """Ask, and yield typed events as they come; nothing is displayed.

        ``prompt`` is a text or a list of messages. The options, none of them needed: ``model, thinking`` (bool),
        ``effort`` (none, low, high, max and the API's other spellings), ``tools, tool_choice, json, stop,
        max_tokens, user_id, temperature, top_p, stream`` (False asks for one JSON reply), ``deadline`` (seconds for
        the whole turn) and ``lint`` (False sends what the API would reject). Anything else passes untouched.

        The last event is ``end``, with the Reply, which is also `last`. Closing the generator early ends the turn as
        ``interrupted``. Raises RequestRejected or UnknownModel before anything is sent, and ApiError,
        ConnectionFailed, DeadlineExceeded or MalformedReply, with the partial reply, where no reply could be had.
        """
        return self._run(self._exchange(prompt, **options))

    def astream(self, prompt: str | Messages, **options: Any) -> AsyncIterator[Event]:
        """Do as `stream` does, for an event loop."""
        return self._arun(self._exchange(prompt, **options))

    def balance(self) -> Balance:
        """Return the account's balance (GET /user/balance, a free call)."""
        return balance(self._transport)

    def models(self) -> tuple[ModelCard, ...]:
        """Return the models that the endpoint lists (GET /models, a free call)."""
        return models(self._transport)

    def close(self) -> None:
        """Close the connections, and the emulator where `connect` started one."""
        self._transport.close()
        if self.emulator is not None:
            self.emulator.close()

    async def aclose(self) -> None:
        """Close the async connections too."""
        await self._transport.aclose()
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        where = f"offline, {self.emulator!r}" if self.emulator is not None else f"live, {self.endpoint.base_url}"
        return f"<dsnb.Session {where} · {self.model}>"

    def _run(self, exchange: Exchange) -> Generator[Event]:
        try:
            yield from self._transport.run(exchange)
        finally:
            self.last = exchange.reply
        yield exchange.end()

    async def _arun(self, exchange: Exchange) -> AsyncGenerator[Event]:
        try:
            async for event in self._transport.arun(exchange):
                yield event
        finally:
            self.last = exchange.reply
        yield exchange.end()

    @contextmanager
    def _showing(self, exchange: Exchange, render: str | None) -> Iterator[View]:
        """Open a view for a turn, and close it however the turn ends."""
        if self.emulator is not None:  # what nobody watches need not take its time
            self.emulator.clock.pace = 1.0 if display.chosen(render) == "live" else 0.0
        body = exchange.request.body
        switch = body.get("thinking")
        thinking = switch.get("type") != "disabled" if isinstance(switch, dict) else None
        view = display.view(
            render, model=exchange.reply.asked_model, thinking=thinking, effort=body.get("reasoning_effort")
        )
        error: DsnbError | None = None
        try:
            yield view
        except DsnbError as problem:
            error = problem
            raise
        finally:
            view.close(exchange.reply, error)

    def _exchange(
        self,
        prompt: str | Messages,
        *,
        model: str | None = None,
        thinking: bool | None = None,
        deadline: float | None = None,
        lint: bool = True,  # the public name of the switch
        **options: Any,
    ) -> Exchange:
        """Build the request, hold it against the contract, and make it ready to send."""
        provider, contract = self.endpoint.provider, self.contract
        name = model or self.model
        if provider.contract and lint:
            name, thinking = current_model(name, thinking, contract)
        request = build(prompt, model=provider.models.get(name, name), thinking=thinking, **options)
        notes = examine(request, contract) if provider.contract and lint else ()
        timeouts = self.timeouts if deadline is None else replace(self.timeouts, deadline=deadline)
        pricing = price_of(contract) if provider.contract else None
        return Exchange(request, self.endpoint, timeouts, pricing=pricing, notes=notes)
