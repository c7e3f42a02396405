"""The ledger at a glance: where the money went, and how much of the prompts came from the cache, as time passes."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from dsnb.picture import ACCENT, INK, Picture, bare, style
from dsnb.usage.figure import COLOURS
from dsnb.usage.money import KINDS, spend
from dsnb.usage.totals import CURRENCIES, counted

_ROWS: Final = 10  # bars; the rest is one more
_WINDOW: Final = 20  # attempts that a point of the line is the mean of
_KEY: Final = 100  # points from one name of a colour to the next
_MOST: Final = 2000  # points: more hide each other


def draw(attempts: pd.DataFrame, by: str, currency: str) -> Picture:
    """Return the picture of a frame of attempts; live and emulated ones stand below each other."""
    sources = [source for source in ("live", "emulator") if (attempts["source"] == source).any()]
    with style():
        figure = Picture(10, max(3.2 * len(sources), 1), _described(attempts, by, sources))
        if not sources:
            figure.text(0.5, 0.5, "Nothing has been logged yet.", ha="center", va="center", color=INK, size=11)
            return figure
        axes = figure.subplots(len(sources), 2, squeeze=False, width_ratios=(3, 2))
        for (left, right), source in zip(axes, sources, strict=True):
            of_source = attempts[attempts["source"] == source]
            _draw_spend(left, spend(of_source, by, currency), by, currency, source)
            _draw_hits(right, of_source)
    return figure


def _draw_spend(axes: Axes, money: pd.DataFrame, by: str, currency: str, source: str) -> None:
    sign = CURRENCIES[currency]
    shown = money.set_index(by)[[*KINDS, "total"]]
    if by == "day":
        shown = shown.sort_index()
    if len(shown) > _ROWS:
        kept = shown.nlargest(_ROWS - 1, "total").index
        rest = shown[~shown.index.isin(kept)]
        shown = shown[shown.index.isin(kept)]
        shown.loc[f"{len(rest)} others"] = rest.sum()
    places, left = range(len(shown)), np.zeros(len(shown))
    for kind, colour in zip(KINDS, COLOURS, strict=True):
        axes.barh(places, shown[kind], 0.62, left, color=colour, linewidth=0)
        left += shown[kind].to_numpy()
    for place, total in zip(places, shown["total"], strict=True):
        axes.annotate(f"{sign}{total:.3g}", (total, place), (5, 0), textcoords="offset points", va="center", size=8)
    axes.set_yticks(places, [_short(str(name)) for name in shown.index], parse_math=False)
    axes.invert_yaxis()
    bare(axes)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    axes.margins(x=0.14)
    total, saved = money["total"].sum(), money["saved"].sum()
    axes.set_title(f"{source} · spent by {by} · {sign}{total:.3g}", loc="left", color=INK, size=10)
    for place, (kind, colour) in enumerate(zip(KINDS, COLOURS, strict=True)):
        _below(axes, _KEY * place, 1, "■", colour)
        _below(axes, _KEY * place + 14, 1, f"{kind} {money[kind].sum() / total if total else 0:.0%}", INK)
    _below(axes, 0, 2, f"the cache saved {sign}{saved:.3g}", INK)


def _below(axes: Axes, right: float, line: int, text: str, colour: str) -> None:
    """Write below the axes, some points from their left edge."""
    offset = (right, -15 * line)
    axes.annotate(text, (0, 0), offset, "axes fraction", "offset points", color=colour, va="center", parse_math=False)


def _draw_hits(axes: Axes, attempts: pd.DataFrame) -> None:
    told = attempts[attempts["prompt_tokens"].fillna(0) > 0].sort_values("time")
    hit, prompt = (told[name].fillna(0).to_numpy(float) for name in ("cache_hit_tokens", "prompt_tokens"))
    number = np.arange(1, len(told) + 1)
    window = min(_WINDOW, max(len(told) // 4, 1))
    sums = pd.DataFrame({"hit": hit, "prompt": prompt}).rolling(window, min_periods=1).sum()
    step = -(-len(told) // _MOST) if len(told) else 1
    sizes = 6 + 40 * prompt / max(prompt.max(initial=1), 1)
    axes.scatter(number[::step], (hit / prompt)[::step], s=sizes[::step], color=ACCENT, alpha=0.3, linewidths=0)
    axes.plot(number, sums["hit"] / sums["prompt"], color=ACCENT, linewidth=1.6)
    bare(axes)
    axes.set_ylim(-0.04, 1.04)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    overall = hit.sum() / prompt.sum() if len(told) else 0.0
    axes.set_title(
        f"hit rate · {overall:.0%} of {counted(int(prompt.sum()), 'prompt token')}", loc="left", color=INK, size=10
    )
    axes.set_xlabel("attempts" + ("" if window == 1 else f" (line: the last {window} together)"))


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:27]}…"


def _described(attempts: pd.DataFrame, by: str, sources: list[str]) -> str:
    counts = " and ".join(counted(int((attempts["source"] == source).sum()), f"{source} attempt") for source in sources)
    return f"<Figure: money by {by} and hit rate over time of {counts or 'no attempts'}>"
