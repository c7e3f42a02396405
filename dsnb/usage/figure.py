"""The ledger as a picture: tokens by kind, and the cost as it grows."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from dsnb.picture import ACCENT, INK, Picture, bare, short, style
from dsnb.usage.totals import CURRENCIES, counted

# From the bottom up: what the prompt took in greys, what the model wrote in blues. The lightness alternates, and no two
# have the same (L* of 78, 44, 66, 50), so that neighbours stay apart for every kind of colour vision.
_KINDS: Final = {"cache hit": "#bac0c8", "cache miss": "#5f6974", "reasoning": "#8c9ef8", "answer": ACCENT}
COLOURS: Final = tuple(_KINDS.values())  # of the four kinds of tokens, wherever they are drawn
_BARS: Final = 60  # more are thinner than the eye can tell apart at this size
_FEW: Final = 8  # turns for which there is room at least: fewer would make walls of bars


def draw(turns: pd.DataFrame, currency: str) -> Figure:
    """Return the picture of a frame of turns; live and emulated calls stand side by side, each with its own axes."""
    sources = [source for source in ("live", "emulator") if (turns["source"] == source).any()]
    with style():
        size = (8 if len(sources) < 2 else 12, 4.4 if sources else 1)
        figure = Picture(*size, _described(turns, sources))
        if not sources:
            figure.text(0.5, 0.5, "Nothing has been logged yet.", ha="center", va="center", color=INK, size=11)
            return figure
        axes = figure.subplots(2, len(sources), squeeze=False, sharex="col", height_ratios=(3, 2))
        for (upper, lower), source in zip(axes.T, sources, strict=True):
            of_source = turns[turns["source"] == source]
            _draw_tokens(upper, of_source)
            _draw_cost(lower, of_source, currency)
            tokens = short(float(sum(kind.sum() for kind in _kinds(of_source))))
            title = f"{source} · {counted(len(of_source), 'turn')} · {tokens} tokens"
            upper.set_title(title, loc="left", color=INK, size=10)
        figure.align_ylabels()
    return figure


def _draw_tokens(axes: Axes, turns: pd.DataFrame) -> None:
    width = -(-len(turns) // _BARS)  # turns a bar
    starts = np.arange(0, len(turns), width)
    middles = starts + (np.minimum(starts + width, len(turns)) - starts + 1) / 2
    below = np.zeros(len(starts))
    kinds = _kinds(turns)
    for colour, tokens in zip(_KINDS.values(), kinds, strict=True):
        heights = np.add.reduceat(tokens, starts)
        axes.bar(middles, heights, width * 0.86, below, color=colour, linewidth=0)
        below += heights
    # named beside the bars, in the order in which they are stacked
    for place, ((name, colour), tokens) in enumerate(zip(_KINDS.items(), kinds, strict=True)):
        _beside(axes, place, "■", colour, 8)
        _beside(axes, place, f"{name}  {short(float(tokens.sum()))}", INK, 22)
    unknown = int(turns["unknown"].sum())
    if unknown:
        _beside(axes, len(_KINDS) + 0.5, f"+ {counted(unknown, 'attempt')}\nof unknown size", INK, 8)
    axes.set_ylabel("tokens a turn" if width == 1 else f"tokens in {width:,} turns")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    bare(axes)


def _beside(axes: Axes, line: float, text: str, colour: str, indent: float) -> None:
    """Write to the right of the axes, some lines above their foot."""
    at, offset = (1, 0), (indent, 2 + 17 * line)
    axes.annotate(text, at, offset, "axes fraction", "offset points", color=colour, va="bottom", parse_math=False)


def _draw_cost(axes: Axes, turns: pd.DataFrame, currency: str) -> None:
    sign, costs = CURRENCIES[currency], turns[f"cost_{currency.lower()}"]
    spent = costs.fillna(0).cumsum().to_numpy()
    ends = np.unique(np.linspace(1, len(spent), min(len(spent), 1000)).astype(int))  # no more than paper can show
    edges = np.append(0, ends) + 0.5
    axes.stairs(spent[ends - 1], edges, fill=True, color=ACCENT, alpha=0.12, linewidth=0)
    axes.stairs(spent[ends - 1], edges, baseline=None, color=ACCENT, linewidth=1.8)
    total = "unknown" if costs.isna().all() else f"{sign}{spent[-1]:{'.3g' if spent[-1] < 1 else ',.2f'}}"
    style: dict[str, Any] = {"color": ACCENT, "va": "center", "size": 11, "parse_math": False}
    axes.annotate(total, (edges[-1], spent[-1]), (8, 0), textcoords="offset points", **style)
    axes.set_ylabel(f"cost so far ({currency})")
    axes.set_xlabel("turn")
    axes.set_ylim(bottom=0)
    axes.set_xlim(0.5, max(len(turns), _FEW) + 0.5)
    axes.xaxis.set_major_locator(
        MaxNLocator(integer=True) if len(turns) > _FEW else FixedLocator(range(1, len(turns) + 1))
    )
    bare(axes)


def _kinds(turns: pd.DataFrame) -> list[NDArray[np.float64]]:
    """Return each turn's tokens by kind; what was not told apart counts as miss and as answer."""
    told = ("prompt_tokens", "cache_hit_tokens", "completion_tokens", "reasoning_tokens")
    prompt, hit, completion, reasoning = (turns[name].fillna(0).to_numpy(np.float64) for name in told)
    return [hit, np.maximum(prompt - hit, 0), reasoning, np.maximum(completion - reasoning, 0)]


def _described(turns: pd.DataFrame, sources: list[str]) -> str:
    told = " and ".join(counted(int((turns["source"] == source).sum()), f"{source} turn") for source in sources)
    return f"<Figure: tokens by kind and growing cost of {told or 'no turns'}>"
