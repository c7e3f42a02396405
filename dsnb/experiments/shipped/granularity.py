"""The same prompt twice, at many lengths: in which steps the cache remembers, and from which length on."""

from __future__ import annotations

from functools import reduce
from math import gcd
from typing import TYPE_CHECKING, Any, Final

from dsnb.experiments.shipped.experiment import Experiment
from dsnb.experiments.shipped.series import Series, user
from dsnb.experiments.shipped.words import words
from dsnb.picture import ACCENT, INK

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from dsnb.session import Session


def cell(ds: Session, length: int) -> dict[str, Any]:
    """Ask the same text of so many tokens twice."""
    series, text = Series(ds), words(length, length)
    series.ask(user(text), "first")
    series.ask(user(text), "again")
    return series.calls


def _again(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["label"] == "again"].sort_values("prompt_tokens")


def say(frame: pd.DataFrame) -> str:
    """Say the step, and the shortest prompt that was hit."""
    again = _again(frame)
    hits = again[again["hit"] > 0]
    if hits.empty:
        return f"no prompt of up to {again['prompt_tokens'].max():,} tokens was hit when it came again."
    step = reduce(gcd, hits["hit"].astype(int))
    left = (hits["prompt_tokens"] - hits["hit"]).max()
    return (
        f"hits come in steps of {step} tokens; the shortest prompt that was hit had "
        f"{hits['prompt_tokens'].min():,} tokens, and up to {left} tokens at the end of a repeated prompt are not read "
        "from the cache."
    )


def draw(axes: Axes, frame: pd.DataFrame) -> None:
    """Draw the hits over the length of the prompt: a staircase."""
    again = _again(frame)
    most = again["prompt_tokens"].max()
    axes.plot([0, most], [0, most], color=INK, linewidth=0.8, linestyle=":")
    axes.plot(again["prompt_tokens"], again["expected"], drawstyle="steps-post", color=INK, alpha=0.6, linewidth=1)
    axes.plot(again["prompt_tokens"], again["hit"], "o", color=ACCENT, markersize=4)
    axes.annotate("all of it", (most, most), (-16, 2), textcoords="offset points", ha="right", va="center", color=INK)
    axes.set_xlabel("prompt tokens (dots: measured, line: expected)")
    axes.set_ylabel("tokens hit")


EXPERIMENT: Final = Experiment(
    name="granularity",
    title="Granularity",
    question="The same prompt twice, at many lengths: in which steps does the cache remember it?",
    grid={"length": list(range(40, 1160, 40))},
    cell=cell,
    say=say,
    draw=draw,
)
