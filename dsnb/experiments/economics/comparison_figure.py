"""A comparison as a picture: the cost as the questions come, and where documents of any size break even."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from dsnb.experiments.economics.comparison import Comparison
from dsnb.experiments.economics.money import amount
from dsnb.picture import ACCENT, INK, OTHER, Picture, bare, short, style

_SIZES: Final = 2 ** np.arange(
    10, 21
)  # documents from 1,024 tokens to 1,048,576, the window of V4: whole cache units all
_READINGS: Final = (1, 3, 10, 30, 1_000)  # questions, as far as their lines stay apart


def draw(comparison: Comparison) -> Figure:
    """Return the picture of a comparison."""
    with style():
        figure = Picture(10, 3.9, f"<Figure: {repr(comparison)[1:-1]}>")
        left, right = figure.subplots(1, 2, width_ratios=(1, 1))
        _draw_cost(left, comparison)
        _draw_sizes(right, comparison)
        return figure


def _draw_cost(axes: Axes, comparison: Comparison) -> None:
    even = comparison.break_even.questions
    shown = comparison
    if even is not None and comparison.questions < 1.6 * even:  # the crossing is in the picture if there is one
        shown = replace(comparison, questions=round(1.6 * even))
    frame = shown.frame()
    lines = {"long context": (frame["long_context"], ACCENT), "retrieval": (frame["retrieval"], OTHER)}
    asked = frame["questions"]
    highest = max(costs.iloc[-1] for costs, _ in lines.values())
    ends = {name: costs.iloc[-1] for name, (costs, _) in lines.items()}
    apart = 0.09 * highest  # labels of two lines
    middle = sum(ends.values()) / 2
    for name, (costs, colour) in lines.items():
        axes.plot(asked, costs, color=colour, linewidth=2, solid_capstyle="round")
        above = ends[name] >= middle if len(set(ends.values())) > 1 else name == "retrieval"
        place = max(ends[name], middle + apart) if above else min(ends[name], middle - apart)
        _say(
            axes,
            f"{name}\n{amount(Decimal(ends[name]), shown.currency)}",
            (asked.iloc[-1], place),
            (8, 0),
            colour,
            va="center",
        )
    if even is not None and even > 1:
        crossing = frame["long_context"].iloc[even - 1]
        axes.plot([even], [crossing], "o", color=INK, markersize=6)
        _say(axes, f"breaks even\nat question {even:,}", (even, crossing), (-8, 6), INK, ha="right", va="bottom")
    title = f"{comparison.document:,} tokens, or {comparison.retrieved:,} retrieved"
    axes.set_title(title, loc="left", color=INK, size=10)
    axes.set_xlabel("questions asked")
    axes.set_ylabel(f"cost so far ({comparison.currency})")
    axes.set_ylim(0, 1.06 * highest)
    axes.set_xlim(0, asked.iloc[-1])
    bare(axes)


def _draw_sizes(axes: Axes, comparison: Comparison) -> None:
    ours = (comparison.document, max(comparison.retrieved, 1))
    most = (comparison.window - comparison.question) // comparison.rule.unit * comparison.rule.unit
    documents = [min(int(size), most) for size in _SIZES]
    for questions in _READINGS:
        sizes = [replace(comparison, document=size, questions=questions) for size in documents]
        tokens = [max(each.break_even.retrieved, 1) for each in sizes]
        axes.plot([each.document for each in sizes], tokens, color=ACCENT, alpha=0.6, linewidth=1.2)
        label = "once" if questions == 1 else f"{questions:,} times"
        _say(axes, label, (sizes[-1].document, tokens[-1]), (6, 0), ACCENT, va="center")
    axes.plot(*[[value] for value in ours], "o", color=OTHER, markersize=7)
    _say(axes, "yours", ours, (-8, 2), OTHER, ha="right", va="bottom")
    axes.text(0.98, 0.03, "above its line the long context is the cheaper", ha="right", transform=axes.transAxes)
    axes.set_title("what a document costs that is read", loc="left", color=INK, size=10)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("tokens of the document")
    axes.set_ylabel("tokens retrieved for each question")
    for axis, ticks in ((axes.xaxis, (1e3, 1e4, 1e5, 1e6)), (axes.yaxis, (1e2, 1e3, 1e4, 1e5, 1e6))):
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    bare(axes)
    axes.grid(visible=False)


def _say(axes: Axes, words: str, at: tuple[float, float], offset: tuple[int, int], colour: str, **align: Any) -> None:
    axes.annotate(words, at, offset, textcoords="offset points", color=colour, parse_math=False, **align)
