"""A second reading of recorded replies, from their JSON alone, to hold the decoder against."""

from dataclasses import dataclass
from typing import Any

from dsnb.client.transcript import Transcript
from tests.recordings import Recording


@dataclass
class Reading:
    """What a reply says."""

    reasoning: str
    answer: str
    tool_calls: list[tuple[str, str, str]]
    usage: dict[str, int | None] | None
    outcome: str
    model: str


def of_recording(recording: Recording) -> Reading:
    """Read a recorded reply, stream or not, without the decoder."""
    choices = [c for o in recording.objects for c in o["choices"] if c["index"] == 0]
    said = [c.get("delta") or c.get("message") or {} for c in choices]
    reasoning = "".join(m.get("reasoning_content") or m.get("reasoning") or "" for m in said)
    answer = "".join(m.get("content") or "" for m in said)
    if not reasoning and answer.startswith("<think>"):
        reasoning, _, answer = answer.removeprefix("<think>").partition("</think>")
    calls: dict[int, list[str]] = {}
    for entry in [entry for m in said for entry in m.get("tool_calls") or []]:
        parts = calls.setdefault(entry["index"], ["", "", ""])
        parts[0] += entry.get("id") or ""
        parts[1] += entry["function"].get("name") or ""
        parts[2] += entry["function"].get("arguments") or ""
    reasons = [c["finish_reason"] for c in choices if c.get("finish_reason")]
    usages = [o.get("usage") or o.get("x_groq", {}).get("usage") for o in recording.objects]
    models = [o["model"] for o in recording.objects if o.get("model")]
    return Reading(
        reasoning,
        answer,
        [(parts[0], parts[1], parts[2]) for _, parts in sorted(calls.items())],
        next((_usage(usage) for usage in reversed(usages) if usage), None),
        {"tool_call": "tool_calls"}.get(reasons[-1], reasons[-1]),
        models[0],
    )


def of_transcript(transcript: Transcript) -> Reading:
    """Put what was decoded into the same shape."""
    usage = transcript.usage
    return Reading(
        transcript.reasoning or "",
        transcript.answer,
        [(call.id, call.name, call.arguments) for call in transcript.tool_calls],
        None if usage is None else {name: getattr(usage, name) for name in COUNTS},
        transcript.outcome,
        transcript.model or "",
    )


COUNTS = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cache_hit_tokens",
    "cache_miss_tokens",
    "reasoning_tokens",
)


def _usage(raw: dict[str, Any]) -> dict[str, int | None]:
    prompt, hit = raw["prompt_tokens"], raw.get("prompt_cache_hit_tokens")
    if hit is None:
        hit = (raw.get("prompt_tokens_details") or raw).get("cached_tokens")
    reasoning = (raw.get("completion_tokens_details") or {}).get("reasoning_tokens")
    miss = None if hit is None else prompt - hit
    return dict(zip(COUNTS, (prompt, raw["completion_tokens"], raw["total_tokens"], hit, miss, reasoning), strict=True))
