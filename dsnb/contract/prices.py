"""What tokens cost: every price that DeepSeek has charged, per 1,000,000 tokens, by period.

The rows stand in ``data/prices.toml``. Money is `Decimal` and never rounded; what is not known is None, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from dsnb.contract.calendar import utc
from dsnb.contract.data import read
from dsnb.errors import ConfigurationError

_PER_TOKEN = Decimal("0.000001")  # prices are for a million


@dataclass(frozen=True, slots=True)
class Rates:
    """Hold the price of 1,000,000 tokens: input from the cache, other input, and output (reasoning included)."""

    hit: Decimal
    miss: Decimal
    output: Decimal


@dataclass(frozen=True, slots=True)
class Price:
    """Hold what one model costs in one period; ``usd`` or ``cny`` is None where it is not known.

    ``peak`` is false too where the period has one price all day. ``until`` is None while the price stands.
    """

    model: str
    period: str
    peak: bool
    usd: Rates | None
    cny: Rates | None
    since: datetime
    until: datetime | None
    source: str
    confidence: str


@dataclass(frozen=True, slots=True, repr=False)
class Cost:
    """Hold what something cost, exactly; ``+`` and ``sum`` add costs, and what is unknown stays None.

    ``price`` is the row that it was reckoned with, None for a sum over different rows.
    """

    usd: Decimal | None
    cny: Decimal | None
    price: Price | None = None

    def __add__(self, other: Cost) -> Cost:
        if not isinstance(other, Cost):
            return NotImplemented
        price = self.price if self.price == other.price else None
        return Cost(_sum(self.usd, other.usd), _sum(self.cny, other.cny), price)

    def __radd__(self, start: int) -> Cost:
        return self if start == 0 else NotImplemented  # what sum() begins with

    def __repr__(self) -> str:
        return f"Cost({_money('$', self.usd)}, {_money('¥', self.cny)})"


def cost(hit: int | Decimal, miss: int | Decimal, output: int | Decimal, price: Price) -> Cost:
    """Return the exact cost of so many input tokens from the cache, other input tokens, and output tokens.

    Decimals are for numbers of tokens that are expected rather than counted.
    """

    def amount(rates: Rates | None) -> Decimal | None:
        if rates is None:
            return None
        return (hit * rates.hit + miss * rates.miss + output * rates.output) * _PER_TOKEN

    return Cost(amount(price.usd), amount(price.cny), price)


def price(model: str, instant: datetime, *, peak: bool) -> Price:
    """Return the row in force for the price key ``model``; a period with one price answers for ``peak`` as well.

    Raises `ConfigurationError` where there is no row.
    """
    rows = [row for row in history() if row.model == model and row.since <= instant]
    rows = [row for row in rows if row.until is None or instant < row.until]
    if not rows:
        message = f"no price of {model!r} is known at {instant:%Y-%m-%d %H:%M} UTC: see dsnb.contract.prices.history()."
        raise ConfigurationError(message)
    return next((row for row in rows if row.peak == peak), rows[0])


@cache
def history() -> tuple[Price, ...]:
    """Return every price row, oldest first, off-peak before peak."""
    rows = [_price(row, model) for row in read("prices.toml")["price"] for model in row["models"]]
    return tuple(sorted(rows, key=lambda row: (row.since, row.model, row.peak)))


def _price(row: dict[str, Any], model: str) -> Price:
    until = row.get("until")
    return Price(
        model=model,
        period=row["period"],
        peak=row.get("peak", False),
        usd=_rates(row, "usd"),
        cny=_rates(row, "cny"),
        since=utc(row["since"]),
        until=until and utc(until),
        source=row["source"],
        confidence=row["confidence"],
    )


def _rates(row: dict[str, Any], currency: str) -> Rates | None:
    return Rates(*map(Decimal, row[currency])) if currency in row else None


def _sum(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one + other


def _money(sign: str, amount: Decimal | None) -> str:
    return f"{sign}?" if amount is None else f"{sign}{amount.normalize():f}"
