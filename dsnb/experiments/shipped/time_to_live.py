"""The same prompt again after a pause: how long the cache remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dsnb.experiments.shipped.experiment import Experiment
from dsnb.experiments.shipped.series import Series, user
from dsnb.experiments.shipped.words import words
from dsnb.picture import ACCENT

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from dsnb.session import Session

_LENGTH: Final = 1000  # tokens


def cell(ds: Session, minutes: float) -> dict[str, Any]:
    """Ask, wait, and ask again."""
    series, text = Series(ds), words(_LENGTH, "time to live")
    series.ask(user(text), "first")
    series.wait(60 * minutes)
    series.ask(user(text), "again")
    return series.calls


def say(frame: pd.DataFrame) -> str:
    """Say the longest pause that was survived, and the shortest that was not."""
    again = frame[frame["label"] == "again"].groupby("minutes")["hit"].mean()
    kept, lost = again[again > 0], again[again == 0]
    told = f"after {_said(kept.index.max())} the prompt was still there" if len(kept) else "no pause was survived"
    gone = f", after {_said(lost.index.min())} it was gone" if len(lost) else "; no pause was long enough to lose it"
    return f"{told}{gone}."


def draw(axes: Axes, frame: pd.DataFrame) -> None:
    """Draw the hit over the pause."""
    again = frame[frame["label"] == "again"].sort_values("minutes")
    axes.plot(again["minutes"], again["hit"] / again["prompt_tokens"], "o-", color=ACCENT, markersize=4)
    axes.set_xscale("log")
    axes.set_xticks(again["minutes"], [_said(minutes) for minutes in again["minutes"]], rotation=30, ha="right")
    axes.minorticks_off()
    axes.set_ylim(-0.03, 1.05)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlabel("pause")
    axes.set_ylabel("of the prompt read from the cache")


def _said(minutes: float) -> str:
    for size, unit in ((1440, "d"), (60, "h")):
        if minutes % size == 0:
            return f"{minutes / size:g} {unit}"
    return f"{minutes:g} min"


EXPERIMENT: Final = Experiment(
    name="time-to-live",
    title="Time to live",
    question="The same prompt again after a pause: how long is it remembered?",
    # live, the pauses are real: give grid={"minutes": [1, 10, 60]} for what an evening allows
    grid={"minutes": [1, 10, 60, 360, 1380, 2880]},
    cell=cell,
    say=say,
    draw=draw,
)
