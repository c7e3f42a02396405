"""What came of a sweep: a row a cell, counts, money, and what to do next."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from dsnb.errors import ConfigurationError, DsnbError
from dsnb.experiments.sweeping import figures
from dsnb.experiments.sweeping.store import DONE, FAILED, IN_DOUBT, LEFT, Setting, Store, place
from dsnb.usage import parquet
from dsnb.usage.card import table
from dsnb.usage.totals import Amount, counted

if TYPE_CHECKING:
    import pandas as pd

PROVENANCE: Final = (
    *("repeat", "error", "error_message", "tries", "source", "default_model", "endpoint", "contract", "seed"),
    *("dsnb_version", "fn_hash", "started", "ended", "experiment"),
)
_WHOLE: Final = ("repeat", "tries", "seed", "turns", "attempts", "unpriced", *figures.TOKENS)
_FLOATS: Final = (*figures.MONEY, *figures.SECONDS, "spent_usd", "spent_cny")
_HEADS: Final = (
    *("source", "cells", "done", "failed", "in doubt", "left"),
    *("prompt tokens", "hit rate", "completion tokens", "cost (USD)"),
)


@dataclass(slots=True)
class _Sums:
    """Hold the sums of one source."""

    cells: int = 0
    done: int = 0
    failed: int = 0
    in_doubt: int = 0
    left: int = 0
    prompt_tokens: int = 0
    cache_hit_tokens: int = 0
    completion_tokens: int = 0
    attempts: int = 0
    unpriced: int = 0
    spent_usd: Decimal = Decimal(0)
    spent_cny: Decimal = Decimal(0)


class Sweep:
    """Hold the results of a sweep, in memory or in its store. Made by `dsnb.sweep`, or by `load`.

    ``experiment`` is its name, ``stopped`` why it left cells, None where it did not.
    """

    def __init__(self, store: Store, experiment: str, numbers: Sequence[int], names: Sequence[str] = ()) -> None:
        self.experiment = experiment
        self.stopped: str | None = None
        self._store = store
        self._numbers = numbers  # the ids of the cells, and the names of their values, both in the grid's order
        self._names = names

    @classmethod
    def load(cls, store: str | os.PathLike[str], name: str | None = None, *, source: str | None = None) -> Self:
        """Return what a store holds of an experiment, all its grids, models and contracts together; nothing is run.

        ``name`` is needed where it holds several experiments, ``source`` (``live`` or ``emulator``) narrows it to
        one. Raises ConfigurationError where there is no such thing.
        """
        path = place(store)
        if path is None or not path.exists():
            raise ConfigurationError(f"There is no store at {path}: dsnb.sweep(..., store=...) makes it.")
        kept = Store(path)
        settings = kept.settings()
        names = sorted({setting.experiment for setting in settings.values()})
        if name is None and len(names) != 1:
            listed = ", ".join(map(repr, names)) or "none"
            raise ConfigurationError(f"{path} holds {counted(len(names), 'experiment')} ({listed}): say which by name.")
        chosen = {
            number
            for number, setting in settings.items()
            if setting.experiment == (name or names[0]) and source in {None, setting.source}
        }
        if not chosen:
            listed = ", ".join(f"{setting.experiment} ({setting.source})" for setting in settings.values())
            raise ConfigurationError(f"{path} holds no such experiment; it holds {listed}.")
        numbers = [row["id"] for row in kept.rows() if row["setting"] in chosen]
        return cls(kept, name or names[0], numbers)

    @property
    def store(self) -> Path | None:
        """The file that holds the results, None for memory."""
        return self._store.path

    @property
    def done(self) -> int:
        """How many cells have a result."""
        return self._count(DONE)

    @property
    def left(self) -> int:
        """How many cells were never sent."""
        return self._count(LEFT)

    @property
    def in_doubt(self) -> int:
        """How many cells were sent, maybe billed, and have no result."""
        return self._count(IN_DOUBT)

    @property
    def rerun(self) -> int:
        """How many tries ended in doubt and were followed by another: what they may have cost is in no sum."""
        return self._doubts() - self.in_doubt

    @property
    def errors(self) -> pd.DataFrame:
        """The rows of the cells that failed."""
        frame = self.frame()
        return frame.loc[frame["error"].notna()]

    @property
    def cost(self) -> Amount:
        """What the cells took in USD, exactly: all tries of them, and all requests of each.

        Requests of unknown cost are counted, and so is each try in doubt. Raises DsnbError where both live and
        emulated cells are in it, which are never added up: `load` takes a ``source``.
        """
        sums = self._sums()
        spent = {source: each for source, each in sums.items() if each.attempts or each.in_doubt}
        if len(spent) > 1:
            raise DsnbError('Live and emulated cells have no common cost: Sweep.load(..., source="live") takes one.')
        each = next(iter(spent.values()), _Sums())
        doubts = self._doubts()
        return Amount(each.spent_usd, "USD", each.attempts + doubts, each.unpriced + doubts)

    def frame(self) -> pd.DataFrame:
        """Return a row a cell, in the order of the grid: its values, results, figures, and where they come from.

        Cells that were never sent are not in it. ``outcome`` is the reply's, ``failed`` where `error` says why there
        is none, ``in doubt`` where nobody knows. Tokens, ``cost_usd`` and times are those of the reply (the last one,
        where the function returned none), ``spent_usd`` is what all requests of the cell took. What is not known is
        NA. Times are UTC, durations seconds.
        """
        import pandas as pd

        settings = self._store.settings()
        rows, inputs, results = [], dict.fromkeys(self._names), dict[str, None]()
        for known in self._rows():
            if known["state"] == LEFT:
                continue
            values = json.loads(known["cell"])
            result = json.loads(known["row"] or "{}")
            inputs.update(dict.fromkeys(values))
            results.update(dict.fromkeys(name for name in result if name not in figures.COLUMNS))
            rows.append({**result, **values, **_provenance(known, settings[known["setting"]])})
        texts = [name for name in figures.TEXTS if any(name in row for row in rows)]
        standard = [name for name in figures.COLUMNS if name not in figures.TEXTS or name in texts]
        columns = [*inputs, "repeat", *results, *standard, *(name for name in PROVENANCE if name != "repeat")]
        frame = pd.DataFrame.from_records(rows, columns=columns)
        for name in _WHOLE:
            frame[name] = pd.array(frame[name].tolist(), dtype="Int64")
        for name in _FLOATS:
            frame[name] = pd.to_numeric(frame[name], errors="coerce").astype("float64")
        for name in ("started", "ended"):
            seconds = pd.to_numeric(frame[name], errors="coerce")
            frame[name] = pd.to_datetime((seconds * 1e6).round(), unit="us", utc=True)
        return frame

    def summary(self) -> pd.DataFrame:
        """Return counts of cells and sums over all their tries, a row for each source."""
        import pandas as pd

        rows = []
        for source, each in self._sums().items():
            counts = {name: getattr(each, name) for name in _Sums.__dataclass_fields__}
            spent = {name: float(counts.pop(name)) for name in ("spent_usd", "spent_cny")}
            rows.append({"source": source, **counts, "hit_rate": _rate(each), **spent})
        return pd.DataFrame(rows)

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the frame to a Parquet file; raise ConfigurationError where no package for it is installed.

        Columns whose values are of several types, or are lists or dicts, are written as JSON.
        """
        frame = self.frame()
        for name in frame:
            known = frame[name].dropna()
            kinds = set(map(type, known)) if frame[name].dtype.kind == "O" else set()
            if len(kinds) > 1 or kinds & {list, dict}:
                frame[name] = known.map(json.dumps)
        parquet.write(frame, path)

    def made_by_others(self, fn_hash: str | None) -> int:
        """Return how many cells were done by another version of the function than this one."""
        known = (row for row in self._rows() if row["state"] == DONE)
        return sum(None not in {row["fn_hash"], fn_hash} and row["fn_hash"] != fn_hash for row in known)

    def __len__(self) -> int:
        return len(self._numbers)

    def __repr__(self) -> str:
        sums = self._sums()
        parts = [f"{counted(len(self), 'cell')}"]
        for what in ("done", "failed", "in_doubt", "left"):
            number = sum(getattr(each, what) for each in sums.values())
            if number or what == "done":
                parts.append(f"{number:,} {what.replace('_', ' ')}")
        parts.append(" and ".join(sums))
        return f"<Sweep {self.experiment} · {' · '.join(parts)}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        sums = self._sums()
        cells = [
            (
                source,
                *(f"{getattr(each, what):,}" for what in ("cells", "done", "failed", "in_doubt", "left")),
                f"{each.prompt_tokens:,}",
                "?" if (rate := _rate(each)) is None else f"{rate:.1%}",
                f"{each.completion_tokens:,}",
                f"{each.spent_usd:.6f}",
            )
            for source, each in sums.items()
        ]
        return table(f"Sweep {self.experiment}", _HEADS, cells, list(self._notes(sums)), names=1)

    def _notes(self, sums: Mapping[str, _Sums]) -> Iterator[str]:
        left = sum(each.left for each in sums.values())
        failed = sum(each.failed for each in sums.values())
        unpriced = sum(each.unpriced for each in sums.values())
        if left:
            why = f"{self.stopped} " if self.stopped else ""
            yield f"{why}{_are(left, 'cell')} left: run the same sweep again, and it goes on with them."
        if failed:
            yield f"{counted(failed, 'cell')} failed (.errors says why) and will be tried again by the same sweep."
        if self.in_doubt:
            about = self._about(sums, self.in_doubt)
            yield (
                f"{_are(self.in_doubt, 'cell')} in doubt: begun before a run was killed, maybe billed, without a "
                f'result. in_doubt="again" runs them once more, for about ${about:.6f}.'
            )
        if rerun := self.rerun:
            yield (
                f"{counted(rerun, 'cell')} in doubt {'was' if rerun == 1 else 'were'} run once more; what the first "
                f"try of each may have cost, about ${self._about(sums, rerun):.6f} in all, is not in these sums."
            )
        if unpriced:
            yield f"The cost of {counted(unpriced, 'request')} is not known and not in these sums."

    def _about(self, sums: Mapping[str, _Sums], cells: int) -> Decimal:
        done = sum(each.done for each in sums.values())
        spent = sum((each.spent_usd for each in sums.values()), Decimal(0))
        return spent / done * cells if done else Decimal(0)

    def _rows(self) -> list[Mapping[str, Any]]:
        """Return what is known of the cells, in the order of the grid."""
        places = {number: place for place, number in enumerate(self._numbers)}
        known = [row for row in self._store.rows() if row["id"] in places]
        return sorted(known, key=lambda row: places[row["id"]])

    def _count(self, state: str) -> int:
        states = self._store.states()
        return sum(states[number] == state for number in self._numbers)

    def _doubts(self) -> int:
        ours, doubts = set(self._numbers), self._store.doubts()
        return sum(number for cell, number in doubts.items() if cell in ours)

    def _sums(self) -> dict[str, _Sums]:
        """Return the sums by source: cells by that of their last try, money by that of each try."""
        settings = self._store.settings()
        sums: dict[str, _Sums] = {}
        words = {DONE: "done", FAILED: "failed", IN_DOUBT: "in_doubt", LEFT: "left"}
        rows = self._rows()
        for row in rows:
            each = sums.setdefault(row["source"] or settings[row["setting"]].source, _Sums())
            each.cells += 1
            setattr(each, words[row["state"]], getattr(each, words[row["state"]]) + 1)
        ours = {row["id"] for row in rows}
        for number, source, text in self._store.spent():
            if number in ours:
                _add(sums.setdefault(source, _Sums()), json.loads(text))
        return sums


def _add(sums: _Sums, row: Mapping[str, Any]) -> None:
    for name in ("prompt_tokens", "cache_hit_tokens", "completion_tokens", "attempts", "unpriced"):
        setattr(sums, name, getattr(sums, name) + (row.get(name) or 0))
    for name in ("spent_usd", "spent_cny"):
        setattr(sums, name, getattr(sums, name) + Decimal(row.get(name) or 0))


def _provenance(known: Mapping[str, Any], setting: Setting) -> dict[str, Any]:
    row: dict[str, Any] = {name: known[name] for name in PROVENANCE if name in known}
    row |= {
        "source": known["source"] or setting.source,
        "default_model": setting.default_model,
        "endpoint": setting.endpoint,
        "experiment": setting.experiment,
        "started": known["begun"],
    }
    if known["state"] in {FAILED, IN_DOUBT}:
        row["outcome"] = known["state"]
    return row


def _rate(sums: _Sums) -> float | None:
    return sums.cache_hit_tokens / sums.prompt_tokens if sums.prompt_tokens else None


def _are(number: int, what: str) -> str:
    return f"{counted(number, what)} {'is' if number == 1 else 'are'}"
