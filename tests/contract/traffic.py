"""The recorded chat calls to api.deepseek.com, read for counting: request, model, reply and usage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from dsnb import contract
from dsnb.contract.catalogue import Model
from dsnb.contract.settings import Settings, settings
from dsnb.errors import RetiredModel
from tests.recordings import Recording, recordings

_FUNCTION = ["name", "description", "parameters"]
_SCHEMA = ["$schema", "title", "description", "type", "properties", "required"]


@dataclass(frozen=True)
class Call:
    """One recorded call with its usage; a sorted request has its keys back in their presumed order."""

    recording: Recording
    body: dict[str, Any]
    model: Model
    settings: Settings
    usage: dict[str, Any]
    content: str
    reasoning: str | None
    tool_calls: tuple[dict[str, Any], ...]
    finish_reason: str

    @property
    def prompt_tokens(self) -> int:
        return self.usage["prompt_tokens"]

    @property
    def completion_tokens(self) -> int:
        return self.usage["completion_tokens"]

    @property
    def hit(self) -> int:
        return self.usage["prompt_cache_hit_tokens"]

    @property
    def reply(self) -> dict[str, Any]:
        """The reply in the words of `completion_tokens`."""
        return {
            "content": self.content,
            "reasoning": self.reasoning,
            "tool_calls": self.tool_calls,
            "forced": self.settings.forced,
            "thinking_finished": bool(self.content or self.tool_calls) or self.finish_reason != "length",
        }


@cache
def calls() -> tuple[Call, ...]:
    return tuple(
        _call(recording)
        for recording in recordings()
        if recording.first_party
        and recording.chat
        and recording.status == 200
        and recording.asked
        and any(body.get("usage") for body in recording.objects)
    )


def _call(recording: Recording) -> Call:
    body = dict(recording.asked or {})
    if recording.keys_sorted:
        body["tools"] = [tool | {"function": _restored(tool["function"])} for tool in body.get("tools") or ()]
    choices = [choice for part in recording.objects for choice in part["choices"]]
    messages = [choice.get("message") or choice.get("delta") or {} for choice in choices]
    thoughts = [message["reasoning_content"] for message in messages if message.get("reasoning_content") is not None]
    tool_calls: dict[int, dict[str, str]] = {}
    for delta in (delta for message in messages for delta in message.get("tool_calls") or ()):
        function = tool_calls.setdefault(delta["index"], {"name": "", "arguments": ""})
        for key in function:
            function[key] += delta["function"].get(key) or ""
    model = _served(body["model"], recording.date)
    return Call(
        recording=recording,
        body=body,
        model=model,
        settings=settings(body, model),
        usage=next(part["usage"] for part in reversed(recording.objects) if part.get("usage")),
        content="".join(message.get("content") or "" for message in messages),
        reasoning="".join(thoughts) if thoughts else None,
        tool_calls=tuple({"function": function} for _, function in sorted(tool_calls.items())),
        finish_reason=next(choice["finish_reason"] for choice in reversed(choices) if choice.get("finish_reason")),
    )


def _served(name: str, date: datetime) -> Model:
    """Return the model that answered; a name that was answered after its end counts as on its last days."""
    try:
        return contract.at(date).model(name)
    except RetiredModel:
        return contract.at("2026-07-20").model(name)


def _restored(function: dict[str, Any]) -> dict[str, Any]:
    """Put a function's keys in the order in which clients write them."""
    ordered = _first(_FUNCTION, function)
    return ordered | {"parameters": _schema(ordered["parameters"])} if "parameters" in ordered else ordered


def _schema(value: Any) -> Any:
    if isinstance(value, list):
        return [_schema(item) for item in value]
    if not isinstance(value, dict):
        return value
    # The names under `properties` are the client's own: they keep the order they have.
    return {
        key: {name: _schema(item) for name, item in part.items()}
        if key == "properties" and isinstance(part, dict)
        else _schema(part)
        for key, part in _first(_SCHEMA, value).items()
    }


def _first(keys: Iterable[str], mapping: dict[str, Any]) -> dict[str, Any]:
    return {key: mapping[key] for key in keys if key in mapping} | mapping


def dialogues() -> tuple[tuple[Call, ...], ...]:
    """Return the chains of calls in which each adds to the messages of the one before, oldest first.

    They come from one recorded test within ten minutes, and each goes on with the reply of the one before it: a chain
    with a call missing ends there.
    """
    chains: list[list[Call]] = []
    for call in sorted(calls(), key=lambda call: (call.recording.date, call.recording.source.get("interaction") or 0)):
        chain = next((chain for chain in reversed(chains) if _follows(chain[-1], call)), None)
        if chain:
            chain.append(call)
        else:
            chains.append([call])
    return tuple(tuple(chain) for chain in chains if len(chain) > 1)


def _follows(before: Call, after: Call) -> bool:
    said, says = before.body["messages"], after.body["messages"]
    new = says[len(said) :]
    sources = [
        (call.recording.source["repo"], call.recording.source["path"], call.model.name) for call in (before, after)
    ]
    return (
        sources[0] == sources[1]
        and (after.recording.date - before.recording.date).total_seconds() < 600
        and says[: len(said)] == said
        and [message["role"] for message in new].count("assistant") == 1
    )
