"""Several requests of one turn, seen as one reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from dsnb.client.reply import Reply, Timing


def joined(rounds: Sequence[Reply], begun: Sequence[float], total: float) -> Reply:
    """Return the one reply that the rounds of a turn come to.

    ``begun`` says when each round was sent and ``total`` when the turn was over, in seconds from its beginning. What
    the turn ends with is the last round's: answer, outcome, model, who served it. Tokens and cost are the sums of
    what the rounds told, reasoning and tool calls those of all.
    """
    last = rounds[-1]
    if len(rounds) == 1:
        return last
    usages = [reply.usage for reply in rounds if reply.usage is not None]
    costs = [reply.cost for reply in rounds if reply.cost is not None]
    thoughts = [reply.reasoning for reply in rounds if reply.reasoning is not None]
    notes = dict.fromkeys(note for reply in rounds for note in reply.notes)
    return replace(
        last,
        reasoning="\n\n".join(thoughts) if thoughts else None,
        tool_calls=[call for reply in rounds for call in reply.tool_calls],
        usage=sum(usages[1:], usages[0]) if usages else None,
        cost=sum(costs[1:], costs[0]) if costs else None,
        timing=_timing([reply.timing for reply in rounds], begun, total),
        attempts=sum(reply.attempts for reply in rounds),
        notes=tuple(notes),
        rounds=tuple(rounds),
    )


def mended(parts: Sequence[Reply], begun: Sequence[float]) -> Reply:
    """Return the reply whose answer was cut and gone on with: ``parts`` in their order, ``begun`` when each was sent.

    ``seams`` says at which characters of the answer the parts meet.
    """
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return last
    lengths = list(accumulate(len(part.answer) for part in parts))
    whole = joined(parts, begun, begun[-1] + last.timing.total)
    return replace(
        whole,
        answer="".join(part.answer for part in parts),
        reasoning="".join(part.reasoning or "" for part in parts) if first.reasoning is not None else last.reasoning,
        timing=replace(whole.timing, total=whole.timing.total - begun[0]),
        start=first.start,
        start_reasoning=first.start_reasoning,
        seams=tuple(lengths[:-1]),
        rounds=(),
    )


def _timing(timings: Sequence[Timing], begun: Sequence[float], total: float) -> Timing:
    def first(name: str) -> float | None:
        told = (
            start + value
            for start, timing in zip(begun, timings, strict=True)
            if (value := getattr(timing, name)) is not None
        )
        return next(told, None)

    queued = sum(timing.queued for timing in timings)
    return Timing(queued, first("first_token"), first("first_answer"), total)
