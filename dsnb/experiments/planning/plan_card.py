"""How a plan shows itself in a notebook: a bar, the tokens of each message, the money now and off-peak."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from dsnb.contract import Cost
from dsnb.display import parts, summary, text
from dsnb.display.findings import sentence
from dsnb.display.parts import Part
from dsnb.display.styles import style
from dsnb.errors import ConfigurationError
from dsnb.experiments.table import table

if TYPE_CHECKING:
    from dsnb.experiments.planning.plan import Plan

_ROWS: Final = 24  # messages in the table; the longest of them, if there are more
_CELLS: Final = 24  # of the bar in plain text
_SURE: Final = {"H": "high", "M": "medium", "L": "low"}


def bundle(plan: Plan) -> dict[str, str]:
    """Return the representations of a plan by MIME type."""
    return parts.bundle(list(_parts(plan)), style() + style("cache"), "cache")


def meter(share: float) -> Part:
    """Return a bar across the page for the part of a prompt that comes from the cache."""
    full = round(share * _CELLS)
    typed = "▰" * full + "▱" * (_CELLS - full)
    bar = f'<span class="dsnb-bar" style="background-size: {share:.0%} 100%"></span>'
    return Part(f'<div class="dsnb-meter">{bar}</div>', typed, typed)


def said(words: str) -> Part:
    """Return a sentence."""
    return Part(f'<p class="dsnb-said">{text.html(words)}</p>', text.markdown(words), text.legible(words))


def dollars(amount: Decimal | None) -> str:
    """Return dollars as they are shown, to three digits that say something."""
    return "?" if amount is None else summary.money(amount)


def yuan(amount: Decimal | None) -> str:
    """Return yuan likewise."""
    return "?" if amount is None else summary.money(amount).replace("$", "¥")


def _parts(plan: Plan) -> Iterator[Part]:
    peak = plan.contract.calendar.is_peak(plan.contract.instant)
    yield parts.head("Plan", [text.line(plan.model), *_how(plan), f"{plan.contract.instant:%Y-%m-%d %H:%M} UTC"])
    yield meter(plan.hit_rate)
    yield _line(plan)
    yield said(f"Expected to hit {_from(plan)}. Confidence: {_SURE[plan.confidence]}.")
    yield parts.note(" ".join(plan.reasons))
    try:
        yield table(["", "now (peak)" if peak else "now", "", "off-peak", ""], list(_money(plan)))
    except ConfigurationError:
        yield parts.note("No price is known for this model at that time.")
    rows = list(_messages(plan))
    if rows:
        yield parts.fold("tokens", f"Tokens by message · {len(plan.messages)} parts", "", [table(["", "tokens"], rows)])
    for note in plan.notes:
        yield parts.note(sentence(note))


def _how(plan: Plan) -> Iterator[str]:
    meant = plan.asked.frame.settings
    if meant.thinking:
        yield f"thinking {meant.effort}" if meant.effort else "thinking"
    if meant.tools:
        yield f"{len(meant.tools)} tool{'s' if len(meant.tools) > 1 else ''}"
    if meant.json_mode:
        yield "JSON mode"
    if plan.earlier:
        yield f"after {plan.earlier} request{'s' if plan.earlier > 1 else ''}"


def _line(plan: Plan) -> Part:
    share = f" ({plan.hit_rate:.0%})" if plan.cache_hit_tokens else ""
    values = [
        ("prompt", f"{plan.prompt_tokens:,}"),
        ("from the cache", f"{plan.cache_hit_tokens:,}{share}"),
        ("not", f"{plan.cache_miss_tokens:,}"),
    ]
    if plan.output_tokens is not None:
        values.append(("reply", f"{plan.output_tokens:,} ({'given' if plan.output_given else 'mean so far'})"))
    line = parts.figures(values, 0)
    assert line is not None  # noqa: S101 — there are values
    return line


def _from(plan: Plan) -> str:
    if plan.unit is None:
        return "nothing"
    return f"{plan.unit.tokens:,} tokens, by {plan.unit}"


def _money(plan: Plan) -> Iterator[Sequence[str]]:
    yield ["prompt", *_both(plan.cost), *_both(plan.off_peak_cost)]
    total, off_peak = plan.total_cost, plan.off_peak_total_cost
    if total is not None and off_peak is not None:
        yield [f"with {plan.output_tokens:,} tokens of reply", *_both(total), *_both(off_peak)]


def _both(cost: Cost) -> tuple[str, str]:
    return dollars(cost.usd), yuan(cost.cny)


def _messages(plan: Plan) -> Iterator[Sequence[str]]:
    found = plan.messages
    least = sorted((tokens for _, tokens in found), reverse=True)[:_ROWS][-1] if found else 0
    left = 0
    for place, tokens in found:
        if tokens < least or (len(found) > _ROWS and tokens == least):
            left += tokens
            continue
        yield [_named(plan, place), f"{tokens:,}"]
    if left:
        yield ["the rest", f"{left:,}"]


def _named(plan: Plan, place: str) -> str:
    if not place.startswith("messages["):
        return {"start": "begin", "generation": "the reply's opening"}.get(place, place)
    message = plan.asked.messages[int(place[len("messages[") : -1])]
    content = message.get("content")
    first = text.line(content, 48) if isinstance(content, str) else ""
    return f"{place} {text.line(str(message.get('role')), 12)}{first and f': {first}'}"
