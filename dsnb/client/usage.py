"""How many tokens a reply took, in whichever shape the endpoint tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

_MOST: Final = 2**53  # what JSON numbers hold exactly; no account has spent that many


@dataclass(frozen=True, slots=True)
class Usage:
    """Count the tokens of one reply, or of several: ``usage + usage``.

    None is a number that the endpoint did not tell, 0 one that it did. ``cache_hit_tokens`` and
    ``cache_miss_tokens`` are the parts of the prompt, ``reasoning_tokens`` is a part of the completion. ``raw`` is
    what the endpoint sent (empty for a sum).
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cache_hit_tokens: int | None = None
    cache_miss_tokens: int | None = None
    reasoning_tokens: int | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Usage:
        """Read DeepSeek's shape (``prompt_cache_hit_tokens``) or OpenAI's (``prompt_tokens_details``).

        Anything that is not a count of tokens (negative, a text, a fraction) is unknown. What follows from the
        others is filled in: the misses, the total.
        """
        prompt = _count(raw, "prompt_tokens")
        completion = _count(raw, "completion_tokens")
        total = _count(raw, "total_tokens")
        hit = _first(
            _count(raw, "prompt_cache_hit_tokens"),
            _count(raw.get("prompt_tokens_details"), "cached_tokens"),
            _count(raw, "cached_tokens"),  # Together (recorded 2026-01)
        )
        miss = _count(raw, "prompt_cache_miss_tokens")
        reasoning = _first(
            _count(raw.get("completion_tokens_details"), "reasoning_tokens"),
            _count(raw, "reasoning_tokens"),  # SGLang
        )
        if miss is None and prompt is not None and hit is not None and hit <= prompt:
            miss = prompt - hit
        if total is None and prompt is not None and completion is not None:
            total = prompt + completion
        return cls(prompt, completion, total, hit, miss, reasoning, raw)

    def __add__(self, other: Usage | Literal[0]) -> Usage:
        """Add the counts; a count that one side does not know stays unknown. ``sum(usages)`` works."""
        if other == 0:
            return self
        if not isinstance(other, Usage):
            return NotImplemented
        return Usage(
            _sum(self.prompt_tokens, other.prompt_tokens),
            _sum(self.completion_tokens, other.completion_tokens),
            _sum(self.total_tokens, other.total_tokens),
            _sum(self.cache_hit_tokens, other.cache_hit_tokens),
            _sum(self.cache_miss_tokens, other.cache_miss_tokens),
            _sum(self.reasoning_tokens, other.reasoning_tokens),
        )

    __radd__ = __add__

    def __repr__(self) -> str:
        prompt, completion, total = (_shown(n) for n in (self.prompt_tokens, self.completion_tokens, self.total_tokens))
        parts = [f"{prompt} + {completion} = {total} tokens"]
        if self.cache_hit_tokens is not None:
            parts.append(f"{self.cache_hit_tokens} cached")
        if self.reasoning_tokens is not None:
            parts.append(f"{self.reasoning_tokens} reasoning")
        return f"<Usage {' · '.join(parts)}>"


def _count(raw: Any, name: str) -> int | None:
    value = raw.get(name) if isinstance(raw, Mapping) else None
    return value if type(value) is int and 0 <= value <= _MOST else None  # True is an int, and no count


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _shown(count: int | None) -> str:
    return "?" if count is None else str(count)
