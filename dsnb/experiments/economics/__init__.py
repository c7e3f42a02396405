"""What it pays to do: a long context or retrieval, now or off-peak.

>>> dsnb.economics.compare(document=200_000, retrieved=5 * 800, questions=50)
>>> dsnb.economics.off_peak(ds.usage)
>>> dsnb.economics.plot_prices()

Prices, cache rules and peak hours are the contract's (`dsnb.contract`); `dsnb.prices` is the history of prices as a
frame. It is money that is compared: whether an answer is as good from passages as from the whole text is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsnb.experiments.economics.comparison import Bill, BreakEven, Comparison, compare
from dsnb.experiments.economics.off_peak import OffPeak, off_peak

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Bill", "BreakEven", "Comparison", "OffPeak", "compare", "off_peak", "plot_prices"]


def plot_prices(currency: str = "USD") -> Figure:
    """Draw all prices over time, by kind of token; return the matplotlib Figure.

    A ribbon spans the off-peak and the peak price of a time that has both. Raises `DsnbError` for other currencies
    than USD and CNY.
    """
    from dsnb.experiments.economics.price_figure import draw
    from dsnb.usage.totals import known_currency

    return draw(known_currency(currency))
