"""`plan`: what a request will take, before it is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final

from dsnb.contract import Contract, Cost, Price, cost
from dsnb.contract import at as contract_at
from dsnb.contract.cache import Left, Prefixes
from dsnb.contract.prompt import segments
from dsnb.contract.strand import Strand
from dsnb.contract.tokens import spread
from dsnb.conversation import Conversation
from dsnb.errors import RequestError
from dsnb.experiments.planning import remarks
from dsnb.experiments.planning.asked import Asked, Frame, Past, Reading
from dsnb.experiments.planning.memory import MEMORY, Places

if TYPE_CHECKING:
    from dsnb.display.findings import Findings

DEFAULT_MODEL: Final = "deepseek-flash"

Instant = datetime | date | str


@dataclass(frozen=True, slots=True)
class Unit:
    """Name what gives a hit: ``tokens`` at the head of the prompt, which earlier request left behind.

    ``earlier`` is its place among those that count (0 for the first), ``end`` is ``"prompt"`` (the end of its prompt,
    rounded down), ``"reply"`` (the end of its reply) or ``"units"`` (any whole units of either, to V3.2).
    """

    tokens: int
    earlier: int
    end: str
    of: int

    def __str__(self) -> str:
        place = "the request before" if self.earlier == self.of - 1 else f"earlier request {self.earlier + 1}"
        what = {"prompt": "the end of the prompt of", "reply": "the end of the reply to", "units": "what begins"}
        return f"{what[self.end]} {place}"


@dataclass(frozen=True, repr=False)
class Plan:
    """Tell what a request will take, before it is sent. Made by `dsnb.plan`.

    ``prompt_tokens`` is what the API will count, ``cache_hit_tokens`` and ``cache_miss_tokens`` the parts of it that
    are expected to come from the cache and not. ``confidence`` in that expectation is ``"H"``, ``"M"`` or ``"L"``, and
    ``reasons`` say why. ``unit`` is the `Unit` that gives the hit, None without one. ``output_tokens`` is the length of
    reply that was given, else the mean of the earlier replies, and None where there is neither.
    """

    prompt_tokens: int
    cache_hit_tokens: int
    unit: Unit | None
    confidence: str
    reasons: tuple[str, ...]
    output_tokens: int | None
    output_given: bool
    asked: Asked = field(repr=False)
    contract: Contract = field(repr=False)
    earlier: int  # how many earlier requests count
    apart: tuple[str, ...] = ()  # why others do not: "model", "user_id"

    @property
    def cache_miss_tokens(self) -> int:
        """How many tokens of the prompt are expected not to come from the cache."""
        return self.prompt_tokens - self.cache_hit_tokens

    @property
    def hit_rate(self) -> float:
        """Which part of the prompt is expected to come from the cache."""
        return self.cache_hit_tokens / self.prompt_tokens if self.prompt_tokens else 0.0

    @property
    def cost(self) -> Cost:
        """What the prompt costs at this instant, exactly, with the price row (`Cost.price`)."""
        return self._cost(None, 0)

    @property
    def off_peak_cost(self) -> Cost:
        """What the prompt costs off-peak, at the prices of this instant."""
        return self._cost(False, 0)

    @property
    def peak_cost(self) -> Cost:
        """What the prompt costs at peak hours; the same as off-peak where there is one price all day."""
        return self._cost(True, 0)

    @property
    def total_cost(self) -> Cost | None:
        """What prompt and reply cost, if the reply has ``output_tokens``; None where those are not known."""
        return None if self.output_tokens is None else self._cost(None, self.output_tokens)

    @property
    def off_peak_total_cost(self) -> Cost | None:
        """What prompt and reply cost off-peak, if the reply has ``output_tokens``."""
        return None if self.output_tokens is None else self._cost(False, self.output_tokens)

    @property
    def model(self) -> str:
        """The model that is asked."""
        return str(self.asked.frame.body["model"])

    @cached_property
    def notes(self) -> Findings:
        """What the contract has to say (rejected, ignored, billed extra), and what cache and price have."""
        from dsnb.display.findings import Findings

        return Findings(remarks.remarks(self))

    @cached_property
    def messages(self) -> tuple[tuple[str, int], ...]:
        """How many tokens each part of the prompt has, by its role or name, in the order of the prompt."""
        counts: dict[str, int] = {}
        for place, tokens in spread(segments(self.asked.request.body, self.asked.frame.model)).items():
            name = place.split(".", 1)[0] if place.startswith("messages[") else place
            counts[name] = counts.get(name, 0) + tokens
        return tuple(counts.items())

    def _cost(self, peak: bool | None, output: int) -> Cost:
        price: Price = self.contract.price(self.asked.frame.model, peak=peak)
        return cost(self.cache_hit_tokens, self.cache_miss_tokens, output, price)

    def __repr__(self) -> str:
        money = self.cost.usd
        parts = [
            self.model,
            f"{self.prompt_tokens:,} prompt tokens",
            f"{self.cache_hit_tokens:,} expected from the cache ({self.hit_rate:.0%}, {self.confidence})",
            *([] if money is None else [f"${money:.6f}"]),
        ]
        return f"<Plan {' · '.join(parts)}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from dsnb.experiments.planning.plan_card import bundle

        return bundle(self)


def plan(
    messages: Any,
    prompt: Any = None,
    /,
    *,
    model: str | None = None,
    after: Any = (),
    at: Instant | None = None,
    output: int | None = None,
    **options: Any,
) -> Plan:
    """Say what a request will take, before it is sent: its tokens, the cache hit to expect, and the money.

    ``messages`` is what `dsnb.Session.ask` takes (a text or a list of messages), or a dict of its keywords, or a
    Conversation. Of a conversation the next turn is planned: its history and options, and ``prompt``, the next
    question, if there is one; the turns that it has had come before ``after``. ``model`` is ``"deepseek-flash"`` where
    nothing else is said. ``options`` are the other keywords of ask.

    ``after`` are the earlier requests, oldest first: each a text or a list of messages (asked with the same options), a
    dict of the keywords of ask (complete but for the model), a Reply (what came of the request before it, all its
    rounds), a Plan or a Conversation. Where no reply is given, the message that follows in a later request stands for
    it. Requests to another model or for another ``user_id`` share no cache, and count for nothing.

    ``at`` is the instant of the request: a datetime, a date or ISO text, by default now; its contract holds, back to
    2024-12-26. ``output`` is a length of reply to reckon with, in tokens.

    A conversation that grows costs what is new in it: what was planned before is remembered. Raises RequestError for
    what is no request and UnknownModel for a model that there is not at that time.
    """
    reading = reading_for(messages, model, at, options)
    planned = reading.one(messages, prompt)
    earlier = reading.many(after)
    if isinstance(messages, Conversation):
        earlier = [*reading.turns(messages), *earlier]
    if output is not None and (not isinstance(output, int) or isinstance(output, bool) or output < 0):
        raise RequestError(f"output={output!r} is no length of a reply: give a number of tokens.")
    return planned_after(planned, earlier, reading.contract, output=output)


def reading_for(given: Any, model: str | None, at: Instant | None, options: Mapping[str, Any]) -> Reading:
    """Return what reads requests at an instant, by default that of the conversation's session, else now."""
    session = getattr(given, "session", None) if isinstance(given, Conversation) else None
    if at is None and session is not None:
        contract = _contract(session.contract.instant.replace(microsecond=0))
    else:
        # nothing in a contract changes within a second, so turns that are planned in a row share one
        contract = _contract(datetime.now(UTC).replace(microsecond=0) if at is None else at)
    named = options if model is None else {**options, "model": model}
    own = given.get("model") if isinstance(given, Mapping) else getattr(session, "model", None)
    return Reading(contract, named, own or DEFAULT_MODEL)


