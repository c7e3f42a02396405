"""Where the money went: costs by label and by what was paid for."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import pandas as pd

from dsnb.contract import prices
from dsnb.errors import DsnbError
from dsnb.usage.totals import LABELS, known_currency

KINDS: Final = ("cache hit", "cache miss", "reasoning", "answer")
_TOKENS: Final = ("cache_hit_tokens", "cache_miss_tokens", "reasoning_tokens", "completion_tokens")


def spend(attempts: pd.DataFrame, by: str, currency: str = "USD") -> pd.DataFrame:
    """Return what was spent by one label, a row a value, the most expensive first.

    The columns are ``source``, the label, money for each of `KINDS` (reasoning is output, and paid as such), their
    ``total``, ``saved`` (what the cache hits would have cost as misses), ``hit_rate``, and ``unpriced``: attempts
    whose cost is not known and not in it. Money is float: `UsageLog.cost` is exact. Raises DsnbError for a label that
    there is not.
    """
    currency = known_currency(currency).lower()
    if by not in LABELS:
        raise DsnbError(f"Spending cannot go by {by!r}: choose among {', '.join(LABELS)}.")
    label = attempts["time"].dt.strftime("%Y-%m-%d") if by == "day" else attempts[by].astype("string")
    hit, miss, reasoning, output = (attempts[name].fillna(0).to_numpy(np.float64) for name in _TOKENS)
    rates = _rates(attempts, currency)
    told = attempts[f"cost_{currency}"].notna().to_numpy() & ~np.isnan(rates[:, 0])
    money = np.column_stack([hit, miss, reasoning, output - reasoning]) * rates[:, [0, 1, 2, 2]] / 1e6
    rows = pd.DataFrame(np.where(told[:, None], money, 0.0), columns=list(KINDS))
    rows["total"] = rows[list(KINDS)].sum(axis="columns")
    rows["saved"] = np.where(told, hit * (rates[:, 1] - rates[:, 0]) / 1e6, 0.0)
    rows["hit"], rows["prompt"] = hit, hit + miss
    refused = attempts["status"].fillna(0).to_numpy() >= 400  # an error answer is not billed
    rows["unpriced"] = (~told & ~refused).astype(int)
    rows.insert(0, "source", attempts["source"].to_numpy())
    rows.insert(1, by, label.fillna("?").to_numpy())
    sums = rows.groupby(["source", by], as_index=False, sort=True).sum(numeric_only=True)
    sums["hit_rate"] = sums["hit"] / sums["prompt"].where(sums["prompt"] > 0)
    ordered = sums.drop(columns=["hit", "prompt"]).sort_values(
        ["source", "total"], ascending=[True, False], kind="stable", ignore_index=True
    )
    return ordered[["source", by, *KINDS, "total", "saved", "hit_rate", "unpriced"]]


def _rates(attempts: pd.DataFrame, currency: str) -> np.ndarray:
    """Return the prices of a million tokens (hit, miss, output) by which each attempt was paid, NaN where unknown."""
    known = _known(currency)
    nothing = (np.nan,) * 3
    periods = attempts["price_period"].fillna("")
    peaks = attempts["peak"].fillna(value=False)
    found = [known.get((str(period), bool(peak)), nothing) for period, peak in zip(periods, peaks, strict=True)]
    return np.array(found, dtype=np.float64).reshape(-1, 3)


@cache
def _known(currency: str) -> dict[tuple[str, bool], tuple[float, float, float]]:
    rows = {}
    for row in prices.history():
        rates = row.usd if currency == "usd" else row.cny
        if rates is not None:
            rows[row.period, row.peak] = (float(rates.hit), float(rates.miss), float(rates.output))
    return rows
