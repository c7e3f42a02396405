"""What the API would say to a request, before it is sent.

`parse` reads bytes as the server does, `check` judges what was read. The emulator answers with the first rejection;
the client tells its user every finding, with the rule and the mend. New rules belong into the rooms below:
`shape.py` (types), `parameters.py` (values and tools), `history.py` (messages), `strict_schema.py`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from dsnb.contract import history, parameters, strict_schema
from dsnb.contract.catalogue import Contract, Model
from dsnb.contract.error_bodies import misshapen, rows
from dsnb.contract.finding import Finding, hint, noticed, rejected
from dsnb.contract.serde import SerdeError
from dsnb.contract.settings import COMPLETION_TOKENS, Settings, completion_settings, settings
from dsnb.contract.shape import COMPLETION, Struct, image_handling, load, request_shape
from dsnb.errors import RetiredModel, UnknownModel

__all__ = ["Finding", "check", "check_completion", "parse"]

# Fill-in-the-middle completion, by the reference 'Create FIM Completion' (2026-09).
_COMPLETION_LOGPROBS = 20
_PENALTIES = ("frequency_penalty", "presence_penalty")
_COMPLETION_PARAMETERS = (*_PENALTIES, "temperature", "top_p", "stop", "stream_options")


def parse(raw: bytes, contract: Contract, *, completion: bool = False) -> Mapping[str, Any] | Finding:
    """Return the request that bytes hold, or the finding that says in the server's words why they hold none.

    Whatever the bytes are, nothing is raised. With ``completion`` they are read as a fill-in-the-middle request.
    """
    shape = COMPLETION if completion else request_shape(contract)
    try:
        body: Mapping[str, Any] = load(raw, shape)
    except SerdeError as problem:
        return _misfit(problem, raw, contract)
    return body


def check(
    body: Mapping[str, Any],
    contract: Contract,
    *,
    beta: bool = False,
    raw: bytes | None = None,
    passback: str = "enforced",
    known_calls: Collection[str] = (),
    prompt_tokens: int | None = None,
) -> list[Finding]:
    """Return what the API would object to, in its order, then what it would ignore and what it would bill.

    ``beta`` is the route, ``raw`` the bytes that ``body`` was read from, for the places in its messages. ``passback``
    is ``"enforced"``, ``"documented"`` or ``"warm"`` (see `history.PASSBACKS`), where ``known_calls`` are the ids of
    the tool calls that a warm server remembers. The context's length is judged if ``prompt_tokens`` are given.
    A request of the wrong shape, or to no known model, is judged no further.
    """
    shape = request_shape(contract)
    model = _model(body, shape, raw, contract)
    if isinstance(model, Finding):
        return [model]
    meant = settings(body, model)
    images = image_handling(contract)
    refused = [
        *parameters.rejections(body, model, meant),
        *parameters.tool_rejections(body, model, meant, contract, beta=beta),
        *history.rejections(body["messages"], model, images, beta=beta),
        *_format(body, model, meant),
        *history.reasoning_rejections(body, model, meant, passback, known_calls),
        *_overflow(meant, contract, prompt_tokens),
    ]
    remarks = [
        *parameters.remarks(body, model, meant),
        *parameters.foreign(body, shape.shapes),
        *_switch(body, model, contract),
        *history.remarks(body, model, meant, images),
        *_strict(body, beta=beta),
        *_billed(meant, model),
    ]
    return refused + remarks


def check_completion(
    body: Mapping[str, Any],
    contract: Contract,
    *,
    beta: bool = False,
    raw: bytes | None = None,
    prompt_tokens: int | None = None,
) -> list[Finding]:
    """Return what the API would object to in a fill-in-the-middle request, in its order, then what it would ignore.

    The arguments are those of `check`. Most of the words here were never recorded (confidence L): the rules are those
    of the guide 'FIM Completion' and the reference 'Create FIM Completion'.
    """
    model = _model(body, COMPLETION, raw, contract)
    if isinstance(model, Finding):
        return [model]
    if not beta:
        return [rejected("completions_beta", "model")]
    meant = completion_settings(body, model)
    return [
        *_completion(body, model, meant),
        *_overflow(meant, contract, prompt_tokens),
        *parameters.unheeded(body, model, meant, _PENALTIES),
        *parameters.foreign(body, COMPLETION.shapes),
    ]


def _misfit(problem: SerdeError, raw: bytes, contract: Contract) -> Finding:
    """Return the finding about a body that serde cannot read."""
    text, wire = problem.text(raw), contract.wire
    where = problem.path or "body"
    if problem.syntax:
        return rejected("body_malformed", where, serde=text)
    # the newer fields were seen to answer with a status of their own
    newer = where.partition(".")[0] in {"thinking", "reasoning_effort"}
    status = wire.enum_error_status if newer else wire.shape_error_status
    row = rows()["body_misshapen"]
    message = row.message.format(serde=text)
    answer = misshapen(text, status, wire.shape_error_content_type)
    return Finding(row.rule, "rejected", where, message, hint(text), answer, row.confidence)


def _model(body: Mapping[str, Any], shape: Struct, raw: bytes | None, contract: Contract) -> Model | Finding:
    """Return the model that a request of the right shape asks for."""
    written = _written(body) if raw is None else raw
    if isinstance(written, Finding):
        return written
    if not shape.accepts(body):
        try:
            load(written, shape)
        except SerdeError as problem:
            return _misfit(problem, written, contract)
    try:
        return contract.model(body["model"])
    except UnknownModel as unknown:
        words = contract.wire.unknown_model_message.format(model=body["model"])
        names = " or ".join(repr(model.name) for model in contract.listed)
        advice = f"Use model={names}."
        if isinstance(unknown, RetiredModel):
            kind = "disabled" if unknown.thinking is False else "enabled"
            switch = f"extra_body={{'thinking': {{'type': '{kind}'}}}}"
            advice = f"Use model={unknown.replacement!r} with {switch}: {unknown.model!r} was switched off."
        return rejected("model_unknown", "model", words=words, hint=advice)


def _written(body: Mapping[str, Any]) -> bytes | Finding:
    """Return a body as the openai package would send it."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as cause:
        row = rows()["body_malformed"]
        message = f"the body cannot be written as JSON: {cause}"
        return Finding(row.rule, "rejected", "body", message, row.mend, None, "H")