_contract = lru_cache(maxsize=16)(contract_at)


def planned_after(planned: Asked, earlier: Sequence[Past], contract: Contract, *, output: int | None = None) -> Plan:
    """Return the plan of a request after others."""
    frame = planned.frame
    frames, lists, replies = zip(*earlier, strict=True) if earlier else ((), (), ())
    counted, lengths = earlier, list(map(len, lists))
    apart = {other: why for other in set(frames) if (why := _unshared(other, frame))}
    if apart:
        counted = [each for each in earlier if each[0] not in apart]
        lengths = [len(messages) for _, messages, _ in counted]
    with MEMORY.lock:
        places = Places(MEMORY, planned)
        if lengths and max(lengths) > len(planned.messages):
            places.of(Asked(*counted[lengths.index(max(lengths))]))  # along which the others lie
        own = places.of(planned)
        prompt = own.prompt(len(planned.messages))
        hit, unit, told = _best(planned, counted, lengths, places, own, prompt)
        snapshot = Asked(frame, own.messages[: len(planned.messages)])
        MEMORY.trim()
    usages = [reply.usage for reply in filter(None, replies)]
    known = [usage.completion_tokens for usage in usages if usage and usage.completion_tokens is not None]
    expected = round(sum(known) / len(known)) if known else None
    confidence, reasons = remarks.confidence(frame, prompt.length, unit, counted, told=told)
    return Plan(
        prompt_tokens=prompt.length,
        cache_hit_tokens=hit,
        unit=unit,
        confidence=confidence,
        reasons=reasons,
        output_tokens=expected if output is None else output,
        output_given=output is not None,
        asked=snapshot,
        contract=contract,
        earlier=len(counted),
        apart=tuple(sorted(set(apart.values()))),
    )


def _unshared(frame: Frame, other: Frame) -> str:
    """Return why two requests share no cache, empty where they do."""
    if frame.model.build != other.model.build:
        return "model"
    return "user_id" if frame.user != other.user else ""


def _best(
    planned: Asked, earlier: Sequence[Past], lengths: Sequence[int], places: Places, own: Strand, prompt: Prefixes
) -> tuple[int, Unit | None, str]:
    """Return the longest hit, what gives it, and how its reply is known: ``given``, ``read`` in the history, or not."""
    rule = planned.frame.model.generation.cache
    best, unit, told, reached = 0, None, "", 0
    for place in sorted(range(len(earlier)), key=lengths.__getitem__, reverse=True):
        count = lengths[place]
        if count < reached:  # it parts from this prompt, or ends, before the end of the one that was found
            break
        asked = Asked(*earlier[place])
        strand = places.of(asked)
        left = _left(strand, asked, places)
        hit, end = left.hit(prompt, rule)
        if hit > best:
            best, unit = hit, Unit(hit, place, end, len(earlier))
            told = "given" if asked.reply else "read" if left.whole else ""
            reached = count if strand is own else reached
    return best, unit, told


def _left(strand: Strand, asked: Asked, places: Places) -> Left:
    """Return what an earlier request left, with its reply or with what the history tells of it."""
    count, reply = len(asked.messages), asked.reply
    if reply is None:
        return strand.left(count, places.after(asked))
    usage = reply.usage
    return strand.answered(
        count,
        content=reply.answer,
        reasoning=reply.reasoning,
        calls=tuple((call.name, call.arguments) for call in reply.tool_calls),
        finished=bool(reply.answer or reply.tool_calls) or reply.outcome != "length",
        billed=usage.completion_tokens if usage else None,
    )
