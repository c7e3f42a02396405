"""`fit`: the unit and the rule of the prefix cache, estimated anew from calls that were made."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from dsnb.client.reply import Reply
from dsnb.contract import CacheRule
from dsnb.contract.cache import Left, Prefixes, units
from dsnb.contract.tokens import completion_ids, prompt_ids
from dsnb.errors import DsnbError
from dsnb.experiments.planning.asked import Asked
from dsnb.experiments.planning.plan import Instant, reading_for
from dsnb.usage import UsageLog

if TYPE_CHECKING:
    import pandas as pd

UNITS: Final = (16, 32, 64, 128, 256, 512, 1024)  # candidates, in tokens
PREFIX, WHOLE = "prefix units", "whole units"  # any whole units that an earlier call began with; those at its ends only
_ENOUGH: Final = 0.99  # of the hits: one in 572 recorded hits of V3 is no multiple of its unit
_FEWEST: Final = 8  # hits below which chance may have made them multiples


@dataclass(frozen=True, slots=True)
class Candidate:
    """Say how many calls a unit and a rule explain; ``rule`` is None where only counts of tokens are known."""

    unit: int
    rule: str | None
    explained: int
    of: int

    @property
    def share(self) -> float:
        """Which part of the calls it explains."""
        return self.explained / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True, repr=False)
class Fit:
    """Hold what calls tell of the cache. Made by `dsnb.fit`.

    ``unit`` is in tokens and ``rule`` is ``"prefix units"`` or ``"whole units"``; each is None where the calls cannot
    decide. ``finding`` says it in a sentence, ``candidates`` how many calls each possibility explains.
    """

    unit: int | None
    rule: str | None
    calls: int
    hits: int
    candidates: tuple[Candidate, ...]
    finding: str

    def frame(self) -> pd.DataFrame:
        """Return the candidates: unit, rule, explained, of, share."""
        import pandas as pd

        rows = [(each.unit, each.rule, each.explained, each.of, each.share) for each in self.candidates]
        return pd.DataFrame(rows, columns=["unit", "rule", "explained", "of", "share"])

    def __repr__(self) -> str:
        unit = "unit undecided" if self.unit is None else f"units of {self.unit}"
        return f"<Fit {unit} · {self.rule or 'rule undecided'} · {self.hits:,} hits in {self.calls:,} calls>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from dsnb.display import parts
        from dsnb.display.styles import style
        from dsnb.experiments.planning.plan_card import said
        from dsnb.experiments.table import table

        rows = [
            [f"{each.unit} tokens{f', {each.rule}' if each.rule else ''}", f"{each.explained:,}", f"{each.share:.1%}"]
            for each in self.candidates
        ]
        shown = [
            parts.head("Cache fit", [f"{self.calls:,} calls", f"{self.hits:,} with a hit"]),
            said(self.finding),
            table(["candidate", f"explains of {self.candidates[0].of:,}", ""], rows),
        ]
        return parts.bundle(shown, style() + style("cache"), "cache")


def fit(usage: Any, *, model: str | None = None, at: Instant | None = None, **options: Any) -> Fit:
    """Estimate the cache's unit and rule from calls that were made.

    ``usage`` is a UsageLog, a frame with the columns ``prompt_tokens`` and ``cache_hit_tokens``, an iterable of such
    pairs of numbers, or of requests in their order, each with what it hit: ``(request, hit)`` or ``(request, reply)``.
    Numbers tell the unit only; with requests the rules are tried on them, as `plan` does. ``model`` (as served) selects
    rows of a log or frame that has several; with requests it, ``at`` and ``options`` are theirs, as for `plan`. The
    requests must have found no cache but their own. Raises DsnbError for what holds no calls.
    """
    if isinstance(usage, UsageLog):
        usage = usage.frame("attempts")
    if hasattr(usage, "columns"):
        return _of_counts(list(_rows(usage, model)))
    items = list(usage)
    try:
        pairs = [(first, second) for first, second in items]
    except (TypeError, ValueError):
        raise DsnbError("A fit takes pairs: (prompt tokens, hit tokens), or (request, hit) in their order.") from None
    if all(isinstance(number, int) for pair in pairs for number in pair):
        return _of_counts(pairs)
    reading = reading_for(pairs[0][0], model, at, options)
    calls = [(asked, *_told(told)) for (request, told) in pairs for asked in [reading.one(request)]]
    return _of_requests(calls)


def _rows(frame: Any, model: str | None) -> Iterator[tuple[int, int]]:
    names = {"prompt_tokens", "cache_hit_tokens"} - set(frame.columns)
    if names:
        raise DsnbError(f"The frame has no column {' nor '.join(sorted(names))}: a ledger's frame has them.")
    if model is not None:
        frame = frame[frame["model"] == model]
    known = frame[["prompt_tokens", "cache_hit_tokens"]].dropna()
    yield from ((int(prompt), int(hit)) for prompt, hit in known.itertuples(index=False))


def _told(told: Any) -> tuple[int, Reply | None]:
    if isinstance(told, Reply):
        if told.usage is None or told.usage.cache_hit_tokens is None:
            raise DsnbError("A reply does not tell what it hit: leave its request out.")
        return told.usage.cache_hit_tokens, told
    if isinstance(told, int):
        return told, None
    raise DsnbError(f"What a request hit is a number of tokens or its Reply, not {type(told).__name__}.")


def _of_counts(calls: Sequence[tuple[int, int]]) -> Fit:
    if not calls:
        raise DsnbError("There are no calls to fit: none of them tells its prompt and its hit.")
    hits = [hit for _, hit in calls if hit]
    candidates = tuple(Candidate(unit, None, sum(hit % unit == 0 for hit in hits), len(hits)) for unit in UNITS)
    unit, why = _unit(candidates, hits)
    words = f"{why} Which units are kept is not told by counts of tokens: give the requests for that."
    return Fit(unit, None, len(calls), len(hits), candidates, words)


def _unit(candidates: Iterable[Candidate], hits: Sequence[int]) -> tuple[int | None, str]:
    """Return the largest unit of which the hits are multiples, and why, or why not."""
    if len(hits) < _FEWEST:
        return None, f"{len(hits)} hits are too few to tell the unit."
    fitting = [each for each in candidates if each.share >= _ENOUGH]
    if not fitting:
        return None, f"No unit from {UNITS[0]} to {UNITS[-1]} divides {_ENOUGH:.0%} of the {len(hits):,} hits."
    best = fitting[-1]
    if len(set(hits)) == 1:
        return None, f"All {len(hits):,} hits are {hits[0]:,} tokens, which many units divide."
    halves = sum(hit % (2 * best.unit) != 0 for hit in hits)
    return best.unit, (
        f"{best.explained:,} of {best.of:,} hits are multiples of {best.unit} tokens, "
        f"and {halves:,} of them are none of {2 * best.unit}."
    )


def _of_requests(calls: Sequence[tuple[Asked, int, Reply | None]]) -> Fit:
    prompts = [prompt_ids(asked.request.body, asked.frame.model) for asked, _, _ in calls]
    wholes = [prompt + _reply(asked, reply) for prompt, (asked, _, reply) in zip(prompts, calls, strict=True)]
    hits = [hit for _, hit, _ in calls]
    rule = calls[0][0].frame.model.generation.cache
    candidates = tuple(
        Candidate(unit, name, _explained(calls, prompts, wholes, hits, _rule(rule, unit, name)), len(calls))
        for unit in UNITS
        for name in (PREFIX, WHOLE)
    )
    most = max(each.explained for each in candidates)
    best = [each for each in candidates if each.explained == most]
    found = [hit for hit in hits if hit]
    if not found:
        return Fit(
            None, None, len(calls), 0, candidates, "No call hit anything, so nothing tells the unit or the rule."
        )
    named = sorted({each.unit for each in best}), sorted({each.rule or "" for each in best})
    unit = named[0][0] if len(named[0]) == 1 else None
    name = named[1][0] if len(named[1]) == 1 else None
    what = " or ".join(f"{each.unit} tokens by {each.rule}" for each in best[:4]) + (
        " or others" if len(best) > 4 else ""
    )
    words = f"{most:,} of {len(calls):,} calls are explained by units of {what}"
    words += "." if unit and name else ": these calls do not decide between them."
    return Fit(unit, name, len(calls), len(found), candidates, words)


def _rule(rule: CacheRule, unit: int, name: str) -> CacheRule:
    return replace(rule, unit=unit, minimum=unit, whole_units_at_ends=name == WHOLE)


def _explained(
    calls: Sequence[tuple[Asked, int, Reply | None]],
    prompts: Sequence[array[int]],
    wholes: Sequence[array[int]],
    hits: Sequence[int],
    rule: CacheRule,
) -> int:
    """Return how many calls hit what the rule foretells from those before."""
    left: dict[tuple[str | None, str], list[Left]] = {}
    explained = 0
    for (asked, _, _), prompt, whole, hit in zip(calls, prompts, wholes, hits, strict=True):
        earlier = left.setdefault((asked.frame.user, asked.frame.model.build), [])
        found, all_of_it = (Prefixes(len(ids), units(ids, rule.unit)) for ids in (prompt, whole))
        explained += hit == max((each.hit(found, rule)[0] for each in earlier), default=0)
        earlier.append(Left(found, all_of_it))
    return explained


def _reply(asked: Asked, reply: Reply | None) -> array[int]:
    if reply is None:
        return array("I")
    calls: list[Mapping[str, Any]] = [
        {"function": {"name": call.name, "arguments": call.arguments}} for call in reply.tool_calls
    ]
    return completion_ids(
        asked.frame.model,
        content=reply.answer,
        reasoning=reply.reasoning,
        tool_calls=calls,
        forced=asked.frame.settings.forced,
        thinking_finished=bool(reply.answer or reply.tool_calls) or reply.outcome != "length",
        billed=reply.usage.completion_tokens if reply.usage else None,
    )
