"""What came of an experiment: a tidy frame, one sentence, a picture; live runs and the emulator's side by side."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Self

from dsnb.errors import ConfigurationError
from dsnb.experiments.sweeping.outcomes import Sweep

if TYPE_CHECKING:
    import pandas as pd

    from dsnb.experiments.shipped.experiment import Experiment
    from dsnb.picture import Picture

# of a call, as `Series` notes it
COLUMNS: Final = ("call", "label", "prompt_tokens", "hit", "expected", "first_token", "cost_usd")
_WIDTH, _HEIGHT = 6.4, 3.2  # inches of one picture
_SOURCES: Final = {"live": "api.deepseek.com", "emulator": "the emulator"}


class Report:
    """Hold an experiment's results. Made by `dsnb.experiments.run`, or by `load`.

    ``report.beside(other)`` puts a run from elsewhere, such as a finished live one, beside it. What an emulator
    answered is called so everywhere: it shows what the contract's cache rule says, not what the API does today.
    """

    def __init__(self, experiment: Experiment, sweeps: Sequence[Sweep]) -> None:
        self.experiment = experiment
        self.sweeps = tuple(sweeps)

    @classmethod
    def load(cls, name: str, store: str | os.PathLike[str], *, source: str | None = None) -> Self:
        """Return what a store holds of an experiment; nothing is run. ``source`` is ``live`` or ``emulator``."""
        from dsnb.experiments.shipped.registry import experiment

        return cls(experiment(name), [Sweep.load(store, name, source=source)])

    def beside(self, other: Report) -> Report:
        """Return both runs as one report; raise ConfigurationError where they are of two experiments."""
        if other.experiment.name != self.experiment.name:
            raise ConfigurationError(
                f"{other.experiment.name} and {self.experiment.name} are two experiments: nothing to lay side by side."
            )
        return Report(self.experiment, (*self.sweeps, *other.sweeps))

    def frame(self) -> pd.DataFrame:
        """Return a row a call: the cell's values, ``call`` (from 1), ``label``, what was hit and what was expected.

        ``hit``, ``expected`` and ``prompt_tokens`` are tokens, ``first_token`` seconds, ``cost_usd`` dollars. Cells
        that failed or were left are not in it (see ``.sweeps``).
        """
        import pandas as pd

        parts = []
        for swept in self.sweeps:
            cells = swept.frame()
            if "calls" not in cells:
                continue
            cells = cells[cells["calls"].notna()]
            calls = [json.loads(each) if isinstance(each, str) else each for each in cells["calls"]]
            kept = cells[["source", *self.experiment.grid, "repeat"]]
            rows = kept.loc[kept.index.repeat([len(each) for each in calls])].reset_index(drop=True)
            told = pd.DataFrame([call for each in calls for call in each]).astype({"cost_usd": float})
            parts.append(pd.concat([rows, told], axis="columns"))
        if not parts:
            return pd.DataFrame(columns=["source", *self.experiment.grid, *COLUMNS])
        return pd.concat(parts, ignore_index=True)

    @property
    def finding(self) -> str:
        """What the run shows, in one sentence for each source."""
        frame = self.frame()
        if frame.empty:
            return "Nothing has been measured yet."
        told = [
            f"{name}: {self.experiment.say(frame[frame['source'] == source])}"
            for source, name in _SOURCES.items()
            if (frame["source"] == source).any()
        ]
        return "\n".join(sentence[:1].upper() + sentence[1:] for sentence in told)

    def plot(self) -> Picture:
        """Draw the frame, each source for itself; return the matplotlib Figure."""
        from dsnb.picture import INK, Picture, bare, style

        frame = self.frame()
        sources = sorted(frame["source"].unique())
        with style():
            picture = Picture(_WIDTH * max(len(sources), 1), _HEIGHT, f"<Figure: {self.experiment.title}>")
            if not sources:
                picture.text(0.5, 0.5, "Nothing has been measured yet.", ha="center", va="center", size=11)
                return picture
            places = picture.subplots(1, len(sources), squeeze=False, sharey=True)[0]
            for axes, source in zip(places, sources, strict=True):
                bare(axes)
                self.experiment.draw(axes, frame[frame["source"] == source])
                axes.set_title(f"{self.experiment.title} · {_SOURCES[source]}", loc="left", color=INK, size=10)
        return picture

    @property
    def agreement(self) -> float:
        """Which part of the calls hit just what was expected, from 0 to 1; NaN where nothing was expected."""
        frame = self.frame()
        told = frame[frame["expected"].notna()]
        return float((told["hit"] == told["expected"]).mean())

    def __repr__(self) -> str:
        frame = self.frame()
        sources = " and ".join(sorted(frame["source"].unique())) or "nothing yet"
        return f"<Report {self.experiment.name} · {len(frame):,} calls · {sources}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        from dsnb.display import parts
        from dsnb.display.styles import style

        frame = self.frame()
        agreed = [f"{self.agreement:.0%} as expected"] if frame["expected"].notna().any() else []
        about = [f"{len(frame):,} calls", *agreed]
        shown = [parts.head(self.experiment.title, about), parts.note(self.experiment.question)]
        shown += [parts.prose(sentence) for sentence in self.finding.splitlines()]
        return parts.bundle(shown, style())
