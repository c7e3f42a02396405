"""Documents first or the question first: which order lets many questions share one cached document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dsnb.experiments.shipped.experiment import Experiment
from dsnb.experiments.shipped.labels import name_rows
from dsnb.experiments.shipped.series import Series, user
from dsnb.experiments.shipped.words import words
from dsnb.picture import ACCENT

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from dsnb.session import Session

QUESTION_FIRST: Final = "question first"
DOCUMENT_FIRST: Final = "document first"
WARMED: Final = "document first, sent alone before"
_QUESTIONS: Final = 6
_ASKED: Final = 40  # tokens of a question


def cell(ds: Session, order: str, document: int) -> dict[str, Any]:
    """Ask several questions about one document of so many tokens."""
    series, text = Series(ds), words(document, "document")
    if order == WARMED:
        series.ask(user(text), "document")
    for number in range(_QUESTIONS):
        question = words(_ASKED, f"question {number}")
        parts = (question, text) if order == QUESTION_FIRST else (text, question)
        series.ask(user("\n\n".join(parts)), f"question {number + 1}")
    return series.calls


def _shares(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the hit rate of the questions after the first, a row an order and a column a document."""
    later = frame[frame["label"].str.startswith("question") & (frame["label"] != "question 1")]
    sums = later.groupby(["order", "document"])[["hit", "prompt_tokens"]].sum()
    rates: pd.DataFrame = (sums["hit"] / sums["prompt_tokens"]).unstack()
    return rates.reindex([QUESTION_FIRST, DOCUMENT_FIRST, WARMED]).dropna(how="all")


def say(frame: pd.DataFrame) -> str:
    """Say what each order read from the cache."""
    rates = _shares(frame)
    told = [f"{order} {rate:.0%}" for order, rate in rates.mean(axis="columns").items()]
    return (
        f"of the prompts after the first question the cache held, on average over {rates.shape[1]} documents: "
        f"{'; '.join(told)}. What is cached ends with the last whole unit of an earlier request: one that held a "
        "question as well is hit only where the question reached into no further unit, one of the document alone "
        "nearly always."
    )


def draw(axes: Axes, frame: pd.DataFrame) -> None:
    """Draw a bar for each order, and a dot for each document."""
    rates = _shares(frame)
    places = range(len(rates))
    axes.barh(places, rates.mean(axis="columns"), height=0.5, color=ACCENT, alpha=0.25)
    for document in rates.columns:
        axes.plot(rates[document], places, "o", color=ACCENT, markersize=5, alpha=0.8)
    names = [str(order).replace(", ", ",\n") for order in rates.index]
    name_rows(axes, names, "of the prompt read from the cache, after the first question (a dot is a document)")


EXPERIMENT: Final = Experiment(
    name="prompt-order",
    title="Prompt order",
    question="Six questions about one document: is the document read from the cache if it comes first, or last?",
    # round sizes and their neighbours: where a document ends within a unit decides whether a question spoils it
    grid={"order": [QUESTION_FIRST, DOCUMENT_FIRST, WARMED], "document": [980, 1000, 1020, 1040, 4000, 4060]},
    cell=cell,
    say=say,
    draw=draw,
)
