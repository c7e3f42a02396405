"""A list of tools that changes between two calls: what each change costs of the cache."""

from __future__ import annotations

from collections.abc import Mapping
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

_PROMPT: Final = 600  # tokens


def _tool(name: str, about: str, *fields: str) -> dict[str, Any]:
    properties = {field: {"type": "string", "description": words(8, field)} for field in fields}
    parameters = {"type": "object", "properties": properties, "required": list(fields)}
    return {"type": "function", "function": {"name": name, "description": about, "parameters": parameters}}


_BASE: Final = [
    _tool("tide", "Return the next high tide of a harbour.", "harbour", "day"),
    _tool("ferry", "Return when the next ferry leaves.", "pier", "hour"),
    _tool("berth", "Reserve a berth for a boat.", "boat", "length"),
]
_MORE: Final = _tool("lock", "Return when a lock opens.", "canal")
_CHANGES: Final[Mapping[str, list[dict[str, Any]]]] = {
    "the same": _BASE,
    "one more at the end": [*_BASE, _MORE],
    "one more at the front": [_MORE, *_BASE],
    "another order": _BASE[::-1],
    "last description edited": [*_BASE[:2], _tool("berth", "Reserve one berth for a boat.", "boat", "length")],
    "none": [],
}


def cell(ds: Session, change: str) -> dict[str, Any]:
    """Ask with a list of tools, and again with another."""
    series, text = Series(ds), words(_PROMPT, "tools")
    series.ask(user(text), "before", tools=_BASE)
    series.ask(user(text), "after", tools=_CHANGES[change] or None)
    return series.calls


def _after(frame: pd.DataFrame) -> pd.Series[float]:
    after = frame[frame["label"] == "after"].set_index("change")
    rates: pd.Series[float] = after["hit"] / after["prompt_tokens"]
    return rates.reindex([change for change in _CHANGES if change in rates.index])


def say(frame: pd.DataFrame) -> str:
    """Say which changes cost the cache."""
    rates = _after(frame)
    kept = [change for change, rate in rates.items() if rate > 0]
    lost = [change for change, rate in rates.items() if rate == 0]
    return (
        f"the cache held where the list was {', '.join(map(str, kept)) or 'never anything'}, and was lost where it was "
        f"{', '.join(map(str, lost)) or 'never anything'}. Tools stand at the head of the prompt, before every message."
    )


def draw(axes: Axes, frame: pd.DataFrame) -> None:
    """Draw a bar a change."""
    rates = _after(frame)
    places = range(len(rates))
    axes.barh(places, rates, height=0.5, color=ACCENT)
    for place, rate in zip(places, rates, strict=True):
        axes.annotate(f"{rate:.0%}", (rate, place), (5, 0), textcoords="offset points", va="center", size=8)
    name_rows(axes, list(map(str, rates.index)), "of the prompt read from the cache, after the change")


EXPERIMENT: Final = Experiment(
    name="tool-list",
    title="A list of tools that changes",
    question="The same prompt with a list of tools that is not quite the same: what is left of the cache?",
    grid={"change": list(_CHANGES)},
    cell=cell,
    say=say,
    draw=draw,
)
