"""A conversation that grows, with its reasoning sent back and without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dsnb.experiments.shipped.experiment import Experiment
from dsnb.experiments.shipped.labels import name_ends
from dsnb.experiments.shipped.series import Series
from dsnb.experiments.shipped.words import words
from dsnb.picture import ACCENT, OTHER

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from dsnb.session import Session

WHOLE: Final = "whole"
STRIPPED: Final = "without reasoning"
_TURNS: Final = 10
_SYSTEM: Final = 1000  # tokens
_LONGEST: Final = 400  # tokens of a reply: reasoning and answer, and not much money
_TOOL: Final = {
    "type": "function",
    "function": {
        "name": "tide",
        "description": "Return the next high tide of a harbour.",
        "parameters": {"type": "object", "properties": {"harbour": {"type": "string"}}, "required": ["harbour"]},
    },
}


def cell(ds: Session, history: str, tools: bool) -> dict[str, Any]:
    """Hold a conversation of several turns with thinking on, in which no tool is needed."""
    series = Series(ds)
    messages: list[dict[str, Any]] = [{"role": "system", "content": words(_SYSTEM, "system")}]
    options: dict[str, Any] = {"tools": [_TOOL]} if tools else {}
    for turn in range(_TURNS):
        messages.append({"role": "user", "content": f"Say something about: {words(12, f'turn {turn}')}"})
        # what a careless client sends is the point here, so nobody is to object
        reply = series.ask(messages, f"turn {turn + 1}", thinking=True, max_tokens=_LONGEST, lint=False, **options)
        said = reply.message
        if history == STRIPPED:
            said.pop("reasoning_content", None)
        messages = [*messages, said]
    return series.calls


def _rates(frame: pd.DataFrame) -> pd.Series[float]:
    later = frame[frame["call"] > 1]
    sums = later.groupby(["tools", "history"])[["hit", "prompt_tokens"]].sum()
    rates: pd.Series[float] = sums["hit"] / sums["prompt_tokens"]
    return rates


def say(frame: pd.DataFrame) -> str:
    """Say the hit rates of both histories, with tools and without."""
    told = []
    for tools in sorted(frame["tools"].unique()):
        rates = _rates(frame)[tools]
        values = " and ".join(f"{rates[name]:.0%} {name}" for name in (WHOLE, STRIPPED) if name in rates)
        told.append(f"{'with' if tools else 'without'} tools {values}")
    return (
        f"from the second turn on the cache held {'; '.join(told)}. With tools all reasoning stays in the prompt, so "
        "what is sent back whole is read from the cache up to the end of the last reply."
    )


def draw(axes: Axes, frame: pd.DataFrame) -> None:
    """Draw which part of each turn's prompt was hit."""
    ends = {}
    for (tools, history), of_cell in frame.groupby(["tools", "history"]):
        share = of_cell["hit"] / of_cell["prompt_tokens"]
        colour, line = ACCENT if history == WHOLE else OTHER, "-" if tools else ":"
        axes.plot(of_cell["call"], share, line, marker="o", markersize=4, color=colour)
        ends[f"{history}, {'tools' if tools else 'no tools'}"] = (of_cell["call"].iloc[-1], share.iloc[-1], colour)
    axes.set_ylim(-0.03, 1.03)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xticks(sorted(frame["call"].unique()))
    axes.set_xlabel("turn")
    axes.set_ylabel("of the prompt read from the cache")
    name_ends(axes, ends)


EXPERIMENT: Final = Experiment(
    name="growth",
    title="A conversation that grows",
    question="Turn after turn, with the reasoning sent back and without it: how much of the history is cached?",
    grid={"history": [WHOLE, STRIPPED], "tools": [True, False]},
    cell=cell,
    say=say,
    draw=draw,
)
