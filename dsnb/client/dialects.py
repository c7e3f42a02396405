"""How hosts of DeepSeek's models differ in what they send."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# foreign spelling, in lower case and with underscores -> DeepSeek's own (Create Chat Completion, finish_reason)
FINISH_REASONS: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "tool_call": "tool_calls",  # Azure AI, DeepSeek-V3.1 (recorded 2025-12)
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "safety": "content_filter",
    "sensitive": "content_filter",
    "abort": "aborted",
    "cancelled": "aborted",
    "error": "aborted",
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """Describe how a host writes a reply.

    ``reasoning_fields`` are the keys that may hold reasoning, the preferred first; one delta is read from one of
    them. ``think_tags``: reasoning may stand in the content, between ``<think>`` and ``</think>``.
    ``done_required``: a stream that does not end with ``[DONE]`` was cut. ``finish_reasons`` maps foreign spellings
    (lower case, underscores) to DeepSeek's.
    """

    name: str
    reasoning_fields: tuple[str, ...] = ("reasoning_content", "reasoning")
    think_tags: bool = True
    done_required: bool = False
    finish_reasons: Mapping[str, str] = field(default_factory=lambda: FINISH_REASONS, repr=False, hash=False)

    def outcome(self, finish_reason: str) -> str:
        """Return a finish reason in DeepSeek's spelling; one that nobody knows yet passes as it is."""
        reason = finish_reason.lower().replace("-", "_")
        return self.finish_reasons.get(reason, reason)


DEEPSEEK: Final = Dialect("deepseek", reasoning_fields=("reasoning_content",), think_tags=False, done_required=True)
OPENAI_COMPATIBLE: Final = Dialect("openai-compatible")
