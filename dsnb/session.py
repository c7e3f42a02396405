"""What `connect` returns: the rooms below, composed. Nothing is decided here that a room below could decide."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, aclosing, closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from dsnb import display
from dsnb.client.account import Balance, ModelCard, balance, models
from dsnb.client.budget import Budget
from dsnb.client.endpoint import Endpoint
from dsnb.client.events import Event
from dsnb.client.gate import Gate, gate
from dsnb.client.records import audience
from dsnb.client.reply import Reply
from dsnb.client.request import Messages
from dsnb.client.retry import Retry
from dsnb.client.stopping import Stopped
from dsnb.client.timeouts import Timeouts
from dsnb.client.transport import AsyncClient, SyncClient, Transport
from dsnb.completion import Completion
from dsnb.contract import Contract, at
from dsnb.conversation import Conversation
from dsnb.display import View
from dsnb.display.findings import Findings
from dsnb.display.stop_button import StopButton
from dsnb.errors import DsnbError
from dsnb.question import Question
from dsnb.turn import Asking, Turn

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

    from dsnb.display.explorer import Explorer
    from dsnb.emulator import Emulator
    from dsnb.usage import UsageLog


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
        usage: UsageLog,
        retry: Retry | None = None,
        fallback: Sequence[Endpoint] = (),
        budget: Budget | None = None,
        emulator: Emulator | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.model = model
        self.timeouts = timeouts
        self.emulator = emulator
        self.usage = usage
        self.last: Reply | None = None
        self.as_of = as_of  # None: the contract of the day
        self.http_client = http_client
        self.retry = retry or Retry()
        self.budget = budget
        self.endpoints = (endpoint, *fallback)
        self._transports = {each: Transport(each, timeouts, http_client) for each in self.endpoints}
        self._transport = self._transports[endpoint]
        self._gates: dict[tuple[str, str], Gate] = {}  # held, since gates live as long as somebody uses them

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
        return at(self.as_of or datetime.now(UTC))

    @property
    def source(self) -> str:
        """Whether ``live`` hosts answer or an ``emulator`` of dsnb."""
        return "emulator" if self.endpoint.provider.name == "emulator" else "live"

    def ask(self, prompt: str | Messages, *, render: str | None = "auto", **options: Any) -> Reply:
        """Ask, show the turn while it runs, and return the Reply.

        ``render`` chooses how it is shown: ``live``, ``final``, ``plain``, None for not at all, or ``auto`` (see
        `dsnb.render`). Takes the options of `stream`, and raises what it raises.
        """
        return self._shown(self._turn(prompt, **options), render, options.get("into"))

    async def aask(self, prompt: str | Messages, *, render: str | None = "auto", **options: Any) -> Reply:
        """Do as `ask` does, for an event loop."""
        return await self._ashown(self._turn(prompt, **options), render, options.get("into"))

    def stream(self, prompt: str | Messages, **options: Any) -> Iterator[Event]:
        """Ask, and yield typed events as they come; nothing is displayed.

        ``prompt`` is a text or a list of messages. The options, none of them needed: ``model, thinking`` (bool),
        ``effort`` (none, low, high, max and the API's other spellings), ``tools`` (functions, `dsnb.tool`, or the
        API's own schemas), ``tool_choice, json`` (True, or a type that ``reply.parsed`` is to have), ``start`` (text
        that the answer goes on from), ``stop, max_tokens, user_id, temperature, top_p, stream`` (False asks for one
        JSON reply), ``deadline`` (seconds for the whole turn), ``max_rounds`` (requests of one turn with tools),
        ``into`` (a conversation that the turn belongs to) and ``lint`` (False sends what the API would reject).
        Anything else passes untouched.

        The last event is ``end``, with the Reply, which is also `last`. Closing the generator early ends the turn as
        ``interrupted``. Raises RequestRejected or UnknownModel before anything is sent, and ApiError,
        ConnectionFailed, DeadlineExceeded or MalformedReply, with the partial reply, where no reply could be had.
        """
        return self._run(self._turn(prompt, **options))

    def astream(self, prompt: str | Messages, **options: Any) -> AsyncIterator[Event]:
        """Do as `stream` does, for an event loop."""
        return self._arun(self._turn(prompt, **options))

    def explore(self, by: str = "model", currency: str = "USD") -> Explorer:
        """Return a picture of where the money went, with choices in a notebook (see `dsnb.display.explorer`)."""
        from dsnb.display.explorer import Explorer

        return Explorer(self.usage, by, currency)

    def run(self, name: str) -> AbstractContextManager[UsageLog]:
        """Name what is logged inside: ``with ds.run("my experiment"): ...`` (see `dsnb.UsageLog.run`)."""
        return self.usage.run(name)

    def complete(self, prompt: str, suffix: str | None = None, *, render: str | None = "auto", **options: Any) -> Reply:
        """Go on with a text, up to ``suffix`` where there is one (fill-in-the-middle, beta); return the Reply.

        ``r.answer`` is what was written, ``r.text`` the whole: prompt, answer, suffix. The options: ``model,
        max_tokens`` (4096 at most), ``stop, logprobs`` (a number), ``echo, temperature, top_p, stream, deadline,
        lint``. The model does not think here (guide 'FIM Completion'). Raises what `stream` raises.
        """
        return self._shown(self._completion(prompt, suffix, **options), render)

    async def acomplete(
        self, prompt: str, suffix: str | None = None, *, render: str | None = "auto", **options: Any
    ) -> Reply:
        """Do as `complete` does, for an event loop."""
        return await self._ashown(self._completion(prompt, suffix, **options), render)

    def lint(self, prompt: str | Messages, **options: Any) -> Findings:
        """Return what the API would say to a question: what it rejects, ignores and bills; nothing is sent.

        Takes the options of `stream`. Last comes what each message adds to the prompt, in tokens.
        """
        return Findings(self._question(prompt, **options).findings(self.endpoint, self.contract))

    def conversation(
        self, *, system: str | None = None, tools: Sequence[Any] | None = None, **options: Any
    ) -> Conversation:
        """Return a conversation to ask in, several turns with one history; see `dsnb.Conversation`.

        ``system`` is its first message, ``tools`` and the other options of `stream` are those of every turn.
        """
        return Conversation(self, system=system, tools=tools, **options)

    def gate(self, endpoint: Endpoint | None = None, model: str | None = None) -> Gate:
        """Return the gate through which requests to a model pass: how many are under way, and whether it is shut.

        All sessions of the process that ask the same model at the same endpoint share it.
        """
        url, name, retry = (endpoint or self.endpoint).base_url, model or self.model, self.retry
        if (url, name) not in self._gates:
            settings = {"failures": retry.failures, "probe": retry.probe, "longest": retry.longest_probe}
            self._gates[url, name] = gate(url, name, **settings)
        return self._gates[url, name]

    def balance(self) -> Balance:
        """Return the account's balance (GET /user/balance, a free call)."""
        return balance(self._transport)

    def models(self) -> tuple[ModelCard, ...]:
        """Return the models that the endpoint lists (GET /models, a free call)."""
        return models(self._transport)

    def close(self) -> None:
        """Close the connections, and the emulator where `connect` started one."""
        for transport in self._transports.values():
            transport.close()
        if self.emulator is not None:
            self.emulator.close()
        self.usage.close()

    async def aclose(self) -> None:
        """Close the async connections too."""
        for transport in self._transports.values():
            await transport.aclose()
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
        where = f"live, {self.endpoint.base_url}"
        if self.source == "emulator":
            where = f"offline, {self.emulator or self.endpoint.base_url}"
        down = [name for (_, name), gate in self._gates.items() if not gate.open]
        state = f" · {', '.join(down)} down" if down else ""
        return f"<dsnb.Session {where} · {self.model}{state}>"

    def _shown(self, turn: Turn, render: str | None, into: Conversation | None = None) -> Reply:
        with self._showing(turn, render, into) as show, closing(self._run(turn)) as events:
            for event in events:
                show(event)
        return turn.reply

    async def _ashown(self, turn: Turn, render: str | None, into: Conversation | None = None) -> Reply:
        with self._showing(turn, render, into, asyncio.current_task()) as show:
            async with aclosing(self._arun(turn)) as events:
                async for event in events:
                    show(event)
        return turn.reply

    def _run(self, turn: Turn) -> Generator[Event]:
        try:
            with closing(turn.course()) as course, suppress(Stopped):
                for step in course:
                    turn.stop.check()
                    yield from step.run(self._transports.__getitem__, turn.stop)
        finally:
            self.last = turn.reply
        yield turn.end()

    async def _arun(self, turn: Turn) -> AsyncGenerator[Event]:
        try:
            with closing(turn.course()) as course, suppress(Stopped):
                for step in course:
                    turn.stop.check()
                    async with aclosing(step.arun(self._transports.__getitem__, turn.stop)) as events:
                        async for event in events:
                            yield event
        finally:
            self.last = turn.reply
        yield turn.end()

    @contextmanager
    def _showing(
        self, turn: Turn, render: str | None, into: Conversation | None, task: asyncio.Task[Any] | None = None
    ) -> Iterator[View]:
        """Open a view for a turn, and close it however the turn ends; ``task`` drives it, where an event loop does."""
        if self.emulator is not None:  # what nobody watches need not take its time
            self.emulator.clock.pace = 1.0 if display.chosen(render) == "live" else 0.0
        asked, stop = turn.record, StopButton(turn.stop.ask, task)
        view = display.view(
            render,
            model=asked.asked_model,
            thinking=asked.thinking,
            effort=asked.effort,
            prose=not (turn.request.start or turn.request.completion),
            messages=() if into is None else turn.request.body["messages"],
            stop=stop,
        )
        error: DsnbError | None = None
        try:
            with stop:
                yield view
        except DsnbError as problem:
            error = problem
            raise
        finally:
            view.close(turn.reply, error)

    def _turn(self, prompt: str | Messages, *, into: Conversation | None = None, **options: Any) -> Turn:
        question = self._question(prompt, into=into, **options)
        return self._begin(question, partial(into.take, question.prompt) if into is not None else None)

    def _question(
        self, prompt: str | Messages, *, model: str | None = None, into: Conversation | None = None, **options: Any
    ) -> Question:
        history = into.messages if into is not None else ()
        return Question(prompt, model=model or self.model, history=history, **options)

    def _completion(self, prompt: str, suffix: str | None, *, model: str | None = None, **options: Any) -> Turn:
        return self._begin(Completion(prompt, model=model or self.model, suffix=suffix, **options))

    def _begin(self, question: Asking, keep: Callable[[Reply], None] | None = None) -> Turn:
        """Make a turn, held against the contract and ready to run."""
        return Turn(
            question,
            self.endpoints,
            self.contract,
            self.timeouts,
            gates=self.gate,
            retry=self.retry,
            source=self.source,
            sink=audience(self.usage),
            budget=self.budget,
            keep=keep,
        )
