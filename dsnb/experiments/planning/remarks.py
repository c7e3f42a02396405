"""What there is to say about a plan: how sure it is, and what the contract, the cache and the price have to say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from dsnb.client.lint import judge
from dsnb.contract import Finding
from dsnb.errors import ConfigurationError
from dsnb.experiments.planning.asked import Frame, Past

if TYPE_CHECKING:
    from dsnb.experiments.planning.plan import Plan, Unit

_ORDER: Final = "LMH"
# The shortest repeated prompt that was seen to hit under V4's rule; one of 132 tokens hit nothing (live 2026-07-27).
_SHORTEST_SEEN: Final = 212


def confidence(
    frame: Frame, length: int, unit: Unit | None, earlier: Sequence[Past], *, told: str
) -> tuple[str, tuple[str, ...]]:
    """Return how sure the expected hit is (``"H"``, ``"M"``, ``"L"``), and the reasons."""
    if not earlier or length < frame.model.generation.cache.minimum:
        return "H", (_nothing(length, frame, earlier),)
    found = list(_doubts(frame, length, unit, earlier, told=told))
    grade = min((grade for grade, _ in found), key=_ORDER.index, default="H")
    return grade, tuple(reason for _, reason in found)


def _nothing(length: int, frame: Frame, earlier: Sequence[Past]) -> str:
    if earlier:
        rule = frame.model.generation.cache
        return f"The prompt has {length} tokens, and nothing under {rule.minimum} is ever read from the cache."
    return (
        "No earlier request shares its cache, so nothing of it is there; other traffic of the account may change that."
    )


def _doubts(
    frame: Frame, length: int, unit: Unit | None, earlier: Sequence[Past], *, told: str
) -> Iterator[tuple[str, str]]:
    rule = frame.model.generation.cache
    if rule.confidence == "L":
        yield "L", f"Units of {rule.unit} tokens were measured on V4, and never for {frame.model.title}."
    elif not rule.whole_units_at_ends:
        yield "M", "Of recorded calls to V3 and V3.2, 92 in 100 hit exactly so, and the rest one unit less."
    if rule.whole_units_at_ends and unit is None and any(reply is None for _, _, reply in earlier):
        yield (
            "M",
            "The guide says that a beginning which several requests share may become a unit; no recording shows it.",
        )
    if rule.whole_units_at_ends and length < _SHORTEST_SEEN:
        yield "M", f"Prompts under {_SHORTEST_SEEN} tokens were not seen to hit; one of 132 that was repeated did not."
    if unit is not None and not told:
        yield "M", "The reply to that request is not known as it was generated, so its end is not counted on."
    elif unit is not None and told == "read" and unit.end != "prompt":
        yield "M", "The reply was read from the history after it, which may spell it otherwise than it was generated."
    if unit is not None:
        hours = rule.expiry_seconds / 3600
        yield (
            "H",
            f"A unit takes seconds to be built, and is cleared hours to days after its last use (here {hours:.0f} h).",
        )


def remarks(plan: Plan) -> Iterator[Finding]:
    """Yield what there is to say, rejections first."""
    request = plan.asked.request
    judged = judge(request, plan.contract)
    yield from sorted([*plan.asked.frame.notes, *judged], key=lambda finding: finding.effect != "rejected")
    yield from _pictures(request.body)
    yield from _apart(plan)
    yield from _short(plan)
    with suppress(ConfigurationError):  # no price is known for that time
        yield from _hours(plan)


def _pictures(body: Mapping[str, Any]) -> Iterator[Finding]:
    for index, message in enumerate(body["messages"]):
        content = message.get("content")
        if isinstance(content, list) and any(
            isinstance(part, Mapping) and part.get("type") != "text" for part in content
        ):
            yield _said(
                "plan.pictures",
                f"messages[{index}].content",
                "A picture counts here as one token, and is billed up to 1,024.",
            )


def _apart(plan: Plan) -> Iterator[Finding]:
    if "model" in plan.apart:
        yield _said(
            "plan.other_model",
            "model",
            "Earlier requests asked another model: nothing is shared with them.",
            "Ask one model all along to read from its cache.",
        )
    if "user_id" in plan.apart:
        yield _said(
            "plan.other_user",
            "user_id",
            "Earlier requests were made for another user_id: nothing is shared with them.",
            "Keep user_id the same within what should share a cache.",
        )


def _short(plan: Plan) -> Iterator[Finding]:
    rule = plan.asked.frame.model.generation.cache
    if plan.prompt_tokens < rule.minimum:
        yield _said(
            "plan.shorter_than_a_unit",
            "messages",
            f"The prompt has {plan.prompt_tokens} tokens, less than one unit of the cache ({rule.unit}): "
            "repeating it hits nothing.",
        )


def _hours(plan: Plan) -> Iterator[Finding]:
    calendar, instant = plan.contract.calendar, plan.contract.instant
    now, off_peak = plan.cost.usd, plan.off_peak_cost.usd
    if not calendar.is_peak(instant) or now == off_peak:
        return
    change = calendar.next_change(instant)
    until = f" until {change[0]:%Y-%m-%d %H:%M} UTC" if change else ""
    saved = f", which saves ${now - off_peak:f} on the prompt" if now is not None and off_peak is not None else ""
    yield _said("plan.peak", "at", f"It is peak time{until}.", f"Ask off-peak{saved}.")


def _said(rule: str, where: str, message: str, mend: str = "Nothing needs to change.") -> Finding:
    return Finding(rule=rule, effect="billed", where=where, message=message, mend=mend, error=None, confidence="H")
