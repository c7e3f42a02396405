"""Which lists of messages the API refuses: tool calls and their answers, reasoning sent back, order, images.

The reasoning rule is the generation's: R1 refuses ``reasoning_content``; V3.2 wants it while tool calls are being
answered; V4 and later want it on every assistant message of the turn when the request has tools.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsnb.contract.finding import noticed, rejected

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from dsnb.contract.catalogue import Model
    from dsnb.contract.finding import Finding
    from dsnb.contract.settings import Settings

# How strictly the API insists on the reasoning from V4 on. "enforced": as measured, behind the last user message.
# "documented": as the guide has it, in earlier turns as well. "warm": as measured on a server that still remembers
# the tool calls and fills in its own reasoning for them.
PASSBACKS = ("enforced", "documented", "warm")


def rejections(messages: Sequence[Mapping[str, Any]], model: Model, images: str, *, beta: bool) -> Iterator[Finding]:
    """Tell what the API refuses about the messages, one by one.

    ``images`` says what becomes of an image that the model cannot see: ``"rejected"`` or ``"ignored"``.
    """
    if not messages:
        yield rejected("messages_empty", "messages")
        return
    if model.generation.template == "r1":
        yield from _order(messages, model)
    open_calls: list[str] = []  # calls of the last assistant message that no tool message has answered yet
    answered: list[str] = []
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            yield from _answer(message, index, open_calls, answered)
        else:
            if open_calls:
                yield _unanswered(index, open_calls)
            answered, open_calls = [], [call["id"] for call in message.get("tool_calls") or ()]
            yield from _calls(message, index, open_calls)
        yield from _images(message, index, model, images)
        if message["role"] == "assistant" and message.get("prefix"):
            yield from _prefix(index, last=index == len(messages) - 1, beta=beta)
    if open_calls:
        yield _unanswered(len(messages), open_calls)


def reasoning_rejections(
    body: Mapping[str, Any], model: Model, settings: Settings, passback: str, known_calls: Collection[str]
) -> Iterator[Finding]:
    """Tell where reasoning is missing, or must not be."""
    if not settings.thinking:
        return
    messages = body["messages"]
    # the last assistant message of a prefix request is still being written
    past = messages[:-1] if settings.prefix else messages
    rule = model.generation.reasoning
    if rule == "reject":
        present = (index for index in _assistants(past) if past[index].get("reasoning_content") is not None)
        for index in present:
            yield rejected("reasoning_present", _field(index))
    elif rule == "tool_loop":
        for index in _assistants(past, start=_turn(past)):
            if past[index].get("tool_calls") and past[index].get("reasoning_content") is None:
                yield rejected("reasoning_missing_loop", _field(index), index=index)
    elif rule == "whole":
        for index in _expected(past, model, passback, tools=bool(body.get("tools"))):
            warm = passback == "warm" and _remembered(past[index], known_calls)
            if past[index].get("reasoning_content") is None and not warm:
                yield rejected("reasoning_missing", _field(index))


def remarks(body: Mapping[str, Any], model: Model, settings: Settings, images: str) -> Iterator[Finding]:
    """Tell what the API takes without effect."""
    messages = body["messages"]
    sent = [index for index in _assistants(messages) if messages[index].get("reasoning_content")]
    why = _unread(messages, model, settings, tools=bool(body.get("tools")))
    sent = [index for index in sent if not (settings.prefix and index == len(messages) - 1)]
    if model.generation.reasoning == "tool_loop":
        sent = [index for index in sent if index < _turn(messages)]
    if sent and why:
        yield noticed("reasoning_ignored", _field(sent[0]), why=why)
    if images == "ignored" and "image" not in model.inputs:
        for index, message in enumerate(messages):
            if message["role"] in {"user", "tool"} and _has_image(message):
                yield noticed("image_ignored", f"messages[{index}].content", model=model.name)


def _field(index: int) -> str:
    return f"messages[{index}].reasoning_content"


def _assistants(messages: Sequence[Mapping[str, Any]], start: int = 0) -> list[int]:
    return [index for index in range(start, len(messages)) if messages[index]["role"] == "assistant"]


def _turn(messages: Sequence[Mapping[str, Any]]) -> int:
    """Return where the current turn begins: behind the last user message; a system message does not count."""
    return max((index + 1 for index, message in enumerate(messages) if message["role"] == "user"), default=0)


def _expected(messages: Sequence[Mapping[str, Any]], model: Model, passback: str, *, tools: bool) -> list[int]:
    """Return the assistant messages that must carry their reasoning from V4 on."""
    if passback != "documented":
        return _assistants(messages, start=_turn(messages)) if tools else []
    if model.generation.template != "v4":
        return _assistants(messages) if tools else []
    expected: list[int] = []  # V4's guide: every message of a turn that called a tool, whenever that was
    turn: list[int] = []
    called = False
    for index, message in enumerate(messages):
        if message["role"] == "user":
            expected += turn if called else []
            turn, called = [], False
        elif message["role"] == "assistant":
            turn.append(index)
            called = called or bool(message.get("tool_calls"))
    return expected + (turn if called else [])


def _remembered(message: Mapping[str, Any], known_calls: Collection[str]) -> bool:
    calls = message.get("tool_calls") or ()
    return bool(calls) and all(call["id"] in known_calls for call in calls)


def _unread(messages: Sequence[Mapping[str, Any]], model: Model, settings: Settings, *, tools: bool) -> str:
    """Return why reasoning in the history has no effect, or nothing where it has."""
    rule = model.generation.reasoning
    if rule == "reject" and settings.thinking:
        return ""
    if rule in {"ignore", "reject"}:
        return f"{model.name} does not read it"
    if rule == "tool_loop":
        return "only that of the turn in progress counts"
    return "" if tools else "the request has no tools"


def _order(messages: Sequence[Mapping[str, Any]], model: Model) -> Iterator[Finding]:
    """Tell where R1's order is broken: system first, user and assistant in turn, a user message last."""
    roles = [message["role"] for message in messages]
    misplaced = next((index for index, role in enumerate(roles) if role == "system" and index > 0), None)
    if misplaced is not None:
        yield rejected("reasoner_system", f"messages[{misplaced}]", model=model.name)
    for index in range(1, len(roles)):
        if roles[index] == roles[index - 1] and roles[index] in {"user", "assistant"}:
            fields = {"model": model.name, "first": index - 1, "second": index}
            yield rejected("reasoner_successive", f"messages[{index}]", **fields)
    if roles[-1] in {"assistant", "system"} and not messages[-1].get("prefix"):
        yield rejected("reasoner_last", f"messages[{len(roles) - 1}]", model=model.name)


