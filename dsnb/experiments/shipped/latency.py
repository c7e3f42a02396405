"""The time to the first token, by how much of the prompt is cached; offline it needs a real model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dsnb.experiments.shipped.experiment import Experiment
from dsnb.experiments.shipped.series import Series, user
from dsnb.experiments.shipped.words import words
from dsnb.picture import ACCENT, INK

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from dsnb.session import Session


def cell(ds: Session, length: int, share: float) -> dict[str, Any]:
    """Send the first part of a text, and then the whole of it."""
    series, text = Series(ds), words(length, f"latency {share}").split()
    beginning = text[: round(share * length)]
    # a cold prompt comes after another of the same length, so that all else is alike
    series.ask(user(" ".join(beginning) if beginning else words(length, f"other {share}")), "beginning")
    series.ask(user(" ".join(text)), "whole")
    return series.calls


def _whole(frame: pd.DataFrame) -> pd.DataFrame:
    whole = frame[(frame["label"] == "whole") & frame["first_token"].notna()].copy()
    whole["cached"] = whole["hit"] / whole["prompt_tokens"]
    return whole.sort_values("cached")


def say(frame: pd.DataFrame) -> str:
    """Say how much sooner the first token comes."""
    medians = _whole(frame).groupby("share")[["cached", "first_token"]].median()
    if len(medians) < 2:
        return "there are too few calls, cold and warm, to compare."
    cold, warm = medians.iloc[0], medians.iloc[-1]
    return (
        f"with {warm['cached']:.0%} of the prompt cached the first token came after "
        f"{warm['first_token'] / cold['first_token']:.0%} of the time that it took with {cold['cached']:.0%} "
        f"(median {warm['first_token']:.2f} s against {cold['first_token']:.2f} s)."
    )


def draw(axes: Axes, frame: pd.DataFrame) -> None:
    """Draw the time to the first token over the cached share, a dot a call, and the medians."""
    whole = _whole(frame)
    medians = whole.groupby("share")[["cached", "first_token"]].median()
    axes.plot(medians["cached"], medians["first_token"], color=ACCENT, linewidth=1.6)
    axes.plot(whole["cached"], whole["first_token"], "o", color=ACCENT, markersize=4, alpha=0.6)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlabel("of the prompt read from the cache (dots: calls, line: medians)", color=INK)
    axes.set_ylabel("seconds to the first token")


EXPERIMENT: Final = Experiment(
    name="latency",
    title="Time to the first token",
    question="How much sooner does the first token come where the prompt is cached?",
    grid={"length": [160], "share": [0.0, 0.25, 0.5, 0.75, 0.95]},
    cell=cell,
    say=say,
    draw=draw,
    engine="llama",
)
