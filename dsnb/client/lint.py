"""Hold a request against the contract before it is sent."""

from __future__ import annotations

import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, Final

from dsnb.client.request import Request
from dsnb.contract import Contract, Finding
from dsnb.contract.finding import noticed
from dsnb.contract.prompt import segments
from dsnb.contract.requests import check, check_completion
from dsnb.contract.settings import settings
from dsnb.contract.tokens import prompt_tokens, spread
from dsnb.errors import DsnbWarning, RequestRejected, RetiredModel, UnknownModel

_PLACE: Final = re.compile(r"messages\[(\d+)\](?:\.(\w+))?")
_APART: Final = {"reasoning_content": "reasoning", "tool_calls": "tool calls"}
_CHARACTERS_PER_TOKEN = 8  # English has about 4 and nothing usual has 8: a prompt shorter than this cannot overflow


def current_model(name: str, thinking: bool | None, contract: Contract) -> tuple[str, bool | None]:
    """Return the model and thinking switch to ask for today where ``name`` was retired, with one warning.

    Raises UnknownModel for a name that never was.
    """
    try:
        contract.model(name)
    except RetiredModel as retired:
        switch = {None: "", True: ", thinking=True", False: ", thinking=False"}[retired.thinking]
        warnings.warn(
            f"{name} was retired. Asking for model={retired.replacement!r}{switch} instead, "
            "which is what it stood for; write that to be rid of this warning.",
            DsnbWarning,
            stacklevel=_level_of_caller(),
        )
        return retired.replacement, retired.thinking if thinking is None else thinking
    return name, thinking


def _level_of_caller() -> int:
    """Return the stack level of the code that called dsnb, where a warning is of use."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 — skip_file_prefixes needs Python 3.12
    level = 1
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "dsnb":
        frame, level = frame.f_back, level + 1
    return level


def without_idle_thinking(request: Request, contract: Contract) -> tuple[Request, tuple[Finding, ...]]:
    """Return the request with thinking switched off where it cannot be had, and a finding that says so.

    That is where a tool must be called, which a model that thinks refuses, and where the answer has begun. A request
    that says how to think, begins the reasoning too, or asks a model that has no switch, stays as it is.
    """
    body = request.body
    if request.completion or {"thinking", "reasoning_effort"} & body.keys():
        return request, ()
    try:
        model = contract.model(str(body.get("model")))
    except UnknownModel:
        return request, ()  # which `examine` tells
    meant = settings(body, model)
    if model.thinking != "switch" or not meant.thinking:
        return request, ()
    if meant.forced:
        why = noticed("forced_without_thinking", "tool_choice")
    elif request.start and not body["messages"][-1].get("reasoning_content"):
        why = noticed("start_without_thinking", "thinking")
    else:
        return request, ()
    return Request(request.path, body | {"thinking": {"type": "disabled"}}), (why,)


def judge(request: Request, contract: Contract) -> list[Finding]:
    """Return all that the contract has to say about a request, rejections first."""
    body = request.body
    if request.completion:
        return check_completion(body, contract, beta=True)
    return check(body, contract, beta=request.beta, prompt_tokens=_long(body, contract))


def examine(request: Request, contract: Contract) -> tuple[Finding, ...]:
    """Return what the contract has to say about a request that it accepts; raise RequestRejected for any other."""
    findings = judge(request, contract)
    rejected = [finding for finding in findings if finding.effect == "rejected"]
    if rejected:
        raise RequestRejected(_message(rejected), findings=rejected)
    return tuple(findings)


def billed(request: Request, contract: Contract) -> Iterator[Finding]:
    """Yield what each message adds to the prompt, in tokens, reasoning and calls apart; raise UnknownModel."""
    body = request.body
    counts: Counter[tuple[int, str]] = Counter()
    for place, tokens in spread(segments(body, contract.model(str(body.get("model"))))).items():
        if found := _PLACE.match(place):
            counts[int(found[1]), found[2] or ""] += tokens
    for index in range(len(body["messages"])):
        total = sum(counts[index, field] for field in ("", *_APART, "content"))
        parts = "".join(
            f", {counts[index, field]} of them {name}" for field, name in _APART.items() if counts[index, field]
        )
        yield noticed("message_billed", f"messages[{index}]", tokens=total, parts=parts)


def _long(body: Mapping[str, Any], contract: Contract) -> int | None:
    """Count the prompt's tokens only where it is long enough to overflow the context."""
    try:
        model = contract.model(str(body.get("model")))
        characters = sum(len(str(message)) for message in body["messages"])
    except (RequestRejected, LookupError, TypeError):
        return None
    if characters < model.context_window // _CHARACTERS_PER_TOKEN:
        return None
    return prompt_tokens(body, model)


def _message(rejected: Sequence[Finding]) -> str:
    lines = [f"{finding.where}: {finding.message.rstrip('.')}. {finding.mend}" for finding in rejected]
    head = "The API would reject this request, so it was not sent"
    body = f": {lines[0]}" if len(lines) == 1 else ":\n" + "\n".join(f"  - {line}" for line in lines)
    return f"{head}{body}\n(lint=False sends it all the same.)"
