"""What is asked, before it is decided who answers: messages, options, tools, and the form of the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final

from dsnb.client.endpoint import Endpoint
from dsnb.client.exchange import Exchange
from dsnb.client.lint import billed, current_model, examine, judge, without_idle_thinking
from dsnb.client.output_format import JsonOutput
from dsnb.client.pricing import price_of
from dsnb.client.reply import Reply
from dsnb.client.request import Messages, Request, build, continued, messages_of
from dsnb.client.timeouts import Timeouts
from dsnb.completion import refuse_elsewhere
from dsnb.contract import Contract, Finding
from dsnb.contract.passback import rendered, stripped
from dsnb.contract.settings import settings
from dsnb.errors import RequestError, UnknownModel
from dsnb.tools import Toolbox

ROUNDS: Final = 16  # requests of one turn: what ends by itself ends sooner, and what does not ends here


class Question:
    """Hold what one turn asks, and make the request of each of its rounds.

    ``prompt`` is sent as it is. ``history`` is what came before it, with everything that it holds: a conversation's,
    rendered for the model that is to answer. The options are those of `dsnb.Session.ask`. Raises RequestError for
    what cannot be asked.
    """

    def __init__(
        self,
        prompt: str | Messages,
        *,
        model: str,
        history: Messages = (),
        thinking: bool | None = None,
        tools: Sequence[Any] | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        json: Any = False,
        start: str | None = None,
        deadline: float | None = None,
        max_rounds: int = ROUNDS,
        lint: bool = True,  # the public name of the switch
        **options: Any,
    ) -> None:
        if not isinstance(max_rounds, int) or max_rounds < 1:
            raise RequestError(f"max_rounds={max_rounds!r} leaves nothing to ask: give a whole number from 1 up.")
        self.prompt = messages_of(prompt)
        self.toolbox = Toolbox(tools or ())
        self.output = JsonOutput(json) if json is not False and json is not None else None
        self.deadline = deadline
        self.max_rounds = max_rounds
        self._model = model
        self._thinking = thinking
        self._history = messages_of(history)
        self._tool_choice = tool_choice
        self._start = start
        self._lint = lint
        self._options = options
        self._idle = False
        self._current: tuple[str, bool | None] | None = None

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
        """Return the next request of the turn, ready to send.

        ``added`` are the messages that the turn has added so far, ``spent`` the seconds of its deadline that are
        gone. ``begun`` is an answer that was cut, and that the request is to go on with, within ``max_tokens``. Raises
        RequestRejected or UnknownModel where the contract forbids the request.
        """
        request, notes = self._made(added, endpoint, contract)
        if begun is not None:
            request = continued(request, begun, max_tokens)
        held = endpoint.provider.contract
        if held and self._lint:
            notes += tuple(note for note in examine(request, contract) if not self._keeps(note))
        limits = timeouts if self.deadline is None else replace(timeouts, deadline=self.deadline)
        pricing = price_of(contract) if held else None
        return Exchange(request, endpoint, limits, pricing=pricing, notes=notes, spent=spent)

    def findings(self, endpoint: Endpoint, contract: Contract) -> Iterator[Finding]:
        """Yield what there is to say about the first request, rejections first, and what each message is billed."""
        request, notes = self._made((), endpoint, contract)
        yield from sorted([*judge(request, contract), *notes], key=lambda finding: finding.effect != "rejected")
        with suppress(UnknownModel):
            yield from billed(request, contract)

    def _made(self, added: Messages, endpoint: Endpoint, contract: Contract) -> tuple[Request, tuple[Finding, ...]]:
        provider = endpoint.provider
        if provider.contract:
            request, notes = self._by_contract(added, contract)
        else:
            request, notes = self._request(added, provider.models.get(self._model, self._model), self._thinking), ()
            if request.beta:
                refuse_elsewhere(endpoint, "An answer that is begun with start=...")
            if not provider.passback:
                request.body["messages"] = self._kept(request.body["messages"], stripped)
        if self.output is not None:
            request.body["messages"] = self.output.instructed(request.body["messages"])
        return request, self.toolbox.notes + notes

    def _kept(
        self, messages: list[dict[str, Any]], render: Callable[[Messages], list[dict[str, Any]]]
    ) -> list[dict[str, Any]]:
        """Return the messages rendered, all but the prompt, which is the caller's and stays as it is."""
        given = slice(len(self._history), len(self._history) + len(self.prompt))
        sent = render(messages)
        sent[given] = messages[given]
        return sent

    def _by_contract(self, added: Messages, contract: Contract) -> tuple[Request, tuple[Finding, ...]]:
        """Return the request as the model that is asked for wants it, and what was changed for that."""
        if self._current is None:
            known = current_model(self._model, self._thinking, contract) if self._lint else None
            self._current = known or (self._model, self._thinking)
        name, thinking = self._current
        request = self._request(added, name, thinking, beta=self.toolbox.strict)
        notes: tuple[Finding, ...] = ()
        if not added:
            request, notes = without_idle_thinking(request, contract)
            self._idle = bool(notes)
        elif self._idle:  # and stays so for the whole turn
            request.body["thinking"] = {"type": "disabled"}
        try:
            model = contract.model(name)
        except UnknownModel:  # which the lint tells, or the API
            return request, notes
        meant = settings(request.body, model)
        render = partial(rendered, model=model, thinking=meant.thinking, tools=bool(request.body.get("tools")))
        request.body["messages"] = self._kept(request.body["messages"], render)
        return request, notes

    def _request(self, added: Messages, model: str, thinking: bool | None, *, beta: bool = False) -> Request:
        """Return the request with every message as it is kept here."""
        return build(
            [*self._history, *self.prompt, *added],
            model=model,
            thinking=thinking,
            tools=self.toolbox.schemas or None,
            # a tool that must be called has been called, and an answer that was begun goes on by itself
            tool_choice="auto" if added and self._forces else self._tool_choice,
            start=None if added else self._start,
            json=self.output is not None,
            beta=beta,
            **self._options,
        )

    def _keeps(self, note: Finding) -> bool:
        """Whether a note is about reasoning that stands in the history, which is kept whole on purpose."""
        given = any(message.get("reasoning_content") for message in self.prompt)
        return note.rule == "history.reasoning_ignored" and bool(self._history) and not given

    @property
    def _forces(self) -> bool:
        return self._tool_choice == "required" or isinstance(self._tool_choice, Mapping)
