"""The ledger as pandas frames: a row a turn, or a row an attempt."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dsnb.usage.columns import Labels, Numbers, Texts, labels, places, read
from dsnb.usage.schema import ATTEMPT_LINES, COST, END_LINES, RESULT, SCALES, SECONDS, SETTING, TOKENS, TURN_LINES
from dsnb.usage.totals import COUNTS, Totals

UNFINISHED: Final = "unfinished"  # the outcome of a turn that began and never ended
_AMOUNTS: Final = {"line": ATTEMPT_LINES["line"]}  # all that a turn needs of its attempts


def turns(connection: sqlite3.Connection) -> pd.DataFrame:
    """Return a row a turn; its tokens and costs are the sums of what is known of its attempts."""
    turn = read(connection, "turns", TURN_LINES, ("prompt_hash",))
    end = read(connection, "ends", END_LINES, key="turn").numbers
    attempt = read(connection, "attempts", _AMOUNTS)
    settings, results = labels(connection, "settings", SETTING), labels(connection, "results", RESULT)
    ids = turn.numbers["id"]
    ends, tries = _Link(ids, end["turn"]), _Link(ids, attempt.numbers["turn"])
    asked, ended = settings.places(turn.numbers["setting"]), results.places(ends.put(end["result"]))
    tried = results.places(attempt.numbers["result"])
    either = np.where(ended >= 0, ended, len(results.ids) + asked)  # of results, followed by settings
    return pd.DataFrame(
        {
            "turn": ids,
            "time": _instants(turn.numbers["time"]),
            "run": _words(settings.rows["run"], asked),
            "notebook": _words(settings.rows["notebook"], asked),
            "source": _words(results.rows["source"] + settings.rows["source"], either),
            "provider": _words(results.rows["provider"] + settings.rows["provider"], either),
            "asked_model": _words(settings.rows["asked_model"], asked),
            "model": _words(results.rows["model"], ended),
            "fingerprint": _words(results.rows["fingerprint"], ended),
            "outcome": _words([*results.rows["outcome"], UNFINISHED], np.where(ended < 0, len(results.ids), ended)),
            "finish_reason": _words(results.rows["finish_reason"], ended),
            "error": _words(results.rows["error"], ended),
            "status": _whole(_looked_up(results.rows["status"], tries.put(tried))),
            "streamed": _flags(settings.rows["streamed"], asked),
            "thinking": _flags(settings.rows["thinking"], asked),
            "effort": _words(settings.rows["effort"], asked),
            "messages": _whole(turn.numbers["messages"]),
            "attempts": tries.count(),
            "unknown": tries.count(_unknown(attempt.numbers, results, tried)),
            **{name: _whole(tries.sum(attempt.numbers[name])) for name in TOKENS},
            **{name: _scaled(ends.put(end[name]), name) for name in SECONDS},
            **{name: _scaled(tries.sum(attempt.numbers[name]), name) for name in COST},
            "price_period": _words(results.rows["price_period"], ended),
            "peak": _flags(results.rows["peak"], ended),
            "prompt_hash": _text(turn.texts["prompt_hash"]),
        },
        copy=False,
    )


def attempts(connection: sqlite3.Connection) -> pd.DataFrame:
    """Return a row an attempt, with what is known of its turn."""
    turn = read(connection, "turns", TURN_LINES, ("prompt_hash",))
    attempt = read(connection, "attempts", ATTEMPT_LINES, ("response_id", "trace_id"))
    settings, results = labels(connection, "settings", SETTING), labels(connection, "results", RESULT)
    numbers = attempt.numbers
    of_turn = places(turn.numbers["id"], numbers["turn"])
    asked = _taken(settings.places(turn.numbers["setting"]), of_turn)
    tried = results.places(numbers["result"])
    return pd.DataFrame(
        {
            "turn": numbers["turn"],
            "attempt": numbers["attempt"],
            "time": _instants(numbers["time"]),
            "run": _words(settings.rows["run"], asked),
            "notebook": _words(settings.rows["notebook"], asked),
            "source": _words(results.rows["source"], tried),
            "provider": _words(results.rows["provider"], tried),
            "asked_model": _words(settings.rows["asked_model"], asked),
            **{name: _words(results.rows[name], tried) for name in ("model", "fingerprint")},
            "status": _whole(_looked_up(results.rows["status"], tried)),
            **{name: _words(results.rows[name], tried) for name in ("outcome", "finish_reason", "error")},
            "streamed": _flags(settings.rows["streamed"], asked),
            "thinking": _flags(settings.rows["thinking"], asked),
            "effort": _words(settings.rows["effort"], asked),
            "messages": _whole(_taken(turn.numbers["messages"], of_turn)),
            "unknown": _unknown(numbers, results, tried),
            **{name: _whole(numbers[name]) for name in TOKENS},
            **{name: _scaled(numbers[name], name) for name in (*SECONDS, *COST)},
            "price_period": _words(results.rows["price_period"], tried),
            "peak": _flags(results.rows["peak"], tried),
            "created": _whole(numbers["created"]),
            "prompt_hash": _text(_taken(turn.texts["prompt_hash"], of_turn)),
            **{name: _text(column) for name, column in attempt.texts.items()},
        },
        copy=False,
    )


def summary(totals: Totals, labels: int) -> pd.DataFrame:
    """Return sums as a frame; the first ``labels`` columns are what they go by."""
    columns = dict(zip(totals.columns, zip(*totals.rows, strict=True) if totals.rows else repeat(()), strict=False))
    frame: dict[str, Any] = {}
    for place, (name, values) in enumerate(columns.items()):
        if name in ("streamed", "thinking", "peak"):
            frame[name] = pd.array([None if value is None else bool(value) for value in values], dtype="boolean")
        elif name in (*COUNTS, *TOKENS, "status"):
            frame[name] = pd.array(values, dtype="Int64")
        else:
            frame[name] = pd.array(values, dtype="string" if place < labels else np.float64)
    return pd.DataFrame(frame)


def _unknown(attempt: Mapping[str, Numbers], results: Labels, tried: Numbers) -> NDArray[np.bool_]:
    """Return which attempts may have taken tokens that nobody told; an error answer has taken none."""
    refused = _looked_up(results.rows["status"], tried) >= 400
    return ~refused & ((attempt["prompt_tokens"] < 0) | (attempt["completion_tokens"] < 0))


class _Link:
    """Bring the rows of one table to those of the turns that they belong to."""

    def __init__(self, turns: Numbers, of_rows: Numbers) -> None:
        self.turns = len(turns)
        self.where = places(turns, of_rows)
        # one row for each turn and in their order, as nearly all are: then there is nothing to do
        self._same = np.array_equal(self.where, np.arange(self.turns))

    def put(self, values: Numbers) -> Numbers:
        """Return each turn's value, the last where there are several, -1 where there is none."""
        if self._same:
            return values
        column = np.full(self.turns, -1)
        column[self.where[self.where >= 0]] = values[self.where >= 0]
        return column

    def count(self, rows: NDArray[np.bool_] | None = None) -> Numbers:
        """Return how many rows (of some) each turn has."""
        where = self.where if rows is None else self.where[rows]
        return np.bincount(where[where >= 0], minlength=self.turns)

    def sum(self, values: Numbers) -> Numbers:
        """Return the sum of each turn's known values, -1 where none is known."""
        if self._same:
            return values
        known = (values >= 0) & (self.where >= 0)
        total = np.bincount(self.where[known], values[known], self.turns)  # in floats: exact up to 2**53
        return np.where(self.count(known) > 0, total.astype(np.int64), -1)


