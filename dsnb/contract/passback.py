"""A full history as a model wants it: with the reasoning that it must see, without what it refuses or never reads.

R1 and V3.1 refuse reasoning that is sent back, V3.2 wants it within a tool loop, V4 and later want every assistant
message whole (guides 'Reasoning Model' 2025 and 'Thinking Mode' 2025-12 to 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsnb.contract.catalogue import Model

REASONING = "reasoning_content"


def rendered(
    messages: Sequence[Mapping[str, Any]], model: Model, *, thinking: bool, tools: bool
) -> list[dict[str, Any]]:
    """Return the messages to send to ``model``, made from a history that holds everything.

    ``thinking`` and ``tools`` say what the request asks for. An assistant message without content gets ``""``, never
    null; one that must carry reasoning and has none (another model wrote it, or thinking was off) gets ``""`` as well,
    which the API accepts (recorded 2026-08). The message of a prefix request keeps the reasoning that it continues.
    """
    rule = model.generation.reasoning
    turn = 1 + max((index for index, message in enumerate(messages) if message.get("role") == "user"), default=-1)
    sent = []
    for index, message in enumerate(messages):
        if message.get("role") != "assistant" or message.get("prefix"):
            sent.append(dict(message))
            continue
        keeps = rule == "whole" or (rule == "tool_loop" and index >= turn)
        wants = thinking and (tools if rule == "whole" else keeps and bool(message.get("tool_calls")))
        sent.append(_assistant(message, keeps=keeps, wants=wants))
    return sent


def stripped(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages without any reasoning, for a host that is not held to DeepSeek's contract."""
    return [
        _assistant(message, keeps=False, wants=False) if message.get("role") == "assistant" else dict(message)
        for message in messages
    ]


def _assistant(message: Mapping[str, Any], *, keeps: bool, wants: bool) -> dict[str, Any]:
    kept = {key: value for key, value in message.items() if key != REASONING}
    if kept.get("content") is None:
        kept["content"] = ""
    reasoning = message.get(REASONING)
    if keeps and (reasoning is not None or wants):
        kept[REASONING] = reasoning or ""
    return kept
