"""Sums over attempts, taken by SQLite. Calls to the live API and to an emulator are never added up."""

# ruff: noqa: S608 — the names of tables and columns are put into the SQL, and they are ours; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, localcontext
from typing import Any, Final, Self

from dsnb.errors import DsnbError
from dsnb.usage.schema import CALLS, COST, TOKENS

LABELS: Final = (
    *("run", "notebook", "provider", "asked_model", "model", "fingerprint", "streamed", "thinking", "effort"),
    *("status", "outcome", "finish_reason", "error", "price_period", "peak", "day"),
)
COUNTS: Final = ("turns", "unfinished", "attempts", "unknown", "unpriced")
SUMS: Final = (*TOKENS, "hit_rate", *COST, "seconds")
CURRENCIES: Final = {"USD": "$", "CNY": "¥"}

_BILLABLE: Final = "attempt IS NOT NULL AND ifnull(status, 0) < 400"  # an error answer is not billed
_EXACT: Final = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)  # whatever precision the program has chosen


class Amount(Decimal):
    """Hold an exact sum of money, and of how many attempts it is.

    ``currency`` is USD or CNY. The cost of ``unknown`` of the ``attempts`` is not known and not in it: their usage
    never came, or their price is not known. To compute with it gives plain Decimals.
    """

    currency: str
    attempts: int
    unknown: int

    def __new__(cls, value: Decimal | str, currency: str = "USD", attempts: int = 0, unknown: int = 0) -> Self:
        """Make one of an exact value; the rest describes it."""
        self = super().__new__(cls, value)
        self.currency, self.attempts, self.unknown = currency, attempts, unknown
        return self

    def __repr__(self) -> str:
        unknown = f", {self.unknown} of them unknown" if self.unknown else ""
        return f"<{CURRENCIES[self.currency]}{self:f} for {counted(self.attempts, 'attempt')}{unknown}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.currency, self.attempts, self.unknown)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


@dataclass(frozen=True, slots=True)
class Totals:
    """Hold sums by group: ``columns`` names what stands in each of the ``rows``."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def counted(number: int, what: str) -> str:
    """Return a number with the name of what it counts, as in ``1 turn`` and ``1,200 turns``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def group(by: str | Sequence[str]) -> tuple[str, ...]:
    """Return the labels to group by, ``source`` first; raise DsnbError for what is none."""
    names = [by] if isinstance(by, str) else list(by)
    for name in names:
        if name not in (*LABELS, "source"):
            raise DsnbError(f"A summary cannot go by {name!r}: choose among {', '.join(LABELS)}.")
    return tuple(dict.fromkeys(["source", *names]))


def totals(connection: sqlite3.Connection, labels: Sequence[str]) -> Totals:
    """Return the sums for each combination of labels that occurs; what is not known at all is None."""
    # of those attempts only whose hits and misses are both known
    hits = "sum(CASE WHEN cache_miss_tokens IS NOT NULL THEN cache_hit_tokens END)"
    sums = (
        "count(DISTINCT turn)",
        "count(DISTINCT CASE WHEN NOT finished THEN turn END)",
        "count(attempt)",
        f"sum({_BILLABLE} AND (prompt_tokens IS NULL OR completion_tokens IS NULL))",
        f"sum({_BILLABLE} AND cost_usd IS NULL AND cost_cny IS NULL)",
        *(f"sum({name})" for name in TOKENS),
        f"1.0 * {hits} / nullif(sum(cache_hit_tokens + cache_miss_tokens), 0)",
        *(f"sum(CAST({name} AS REAL))" for name in COST),
        "sum(total)",
    )
    groups = [f"date(time, 'unixepoch') AS {name}" if name == "day" else name for name in labels]
    places = ", ".join(str(place) for place in range(1, len(labels) + 1))
    query = f"SELECT {', '.join((*groups, *sums))} FROM ({CALLS}) GROUP BY {places} ORDER BY {places}"
    return Totals((*labels, *COUNTS, *SUMS), connection.execute(query).fetchall())


def sources(connection: sqlite3.Connection) -> list[str]:
    """Return which of live and emulator are in the ledger."""
    query = "SELECT source FROM settings UNION SELECT source FROM results ORDER BY source"
    return [source for (source,) in connection.execute(query)]


def known_currency(currency: str) -> str:
    """Return a currency that costs are known in, in capitals; raise DsnbError for any other."""
    if not isinstance(currency, str) or currency.upper() not in CURRENCIES:
        raise DsnbError(f"Costs are known in USD and CNY, not in {currency!r}.")
    return currency.upper()


def cost(connection: sqlite3.Connection, currency: str, source: str | None) -> Amount:
    """Return the exact cost of all attempts of one source; raise DsnbError where there are several to choose from."""
    currency = known_currency(currency)
    found = sources(connection)
    if source is None and len(found) > 1:
        choices = " or ".join(f"cost(source={name!r})" for name in found)
        raise DsnbError(f"This ledger holds calls of {' and '.join(found)}, which are never added up: ask {choices}.")
    name = f"cost_{currency.lower()}"
    query = (
        f"SELECT a.{name}, ifnull(r.status, 0) < 400 FROM attempts a JOIN results r ON r.id = a.result "
        "WHERE ?1 IS NULL OR r.source = ?1"
    )
    attempts = unknown = 0
    total = Decimal(0)
    with localcontext(_EXACT):
        for amount, billable in connection.execute(query, (source,)):
            attempts += 1
            if amount is not None:
                total += Decimal(amount)
            else:
                unknown += billable
    return Amount(total, currency, attempts, unknown)