def _format(body: Mapping[str, Any], model: Model, meant: Settings) -> Iterator[Finding]:
    kind = (body.get("response_format") or {}).get("type")
    yield from parameters.refusal("response_format", kind, model, meant)
    if kind in {"json_schema", "regex"}:
        yield rejected("response_format", "response_format.type")
    if kind == "json_object" and not any(_says_json(message.get("content")) for message in body["messages"]):
        yield rejected("json_word", "response_format.type")


def _says_json(content: Any) -> bool:
    if isinstance(content, list):
        return any(_says_json(part.get("text")) for part in content)
    return isinstance(content, str) and "json" in content.lower()


def _overflow(meant: Settings, contract: Contract, prompt_tokens: int | None) -> Iterator[Finding]:
    completion = meant.max_tokens if meant.explicit_max_tokens else 0
    limit = contract.wire.context_limit
    if prompt_tokens is not None and prompt_tokens + completion > limit:
        requested = prompt_tokens + completion
        fields = {"limit": limit, "requested": requested, "prompt": prompt_tokens, "completion": completion}
        yield rejected("context_length", "messages", **fields)


def _switch(body: Mapping[str, Any], model: Model, contract: Contract) -> Iterator[Finding]:
    """Tell that a model cannot be switched as asked, where others can."""
    switch = body.get("thinking")
    asked = switch.get("type") if isinstance(switch, dict) else None
    other = next((one.name for one in contract.listed if one.thinking == "switch"), None)
    if asked and other and model.thinking != "switch" and (asked == "disabled") == (model.thinking == "always"):
        yield noticed("thinking_ignored", "thinking", model=model.name, habit=model.thinking, other=other)


def _strict(body: Mapping[str, Any], *, beta: bool) -> Iterator[Finding]:
    functions = [tool["function"] for tool in body.get("tools") or () if tool.get("function")]
    if beta:
        yield from strict_schema.remarks(functions)
        return
    for index, function in enumerate(functions):
        if function.get("strict"):
            yield noticed("strict_route", f"tools[{index}].function.strict")
            return


def _billed(meant: Settings, model: Model) -> Iterator[Finding]:
    """Tell what the prompt costs beyond its messages, where that was measured."""
    template = model.generation.template
    if template == "v4" and meant.thinking and meant.effort in model.effort_text:
        yield noticed("effort_text", "reasoning_effort", effort=meant.effort)
    if meant.json_mode:
        yield noticed("json_mode", "response_format", tokens=16 if template == "v3" else 20)
    if template == "v4" and meant.tools:
        yield noticed("tools", "tools")


def _completion(body: Mapping[str, Any], model: Model, meant: Settings) -> Iterator[Finding]:
    most = min(COMPLETION_TOKENS, model.max_output)
    if body.get("max_tokens") is not None and not 1 <= body["max_tokens"] <= most:
        yield rejected("max_tokens_range", "max_tokens", maximum=most)
    yield from parameters.rejections(body, model, meant, _COMPLETION_PARAMETERS)
    if (body.get("logprobs") or 0) > _COMPLETION_LOGPROBS:
        yield rejected("completions_logprobs", "logprobs")
    for other in ("suffix", "logprobs"):
        if body.get("echo") and body.get(other) is not None:
            yield rejected("completions_echo", "echo", other=other)
    switch = body.get("thinking")
    if model.thinking == "always":
        yield rejected("completions_model", "model", model=model.name)
    elif isinstance(switch, dict) and switch.get("type") in {"enabled", "adaptive"}:
        yield rejected("completions_thinking", "thinking")
