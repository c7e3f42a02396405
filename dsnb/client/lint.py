"""Hold a request against the contract before it is sent."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

from dsnb.client.request import Request
from dsnb.contract import Contract, Finding
from dsnb.contract.requests import check
from dsnb.contract.tokens import prompt_tokens
from dsnb.errors import DsnbWarning, RequestRejected, RetiredModel

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


def examine(request: Request, contract: Contract) -> tuple[Finding, ...]:
    """Return what the contract has to say about a request that it accepts; raise RequestRejected for any other."""
    findings = check(
        request.body, contract, beta=request.path.startswith("/beta"), prompt_tokens=_long(request.body, contract)
    )
    rejected = [finding for finding in findings if finding.effect == "rejected"]
    if rejected:
        raise RequestRejected(_message(rejected), findings=rejected)
    return tuple(findings)


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