def _taken(values: Any, where: Numbers) -> Any:
    """Return the values at some places; at -1 the value for what is not known."""
    nothing = "" if values.dtype == object else -1
    return np.append(values, np.array([nothing], dtype=values.dtype))[where]


def _looked_up(values: Sequence[int | None], where: Numbers) -> Numbers:
    return np.array([-1 if value is None else value for value in (*values, None)], dtype=np.int64)[where]


def _words(values: Sequence[str | None], where: Numbers) -> Any:
    """Return a column of few different texts, from where each row's stands among them (-1: nowhere)."""
    return pd.array([value or None for value in (*values, None)], dtype=pd.StringDtype("python")).take(where)


def _flags(values: Sequence[int | None], where: Numbers) -> pd.arrays.BooleanArray:
    found = _looked_up(values, where)
    return pd.arrays.BooleanArray(found == 1, found < 0)


def _whole(numbers: Numbers) -> pd.arrays.IntegerArray:
    return pd.arrays.IntegerArray(numbers, numbers < 0)


def _scaled(numbers: Numbers, name: str) -> NDArray[np.float64]:
    return np.where(numbers < 0, np.nan, numbers / SCALES[name])


def _text(texts: Texts) -> Any:
    texts[texts == ""] = None
    return pd.array(texts, dtype=pd.StringDtype("python"))


def _instants(microseconds: Numbers) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(microseconds.astype("datetime64[us]")).tz_localize("UTC")
