"""One prompt, two users of one account: whether they share a cache."""

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

_ORDER: Final = "AABBA"


def cell(ds: Session, length: int) -> dict[str, Any]:
    """Ask the same text as user A, A, B, B, A."""
    series, text = Series(ds), words(length, "isolation")
    for letter in _ORDER:
        series.ask(user(text), letter, user_id=f"{series.user}-{letter}")
    return series.calls


def say(frame: pd.DataFrame) -> str:
    """Say whether the second user hit what the first had left."""
    hits = frame.groupby("call")["hit"].mean()
    shared = "hit what the first had sent" if hits[3] > 0 else "hit nothing of what the first had sent"
    own = "its own second request was hit" if hits[4] > 0 else "not even its own second request was hit"
    return f"a second user_id {shared}; {own}."


def draw(axes: Axes, frame: pd.DataFrame) -> None:
    """Draw a bar a call."""
    rates = (frame["hit"] / frame["prompt_tokens"]).groupby(frame["call"]).mean()
    axes.bar(rates.index, rates, width=0.5, color=[ACCENT if letter == "A" else INK for letter in _ORDER])
    axes.set_xticks(rates.index, [f"user {letter}" for letter in _ORDER])
    axes.set_ylim(0, 1.05)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_ylabel("of the prompt read from the cache")


EXPERIMENT: Final = Experiment(
    name="isolation",
    title="Two users, one prompt",
    question="One prompt from two users (user_id) of one account: do they share a cache?",
    grid={"length": [1500]},
    cell=cell,
    say=say,
    draw=draw,
)
