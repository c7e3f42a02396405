"""How findings about money show themselves in a notebook: a sentence, a table, and what it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from dsnb.contract.prices import Price, history
from dsnb.display import parts
from dsnb.display.styles import style
from dsnb.experiments.economics.money import amount
from dsnb.experiments.table import table
from dsnb.usage.totals import counted

if TYPE_CHECKING:
    from dsnb.experiments.economics.comparison import Comparison
    from dsnb.experiments.economics.off_peak import OffPeak


def comparison(found: Comparison) -> dict[str, str]:
    """Return the representations of a comparison by MIME type."""
    even, currency = found.break_even, found.currency
    heads = ("way", "from the cache", "other input", "output", "embedding", f"cost ({currency})", "a question")
    rows = [
        (
            bill.name,
            *(f"{tokens:,.0f}" for tokens in (bill.cache_hit_tokens, bill.cache_miss_tokens, bill.completion_tokens)),
            amount(bill.embedding, currency) if bill.embedding else "–",
            amount(bill.cost, currency),
            amount(bill.cost / found.questions, currency),
        )
        for bill in (found.long_context, found.retrieval)
    ]
    points = [
        "no number of questions" if even.questions is None else counted(even.questions, "question"),
        f"{even.retrieved:,} tokens retrieved for each",
        f"a document of {even.document:,} tokens",
        *([] if even.warm is None else [f"{even.warm:.1%} of later questions warm"]),
    ]
    others = [found.model, *filter(None, [found.price.period, _hours(found.price)]), currency]
    return _bundle("Long context or retrieval", others, found.finding, heads, rows, points, found.notes)


def off_peak(found: OffPeak) -> dict[str, str]:
    """Return the representations of the price of some work by MIME type."""
    currency = found.currency
    heads = ("model", "from the cache", "other input", "output", "now", "off-peak", "peak")
    rows = [
        (
            part.model,
            *(f"{tokens:,}" for tokens in (part.cache_hit_tokens, part.cache_miss_tokens, part.completion_tokens)),
            *(amount(getattr(cost, currency.lower()), currency) for cost in (part.now, part.off_peak, part.peak)),
        )
        for part in found.work
    ]
    others = [f"{found.at:%Y-%m-%d %H:%M} UTC", "peak" if found.is_peak else "off-peak", currency]
    return _bundle("Now or off-peak", others, found.finding, heads, rows, [], found.notes)


def _hours(price: Price) -> str:
    """Return whose hours a price is for, nothing where it holds all day."""
    if price.peak:
        return "peak"
    twins = [row for row in history() if (row.model, row.since, row.peak) == (price.model, price.since, True)]
    return "off-peak" if twins else ""


def _bundle(
    name: str,
    others: Iterable[str],
    finding: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    points: Sequence[str],
    notes: Iterable[str],
) -> dict[str, str]:
    shown = [parts.head(name, others), parts.prose(finding)]
    if rows:
        shown.append(table(heads, rows))
    names = ["breaks even with", *["or"] * (len(points) - 1)]
    if figures := parts.figures(zip(names, points, strict=False), 0):
        shown.append(figures)
    return parts.bundle([*shown, *map(parts.note, notes)], style(), "economics")
