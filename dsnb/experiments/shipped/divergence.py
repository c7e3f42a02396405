"""A and B, A and C, A and D: what a common beginning is worth when the ends differ."""

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

_ENDS: Final = "BCDE"


def cell(ds: Session, shared: int, tail: int) -> dict[str, Any]:
    """Ask four prompts that share a beginning and differ in their ends, all of so many tokens."""
    series, beginning = Series(ds), words(shared, "A")
    for end in _ENDS:
        series.ask(user(f"{beginning}\n\n{words(tail, end)}"), f"A + {end}")
    return series.calls


def say(frame: pd.DataFrame) -> str:
    """Say when the common beginning was hit."""
    later = frame[frame["call"] > 1]
    second, rest = later[later["call"] == 2], later[later["call"] > 2]
    hit, cells = int((second["hit"] > 0).sum()), len(second)
    gained = int((rest.groupby(["shared", "tail"])["hit"].max() > 0).sum())
    grown = "later calls hit no more of it" if gained <= hit else f"in {gained} of {cells} a later one hit it"
    return (
        f"the second prompt hit the common beginning in {hit} of {cells} cases, namely where the first prompt's last "
        f"whole unit ended before the two parted; {grown}."
    )


def draw(axes: Axes, frame: pd.DataFrame) -> None:
    """Draw a row of dots for each pair of lengths, one a call: full where the beginning was hit."""
    pairs = sorted(set(zip(frame["shared"], frame["tail"], strict=True)))
    for place, (shared, tail) in enumerate(pairs):
        of_cell = frame[(frame["shared"] == shared) & (frame["tail"] == tail)]
        colours = [ACCENT if hit else "none" for hit in of_cell["hit"]]
        edges = [ACCENT if hit else INK for hit in of_cell["hit"]]
        axes.scatter(of_cell["call"], [place] * len(of_cell), s=90, c=colours, edgecolors=edges)
        for call, hit in zip(of_cell["call"], of_cell["hit"], strict=True):
            axes.annotate(f"{hit / shared:.0%}", (call, place), (9, 0), textcoords="offset points", va="center", size=8)
    axes.set_yticks(range(len(pairs)), [f"{shared:,} + {tail} tokens" for shared, tail in pairs])
    axes.set_xticks(sorted(frame["call"].unique()), [f"A + {end}" for end in _ENDS][: frame["call"].nunique()])
    axes.set_xlim(0.6, len(_ENDS) + 0.6)
    axes.set_ylim(len(pairs) - 0.4, -0.6)
    axes.grid(visible=False)
    axes.set_xlabel("full: A was read from the cache, and how much of it")


EXPERIMENT: Final = Experiment(
    name="divergence",
    title="Divergence",
    question="Prompts with one beginning and different ends: from which call on is the beginning read from the cache?",
    grid={"shared": [1000, 4000], "tail": [20, 60, 200]},
    cell=cell,
    say=say,
    draw=draw,
)
