"""Every price that DeepSeek has charged, as a frame."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from dsnb.contract.prices import Price, history

if TYPE_CHECKING:
    import pandas as pd


def frame() -> pd.DataFrame:
    """Return one row a price: model, period, hours, and what 1,000,000 tokens cost, oldest first.

    ``peak`` rows hold in the peak hours of their time; the others hold in all hours that no peak row covers. Times
    are UTC, ``until`` is NaT while the price stands. Prices are floats (`dsnb.contract.prices.history` has them
    exactly), NaN where they are not known. The frame is the caller's own to change.
    """
    return _frame().copy()


@cache
def _frame() -> pd.DataFrame:
    import pandas as pd

    rows = pd.DataFrame(map(_row, history()))
    times = {name: pd.to_datetime(rows[name], utc=True) for name in ("since", "until")}
    return rows.assign(**times)


def _row(price: Price) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(price, name) for name in ("model", "period", "peak", "since", "until")}
    for currency in ("usd", "cny"):
        rates = getattr(price, currency)
        for kind in ("hit", "miss", "output"):
            row[f"{currency}_{kind}"] = float("nan") if rates is None else float(getattr(rates, kind))
    return row | {"source": price.source, "confidence": price.confidence}
