"""The history of prices as a picture: one strip for each kind of token, one ribbon for each line of models."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any, Final

from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from dsnb.contract.prices import Price, history
from dsnb.picture import ACCENT, INK, OTHER, Picture, bare, style
from dsnb.usage.totals import CURRENCIES

# Which prices follow each other as those of one kind of model: the names changed, the shelf did not.
_SHELVES: Final = {
    "reasoner": (("deepseek-reasoner",), INK),
    "pro": (("deepseek-v4-pro",), OTHER),
    "chat, flash": (("deepseek-chat", "deepseek-v4-flash", "deepseek-flash"), ACCENT),
}
_KINDS: Final = {"hit": "input from the cache", "miss": "other input", "output": "output"}
_MARKS: Final = (0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
_TO_COME: Final = timedelta(days=90)  # of a price that stands

_Span = tuple[datetime, datetime, Decimal, Decimal]  # begin, end, lowest and highest price


def draw(currency: str) -> Figure:
    """Return the picture of all prices in a currency."""
    now = history()[-1].since + _TO_COME
    with style():
        figure = Picture(9, 5.6, f"<Figure: prices over time by kind of token, {currency} for 1,000,000 tokens>")
        strips = figure.subplots(3, 1, sharex=True)
        for axes, (kind, title) in zip(strips, _KINDS.items(), strict=True):
            axes.set_title(title, loc="left", color=INK, size=10)
            for shelf, (models, colour) in _SHELVES.items():
                _draw_shelf(axes, list(_spans(models, kind, currency, now)), shelf, colour, currency, now)
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(FixedLocator(_MARKS))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{CURRENCIES[currency]}{value:g}"))
            axes.margins(y=0.2)
            bare(axes)
        locator: Any = dates.MonthLocator(bymonth=(1, 4, 7, 10))  # type: ignore[no-untyped-call]
        strips[-1].xaxis.set_major_locator(locator)
        strips[-1].xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        strips[-1].set_xlim(history()[0].since - timedelta(days=5), now)
        figure.supylabel(f"{currency} for 1,000,000 tokens, off-peak to peak", color=INK, size=9)
        return figure


def _spans(models: tuple[str, ...], kind: str, currency: str, now: datetime) -> Iterator[_Span]:
    """Yield begin, end, lowest and highest price of each period of some models, in order."""
    rows = [row for row in history() if row.model in models and getattr(row, currency.lower()) is not None]
    for since, group in groupby(rows, lambda row: row.since):
        period = list(group)
        prices = [_rate(row, kind, currency) for row in period]
        yield since, period[0].until or now, min(prices), max(prices)


def _rate(price: Price, kind: str, currency: str) -> Decimal:
    rate: Decimal = getattr(getattr(price, currency.lower()), kind)
    return rate


def _draw_shelf(axes: Axes, spans: list[_Span], shelf: str, colour: str, currency: str, now: datetime) -> None:
    times: Any = [time for begin, end, _, _ in spans for time in (begin, end)]
    lows = [float(low) for *_, low, _ in spans for _ in range(2)]
    highs = [float(high) for *_, high in spans for _ in range(2)]
    axes.fill_between(times, lows, highs, color=colour, alpha=0.3, linewidth=0)
    for edge in (lows, highs):
        axes.plot(times, edge, color=colour, linewidth=1.6, solid_joinstyle="miter")
    words: dict[str, Any] = {"textcoords": "offset points", "color": colour, "parse_math": False}
    if times[-1] < now:
        axes.annotate(shelf, (times[0], highs[0]), (0, 4), va="bottom", **words)
        return
    *_, low, high = spans[-1]
    told = f"{CURRENCIES[currency]}{low}" if low == high else f"{CURRENCIES[currency]}{low} – {high}"
    axes.annotate(f"{shelf}\n{told}", (now, (lows[-1] * highs[-1]) ** 0.5), (7, 0), va="center", **words)
