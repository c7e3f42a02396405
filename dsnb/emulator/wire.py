"""The bytes of a reply, in the key order and with the nulls and gaps that were recorded from the API.

Chunks are put together around JSON-encoded text rather than dumped as dicts: a stream has one chunk a token, and
nothing but that text changes between them (recorded 2025-01 to 2026-08).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dsnb.contract import Contract, Model
from dsnb.emulator.engines.protocol import ToolCall

dumps: Callable[[Any], str] = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

DONE = "data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Usage:
    """Count the tokens of a reply; ``reasoning`` is None without thinking, ``details`` False before 2025-03."""

    prompt: int
    hit: int
    completion: int
    reasoning: int | None
    details: bool

    @property
    def json(self) -> str:
        """Return the object as the API writes it."""
        total = self.prompt + self.completion
        cached = f',"prompt_tokens_details":{{"cached_tokens":{self.hit}}}' if self.details else ""
        thought = f',"completion_tokens_details":{{"reasoning_tokens":{self.reasoning}}}'
        return (
            f'{{"prompt_tokens":{self.prompt},"completion_tokens":{self.completion},"total_tokens":{total}'
            f"{cached}{thought if self.details and self.reasoning is not None else ''}"
            f',"prompt_cache_hit_tokens":{self.hit},"prompt_cache_miss_tokens":{self.prompt - self.hit}}}'
        )


@dataclass(frozen=True, slots=True)
class Head:
    """Hold what every part of one reply repeats."""

    id: str
    created: int
    model: str
    fingerprint: str


def completion(
    head: Head,
    *,
    content: str,
    reasoning: str | None,
    tool_calls: Sequence[ToolCall],
    logprobs: str,
    finish_reason: str,
    usage: Usage,
) -> str:
    """Return the body of a plain reply; without thinking (``reasoning`` None) it has no ``reasoning_content``."""
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if reasoning is not None:
        message["reasoning_content"] = reasoning
    if tool_calls:
        message["tool_calls"] = [_call(index, call) for index, call in enumerate(tool_calls)]
    return (
        f'{{"id":{dumps(head.id)},"object":"chat.completion","created":{head.created},"model":{dumps(head.model)},'
        f'"choices":[{{"index":0,"message":{dumps(message)},"logprobs":{logprobs},'
        f'"finish_reason":{dumps(finish_reason)}}}],"usage":{usage.json},'
        f'"system_fingerprint":{dumps(head.fingerprint)}}}'
    )


class Chunks:
    """Write the chunks of one stream."""

    def __init__(self, head: Head, *, thinking: bool, include_usage: bool) -> None:
        self._open = (
            f'data: {{"id":{dumps(head.id)},"object":"chat.completion.chunk","created":{head.created},'
            f'"model":{dumps(head.model)},"system_fingerprint":{dumps(head.fingerprint)},'
            f'"choices":[{{"index":0,"delta":'
        )
        # With stream_options.include_usage every chunk but the last has the key, as null; without it none has.
        self._end = ',"usage":null}\n\n' if include_usage else "}\n\n"
        self._close = f',"logprobs":null,"finish_reason":null}}]{self._end}'
        self._thinking = thinking
        self._content = f'{self._open}{{"content":', ',"reasoning_content":null}' if thinking else "}"
        self._reasoning = f'{self._open}{{"content":null,"reasoning_content":', "}"

    def first(self) -> str:
        """Return the chunk that opens the stream."""
        delta = '"content":null,"reasoning_content":""' if self._thinking else '"content":""'
        return f'{self._open}{{"role":"assistant",{delta}}}{self._close}'

    def reasoning(self, text: str, logprobs: str = "null") -> str:
        """Return a piece of reasoning."""
        before, after = self._reasoning
        return f"{before}{dumps(text)}{after}{self._after(logprobs)}"

    def content(self, text: str, logprobs: str = "null") -> str:
        """Return a piece of the answer."""
        before, after = self._content
        return f"{before}{dumps(text)}{after}{self._after(logprobs)}"

    def call(self, index: int, call: ToolCall) -> str:
        """Return the delta that opens a tool call."""
        delta = _call(index, replace(call, arguments=""))
        return f'{self._open}{{"tool_calls":[{dumps(delta)}]}}{self._close}'

    def arguments(self, index: int, text: str) -> str:
        """Return a piece of a tool call's arguments."""
        delta = f'{{"tool_calls":[{{"index":{index},"function":{{"arguments":{dumps(text)}}}}}]}}'
        return f"{self._open}{delta}{self._close}"

    def last(self, finish_reason: str, usage: Usage) -> str:
        """Return the finish chunk, which carries the usage whether it was asked for or not."""
        delta = '{"content":"","reasoning_content":null}' if self._thinking else '{"content":""}'
        return (
            f'{self._open}{delta},"logprobs":null,"finish_reason":{dumps(finish_reason)}}}],"usage":{usage.json}}}\n\n'
        )

    def malformed(self) -> str:
        """Return a frame that breaks off in the middle of its JSON."""
        return f'{self._open}{{"content":"\n\n'

    def _after(self, logprobs: str) -> str:
        return self._close if logprobs == "null" else f',"logprobs":{logprobs},"finish_reason":null}}]{self._end}'


def models(contract: Contract) -> bytes:
    """Return the body of ``GET /models``."""
    rows = [model_row(model, detailed=contract.wire.models_detailed) for model in contract.listed]
    return dumps({"object": "list", "data": rows}).encode()


def model_row(model: Model, *, detailed: bool) -> Mapping[str, Any]:
    """Return one model as ``GET /models`` shows it; ``detailed`` as on the page "Lists Models" since 2026-09."""
    row: dict[str, Any] = {"id": model.name, "object": "model", "owned_by": "deepseek"}
    if detailed:
        levels = [level for level in ("low", "high", "max") if level in model.efforts.values()]
        row |= {
            "name": re.sub(r"-\d{4}$", "", model.build),  # the display name has no build date
            "context_window": model.context_window,
            "max_output_tokens": model.max_output,
            "input_modalities": list(model.inputs),
            "output_modalities": ["text"],
            "effort": {"supported_levels": levels, "default_level": model.effort_default},
            "api_capabilities": {"anthropic_messages": {"system_prompt_update": "in-history"}},
        }
    return row


def _call(index: int, call: ToolCall) -> Mapping[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"index": index, "id": call.id, "type": "function", "function": function}
