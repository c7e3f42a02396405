"""`explain`: why the cache missed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

from dsnb.contract import Contract, Cost, cost
from dsnb.contract.prompt import segments
from dsnb.contract.tokens import Parting, part, prompt_tokens
from dsnb.experiments.planning import mending
from dsnb.experiments.planning.asked import Asked
from dsnb.experiments.planning.causes import CAUSES, cause
from dsnb.experiments.planning.plan import Instant, planned_after, reading_for
from dsnb.experiments.planning.wording import Change

THOUSAND = 1000


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Hold what to write instead: ``words`` say it, and ``saved_tokens`` are read from the cache then, in each call."""

    words: str
    saved_tokens: int
    saved: Cost


@dataclass(frozen=True, repr=False)
class CacheDiff:
    """Tell why one request does not hit what an earlier one left in the cache. Made by `dsnb.explain`.

    ``cause`` is a word such as ``"timestamp"`` (all are in `dsnb.experiments.planning.causes.CAUSES`), ``why`` says it
    in words and ``advice`` what to do. ``where`` is the place in the later request (``"messages[0].content"``,
    ``"tools['look']"``, ``"effort"``), ``where_before`` the one in the earlier, ``token`` the first differing token of
    the prompt, and ``character`` the first differing character within the text at that place (all from 0; None where
    the prompts are the same). ``prompt_tokens`` and ``before_tokens`` are the lengths of both, ``cache_hit_tokens``
    what of the later one is expected to hit, and ``lost_tokens`` what would, had the earlier one been sent again.
    """

    cause: str
    where: str
    where_before: str
    token: int | None
    character: int | None
    prompt_tokens: int
    before_tokens: int
    cache_hit_tokens: int
    lost_tokens: int
    change: Change | None = field(repr=False)
    before: Asked = field(repr=False)
    after: Asked = field(repr=False)
    contract: Contract = field(repr=False)

    @property
    def why(self) -> str:
        """The cause in words."""
        return CAUSES[self.cause][0]

    @property
    def advice(self) -> str:
        """What to do about it, empty where there is nothing to do."""
        return CAUSES[self.cause][1]

    @property
    def lost(self) -> Cost:
        """What the lost tokens cost in one call, more than from the cache, at this instant."""
        return self._more(self.lost_tokens, None)

    @property
    def off_peak_lost(self) -> Cost:
        """What they cost in one call off-peak."""
        return self._more(self.lost_tokens, False)

    @property
    def peak_lost(self) -> Cost:
        """What they cost in one call at peak hours; the same as off-peak where there is one price all day."""
        return self._more(self.lost_tokens, True)

    @property
    def lost_per_thousand(self) -> Cost:
        """What they cost in 1,000 calls at off-peak prices."""
        return self._more(self.lost_tokens * THOUSAND, False)

    @property
    def lost_per_thousand_at_peak(self) -> Cost:
        """What they cost in 1,000 calls at peak prices; the same where there is one price all day."""
        return self._more(self.lost_tokens * THOUSAND, True)

    @cached_property
    def suggestion(self) -> Suggestion | None:
        """What to write instead, with the hit that `plan` expects of it; None where nothing can be moved."""
        mended = mending.mended(self.cause, self.before, self.after, self.where)
        if mended is None:
            return None
        found = planned_after(mended.after, [mended.before.past], self.contract)
        saved = found.cache_hit_tokens - self.cache_hit_tokens
        return Suggestion(mended.words, saved, self._more(saved, None)) if saved > 0 else None

    def _more(self, tokens: int, peak: bool | None) -> Cost:
        price = self.contract.price(self.after.frame.model, peak=peak)
        missed, hit = cost(0, tokens, 0, price), cost(tokens, 0, 0, price)
        return Cost(_less(missed.usd, hit.usd), _less(missed.cny, hit.cny), price)

    def __repr__(self) -> str:
        place = f" at token {self.token:,} in {self.where}" if self.token is not None else ""
        return f"<CacheDiff {self.why}{place} · {self.lost_tokens:,} tokens lost a call>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from dsnb.experiments.planning.diff_card import bundle

        return bundle(self)


def explain(
    before: Any, after: Any, /, *, model: str | None = None, at: Instant | None = None, **options: Any
) -> CacheDiff:
    """Say why the cache missed: where the prompt of ``after`` leaves that of ``before``, and what was changed there.

    Each is a text, a list of messages, a dict of the keywords of ask, or a Conversation. ``model`` and ``options`` are
    the keywords of those that have none of their own; ``at`` is the instant whose contract and prices hold (a datetime,
    a date or ISO text, by default now). Texts are compared before they are encoded, and what both have in common is
    encoded once. Raises RequestError for what is no request.
    """
    first = before if isinstance(before, Mapping) and "model" in before else after
    reading = reading_for(first, model, at, options)
    return difference(reading.one(before), reading.one(after), reading.contract)


def difference(before: Asked, after: Asked, contract: Contract) -> CacheDiff:
    """Return how one request leaves another."""
    model = after.frame.model
    parting = part(segments(before.request.body, before.frame.model), segments(after.request.body, model))
    found = cause(before, after, parting)
    if parting is None:
        length = prompt_tokens(after.request.body, model)
        lengths, places = (length, length), ("", "")
    else:
        lengths = parting.lengths
        both = (parting.one, parting.other)
        places = (both[0][0].where if both[0] else "the end", both[1][0].where if both[1] else "the end")
    rule = model.generation.cache
    again = lengths[0] // rule.unit * rule.unit
    shared = lengths[1] if parting is None else parting.token
    if found in {"model", "user_id"}:
        hit = 0
        places = (found, found)
    elif found == "appended":
        hit = planned_after(after, [before.past], contract).cache_hit_tokens
    elif rule.whole_units_at_ends:
        hit = again if again <= shared else 0
    else:
        hit = shared // rule.unit * rule.unit
    hit = hit if hit >= rule.minimum else 0
    possible = min(lengths) // rule.unit * rule.unit
    return CacheDiff(
        cause=found,
        where=places[1],
        where_before=places[0],
        token=None if parting is None else parting.token,
        character=None if parting is None else (parting.other or parting.one or (None, 0))[1],
        prompt_tokens=lengths[1],
        before_tokens=lengths[0],
        cache_hit_tokens=hit,
        lost_tokens=max(possible - hit, 0) if possible >= rule.minimum else 0,
        change=None if parting is None or found in {"model", "user_id"} else _change(parting),
        before=before,
        after=after,
        contract=contract,
    )


def _change(parting: Parting) -> Change:
    """Return what stands on both sides where they part."""
    texts = [place[0].text if place else "" for place in (parting.one, parting.other)]
    places = [place[1] if place else 0 for place in (parting.one, parting.other)]
    if places[0] != places[1]:
        return Change.between(texts[0][places[0] :], texts[1][places[1] :], 0)
    return Change.between(texts[0], texts[1], places[0])


def _less(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one - other
