"""What stands behind the HTTP: the contract, the account, the engine, and how a request becomes a reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from dsnb.contract import Contract, Model, Settings, at, prompt, requests, tokens
from dsnb.contract import settings as reading
from dsnb.contract.error_bodies import ErrorBody, error
from dsnb.contract.finding import Finding
from dsnb.emulator import draw
from dsnb.emulator.account import Account
from dsnb.emulator.clock import Clock
from dsnb.emulator.engines import Answer, Engine, EngineRequest, LiveEngine
from dsnb.emulator.engines.live import is_live
from dsnb.emulator.faults import Schedule
from dsnb.emulator.ledger import Ledger
from dsnb.emulator.output import Output, generate
from dsnb.emulator.referee import Referee


@dataclass(frozen=True, slots=True)
class Request:
    """Hold a request that the API accepts, as read under the contract of its moment; ``prompt`` are its token ids.

    With ``completion`` it is one of fill-in-the-middle completion, without it one of chat.
    """

    body: Mapping[str, Any]
    model: Model
    settings: Settings
    ignored: tuple[Finding, ...]
    prompt: Sequence[int]
    completion: bool


@dataclass(slots=True)
class Backend:
    """Hold all that one emulator's requests share. Only the server's thread writes to it."""

    as_of: Contract
    clock: Clock
    account: Account
    engine: Engine | LiveEngine
    foreign: bool  # an engine from outside may take its time, and is asked in another thread
    seed: int
    passback: str
    faults: Schedule
    ledger: Ledger
    referee: Referee = field(default_factory=Referee)
    known_calls: set[str] = field(default_factory=set)  # the tool calls that a warm server remembers

    def contract(self, instant: datetime) -> Contract:
        """Return the contract in force at an emulated instant; replies tell time in whole seconds."""
        return at(instant.replace(microsecond=0))

    def parse(self, raw: bytes, contract: Contract, *, completion: bool) -> Mapping[str, Any] | ErrorBody:
        """Return the JSON object in ``raw``, or the API's answer to what is no JSON or of the wrong shape."""
        parsed = requests.parse(raw, contract, completion=completion)
        return _refusal([parsed]) if isinstance(parsed, Finding) else parsed

    def read(
        self, parsed: Mapping[str, Any], raw: bytes, contract: Contract, *, beta: bool, completion: bool
    ) -> Request | ErrorBody:
        """Return the request, or the API's answer to the first thing that is wrong with it."""
        check = partial(requests.check_completion, parsed, contract, beta=beta, raw=raw)
        if not completion:
            check = partial(requests.check, parsed, contract, beta=beta, raw=raw, passback=self.passback)
            check = partial(check, known_calls=self.known_calls)
        findings = check()
        if any(finding.effect == "rejected" for finding in findings):
            return _refusal(findings)
        model = contract.model(parsed["model"])
        settings = (reading.completion_settings if completion else reading.settings)(parsed, model)
        ids = tokens.ids(prompt.fill_in_middle(parsed) if completion else prompt.segments(parsed, model))
        if len(ids) + settings.max_tokens * settings.explicit_max_tokens > contract.wire.context_limit:
            return _refusal(check(prompt_tokens=len(ids)))
        # What depends on the route is left out: a reply is to be the same on each of them.
        ignored = [one for one in findings if one.effect == "ignored" and not one.rule.startswith("tools.strict")]
        return Request(parsed, model, settings, tuple(ignored), ids, completion)

    def admit(self, model: Model) -> ErrorBody | None:
        """Return the API's answer to a request that the account cannot pay for or has no slot for, None for neither."""
        if not self.account.available:
            return error("balance_empty")
        limit = self.account.limit(model)
        active = self.account.active(model)
        if limit is not None and active >= limit:
            return error("concurrency", current=active + 1, limit=limit)
        return None

    def asked(self, request: Request) -> EngineRequest:
        """Return what an engine may know of a request."""
        return EngineRequest(
            body=request.body,
            contract=self.as_of,
            model=request.model,
            settings=request.settings,
            prompt_tokens=len(request.prompt),
            ignored=request.ignored,
            seed=self.seed,
        )

    def reply(self, request: Request, *, empty: bool = False) -> Output:
        """Return the engine's answer as it is generated, or none at all; a pure function of request and seed.

        A live engine can only say nothing in this way.
        """
        answer = Answer() if empty or is_live(self.engine) else self.engine.answer(self.asked(request))
        if request.completion:
            answer = replace(answer, reasoning=None, tool_calls=())  # a text completion has neither
        calls = [
            call if call.id else replace(call, id=self.call_id(index, request.body))
            for index, call in enumerate(answer.tool_calls)
        ]
        return generate(replace(answer, tool_calls=tuple(calls)), request.settings, request.model)

    def call_id(self, index: int, body: Mapping[str, Any]) -> str:
        """Return a tool call's id, the same whenever the same request comes again."""
        name = ("call", self.seed, index, body.get("messages"))
        if self.as_of.wire.tool_call_ids == "indexed-uuid":
            return f"call_{index}_{draw.uuid4(*name)}"
        return f"call_{index:02d}_{draw.alphanumeric(24, *name)}"


def _refusal(findings: Sequence[Finding]) -> ErrorBody:
    """Return the answer to the first thing that the API objects to."""
    return next((finding.error for finding in findings if finding.error is not None), error("internal"))
