"""Read whole columns out of a ledger, as arrays."""

# ruff: noqa: S608 — the names of tables and columns are put into the SQL, and they are ours; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Texts = NDArray[np.object_]

_SLICE: Final = 50_000  # rows a query: some 5 MB of text, which a processor's cache about holds
_SEPARATOR: Final = "\x1f"  # ASCII's own separator of units; rows hold no control characters


@dataclass(frozen=True, slots=True)
class Columns:
    """Hold columns of one table: ``numbers`` in the scale of their line (-1: not known), ``texts`` ('' likewise)."""

    numbers: Mapping[str, Numbers]
    texts: Mapping[str, Texts]


def read(
    connection: sqlite3.Connection,
    table: str,
    lines: Mapping[str, Sequence[str]],
    texts: Sequence[str] = (),
    *,
    key: str = "id",
) -> Columns:
    """Return the columns of a table: the numbers that stand in ``lines``, and ``texts``."""
    blocks = {line: [np.empty((len(names), 0), np.int64)] for line, names in lines.items()}
    words: list[list[str]] = [[] for _ in texts]
    for first, last, rows, *written in _slices(connection, table, key, lines, texts):
        for block, names, text in zip(blocks.values(), lines.values(), written, strict=False):
            block.append(np.fromstring(text, dtype=np.int64, sep=" ").reshape(rows, len(names)).T)
        for name, column, text in zip(texts, words, written[len(lines) :], strict=True):
            found = text.split(_SEPARATOR)
            if len(found) != rows:  # written by somebody else, with a separator inside
                query = f"SELECT ifnull({name}, '') FROM {table} WHERE {key} BETWEEN ? AND ? ORDER BY {key}"
                found = [word for (word,) in connection.execute(query, (first, last))]
            column += found
    numbers: dict[str, Numbers] = {}
    for line, block in blocks.items():
        numbers.update(zip(lines[line], np.concatenate(block, axis=1), strict=True))
    return Columns(numbers, {name: np.array(column, dtype=object) for name, column in zip(texts, words, strict=True)})


def _slices(
    connection: sqlite3.Connection, table: str, key: str, lines: Iterable[str], texts: Iterable[str]
) -> Iterator[tuple[Any, ...]]:
    """Yield first key, last key, number of rows, their lines, and their texts, for one slice of rows after the other.

    SQLite works outside of Python's lock: while one slice is taken apart, the next is being read.
    """
    joined = [f"group_concat({line}, ' ')" for line in lines]
    joined += [f"group_concat(ifnull({name}, ''), char(31))" for name in texts]
    query = f"SELECT ?1, ?2, count(*), {', '.join(joined)} FROM {table} WHERE {key} BETWEEN ?1 AND ?2"

    def after(last: int) -> Any:
        ((first,),) = connection.execute(f"SELECT min({key}) FROM {table} WHERE {key} > ?", (last,))
        return None if first is None else connection.execute(query, (first, first + _SLICE - 1)).fetchone()

    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(after, -1)
        while (slice_ := ahead.result()) is not None:
            ahead = reader.submit(after, slice_[1])
            yield slice_


@dataclass(frozen=True, slots=True)
class Labels:
    """Hold ``settings`` or ``results``: few rows, to which many others point."""

    ids: Numbers
    rows: Mapping[str, list[Any]]

    def places(self, ids: Numbers) -> Numbers:
        """Return where the rows with these ids stand, -1 for ids that are not there."""
        return places(self.ids, ids)


def labels(connection: sqlite3.Connection, table: str, names: Sequence[str]) -> Labels:
    """Read the whole table of ``settings`` or ``results``."""
    rows = connection.execute(f"SELECT id, {', '.join(names)} FROM {table} ORDER BY id").fetchall()
    return Labels(
        np.array([row[0] for row in rows], dtype=np.int64),
        {name: [row[place] for row in rows] for place, name in enumerate(names, 1)},
    )


def places(known: Numbers, ids: Numbers) -> Numbers:
    """Return the positions of ``ids`` in ``known``, which ascends; -1 for those that are not there."""
    if not len(known):
        return np.full(len(ids), -1)
    found = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return np.where(known[found] == ids, found, -1)