def _calls(message: Mapping[str, Any], index: int, ids: Sequence[str]) -> Iterator[Finding]:
    if message["role"] != "assistant":
        return
    calls = message.get("tool_calls")
    if calls is None and message.get("content") is None:
        yield rejected("assistant_empty", f"messages[{index}].content")
    if calls is not None and not calls:
        yield rejected("tool_calls_empty", f"messages[{index}].tool_calls", index=index)
    for place, call in enumerate(ids):
        if call in ids[:place]:
            yield rejected("tool_call_duplicate", f"messages[{index}].tool_calls[{place}].id", id=call, index=index)


def _answer(message: Mapping[str, Any], index: int, open_calls: list[str], answered: list[str]) -> Iterator[Finding]:
    call, where = message["tool_call_id"], f"messages[{index}].tool_call_id"
    if call in open_calls:
        open_calls.remove(call)
        answered.append(call)
    elif call in answered and open_calls:
        yield rejected("tool_call_duplicate", where, id=call, index=index)
    elif open_calls:
        yield rejected("tool_message_unexpected", where, id=call, ids=", ".join(open_calls))
    else:
        yield rejected("tool_message_orphan", f"messages[{index}]")


def _unanswered(index: int, open_calls: Sequence[str]) -> Finding:
    return rejected("tool_messages_insufficient", f"messages[{index}]", ids=", ".join(open_calls))


def _prefix(index: int, *, last: bool, beta: bool) -> Iterator[Finding]:
    if not beta:
        yield rejected("prefix_beta", f"messages[{index}].prefix")
    elif not last:
        yield rejected("prefix_place", f"messages[{index}].prefix")


def _images(message: Mapping[str, Any], index: int, model: Model, images: str) -> Iterator[Finding]:
    if not _has_image(message):
        return
    where = f"messages[{index}].content"
    if message["role"] not in {"user", "tool"}:
        yield rejected("image_role", where, role=message["role"])
    elif "image" not in model.inputs and images == "rejected":
        yield rejected("image_unsupported", where)


def _has_image(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(part["type"] != "text" for part in content)
