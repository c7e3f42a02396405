"""The ledger as a picture: tokens by kind, and the cost as it grows."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from dsnb.usage.totals import CURRENCIES, counted

_INK: Final = "#797979"  # as far from white as from #111, a usual dark page: 4.3 to 1 on both
_ACCENT: Final = "#4d6bfe"
# From the bottom up: what the prompt took in greys, what the model wrote in blues. The lightness alternates, and no two
# have the same (L* of 78, 44, 66, 50), so that neighbours stay apart for every kind of colour vision.
_KINDS: Final = {"cache hit": "#bac0c8", "cache miss": "#5f6974", "reasoning": "#8c9ef8", "answer": _ACCENT}
_BARS: Final = 60  # more are thinner than the eye can tell apart at this size
_FEW: Final = 8  # turns for which there is room at least: fewer would make walls of bars
_FIXED: Final[Any] = {"svg.hashsalt": "dsnb", "svg.fonttype": "none"}  # the same picture gives the same file


class Picture(Figure):
    """A Figure that shows itself in a notebook without pyplot, and whose SVG does not change from save to save."""

    description = ""

    def savefig(self, fname: Any, **options: Any) -> None:
        """Save as Figure does; an SVG without its date and with stable ids."""
        fixed = {"metadata": {"Date": None}} if str(options.get("format") or fname).endswith("svg") else {}
        with rc_context(_FIXED):
            super().savefig(fname, **(fixed | options))

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        image = BytesIO()
        self.savefig(image, format="png", dpi=2 * self.dpi)  # sharp on the screens of today
        size = {"width": int(self.get_figwidth() * self.dpi), "height": int(self.get_figheight() * self.dpi)}
        bundle = {"image/png": image.getvalue(), "text/plain": self.description}
        return bundle, {"image/png": size}  # type: ignore[return-value] # IPython takes the metadata beside the data


def draw(turns: pd.DataFrame, currency: str) -> Figure:
    """Return the picture of a frame of turns; live and emulated calls stand side by side, each with its own axes."""
    sources = [source for source in ("live", "emulator") if (turns["source"] == source).any()]
    with rc_context({"font.size": 9, "text.color": _INK, "axes.labelcolor": _INK}):
        size = (8 if len(sources) < 2 else 12, 4.4 if sources else 1)
        figure = Picture(figsize=size, layout="constrained", facecolor="none")
        figure.description = _described(turns, sources)
        if not sources:
            figure.text(0.5, 0.5, "Nothing has been logged yet.", ha="center", va="center", color=_INK, size=11)
            return figure
        axes = figure.subplots(2, len(sources), squeeze=False, sharex="col", height_ratios=(3, 2))
        for (upper, lower), source in zip(axes.T, sources, strict=True):
            of_source = turns[turns["source"] == source]
            _draw_tokens(upper, of_source)
            _draw_cost(lower, of_source, currency)
            tokens = _short(float(sum(kind.sum() for kind in _kinds(of_source))))
            title = f"{source} · {counted(len(of_source), 'turn')} · {tokens} tokens"
            upper.set_title(title, loc="left", color=_INK, size=10)
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
        _beside(axes, place, f"{name}  {_short(float(tokens.sum()))}", _INK, 22)
    unknown = int(turns["unknown"].sum())
    if unknown:
        _beside(axes, len(_KINDS) + 0.5, f"+ {counted(unknown, 'attempt')}\nof unknown size", _INK, 8)
    axes.set_ylabel("tokens a turn" if width == 1 else f"tokens in {width:,} turns")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    _bare(axes)


def _beside(axes: Axes, line: float, text: str, colour: str, indent: float) -> None:
    """Write to the right of the axes, some lines above their foot."""
    at, offset = (1, 0), (indent, 2 + 17 * line)
    axes.annotate(text, at, offset, "axes fraction", "offset points", color=colour, va="bottom", parse_math=False)


def _draw_cost(axes: Axes, turns: pd.DataFrame, currency: str) -> None:
    sign, costs = CURRENCIES[currency], turns[f"cost_{currency.lower()}"]
    spent = costs.fillna(0).cumsum().to_numpy()
    ends = np.unique(np.linspace(1, len(spent), min(len(spent), 1000)).astype(int))  # no more than paper can show
    edges = np.append(0, ends) + 0.5
    axes.stairs(spent[ends - 1], edges, fill=True, color=_ACCENT, alpha=0.12, linewidth=0)
    axes.stairs(spent[ends - 1], edges, baseline=None, color=_ACCENT, linewidth=1.8)
    total = "unknown" if costs.isna().all() else f"{sign}{spent[-1]:{'.3g' if spent[-1] < 1 else ',.2f'}}"
    style: dict[str, Any] = {"color": _ACCENT, "va": "center", "size": 11, "parse_math": False}
    axes.annotate(total, (edges[-1], spent[-1]), (8, 0), textcoords="offset points", **style)
    axes.set_ylabel(f"cost so far ({currency})")
    axes.set_xlabel("turn")
    axes.set_ylim(bottom=0)
    axes.set_xlim(0.5, max(len(turns), _FEW) + 0.5)
    axes.xaxis.set_major_locator(
        MaxNLocator(integer=True) if len(turns) > _FEW else FixedLocator(range(1, len(turns) + 1))
    )
    _bare(axes)


def _kinds(turns: pd.DataFrame) -> list[NDArray[np.float64]]:
    """Return each turn's tokens by kind; what was not told apart counts as miss and as answer."""
    told = ("prompt_tokens", "cache_hit_tokens", "completion_tokens", "reasoning_tokens")
    prompt, hit, completion, reasoning = (turns[name].fillna(0).to_numpy(np.float64) for name in told)
    return [hit, np.maximum(prompt - hit, 0), reasoning, np.maximum(completion - reasoning, 0)]


def _bare(axes: Axes) -> None:
    axes.set_facecolor("none")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_INK)
    axes.tick_params(colors=_INK, length=0)
    axes.grid(axis="y", color=_INK, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def _short(number: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"


def _described(turns: pd.DataFrame, sources: list[str]) -> str:
    told = " and ".join(counted(int((turns["source"] == source).sum()), f"{source} turn") for source in sources)
    return f"<Figure: tokens by kind and growing cost of {told or 'no turns'}>"
