"""Write rows into one database."""

# ruff: noqa: S608 — the names of tables and columns are put into the SQL, and they are ours; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Final

from dsnb.usage.rows import Begun, Record, Tried, Value
from dsnb.usage.schema import COST, RESULT, SECONDS, SETTING, TOKENS

_REMEMBERED: Final = 4096  # labels; an endpoint that makes up a new fingerprint each time must not fill the memory


def _insert(table: str, *columns: str) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _find(table: str, *columns: str) -> str:
    return f"SELECT id FROM {table} WHERE {' AND '.join(f'{name} IS ?' for name in columns)} LIMIT 1"


_TURN: Final = _insert("turns", "id", "key", "setting", "time", "messages", "prompt_hash")
_ATTEMPT: Final = _insert(
    *("attempts", "id", "turn", "result", "attempt", "time", *TOKENS, *SECONDS, *COST),
    *("created", "response_id", "trace_id"),
)
_END: Final = _insert("ends", "turn", "result", *SECONDS).replace("INSERT", "INSERT OR IGNORE", 1)
_LABELS: Final = {
    "settings": (_find("settings", *SETTING), _insert("settings", "id", *SETTING)),
    "results": (_find("results", *RESULT), _insert("results", "id", *RESULT)),
}


class Store:
    """Write records as rows; each statement stands on its own, so that a kill leaves whole rows only.

    ``ids`` gives new rows their ids, by default SQLite does. ``turns`` are the ids of turns that another database
    holds already: where one is written here again, it keeps its id.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        ids: Iterator[int] | None = None,
        turns: Mapping[str, int] | None = None,
    ) -> None:
        self.connection = connection
        self.turns: dict[str, int] = {}
        self._elsewhere = turns or {}
        self._ids = ids
        self._labels: dict[tuple[str, tuple[Value, ...]], int] = {}

    def __del__(self) -> None:
        self.connection.close()  # Python 3.13 warns of connections that were left open

    def write(self, record: Record) -> None:
        """Write one record; raise sqlite3.Error."""
        if isinstance(record, Begun):
            self._begin(record)
        elif isinstance(record, Tried):
            turn, result = self._turn(record.turn), self._label("results", record.result)
            self.connection.execute(_ATTEMPT, (self._id(), turn, result, *record.row))
        else:
            turn, result = self._turn(record.turn), self._label("results", record.result)
            self.connection.execute(_END, (turn, result, *record.row))
            self.turns.pop(record.turn.key, None)

    def _begin(self, turn: Begun) -> int:
        row_id = self._elsewhere.get(turn.key) or self._id()
        values = (row_id, turn.key, self._label("settings", turn.setting), *turn.row)
        return self.turns.setdefault(turn.key, self.connection.execute(_TURN, values).lastrowid or 0)

    def _turn(self, turn: Begun) -> int:
        """Return the id of a turn; one that is not here yet is written."""
        if turn.key in self.turns:
            return self.turns[turn.key]
        # begun before the file was opened anew: newest first, since it is a new one
        row = self.connection.execute("SELECT id FROM turns WHERE key = ? ORDER BY id DESC", (turn.key,)).fetchone()
        return self.turns.setdefault(turn.key, row[0]) if row else self._begin(turn)

    def _label(self, table: str, values: tuple[Value, ...]) -> int:
        """Return the id of a row of ``settings`` or ``results``, written if there is none.

        Two processes that write the same one at the same time leave two, which does no harm.
        """
        label = self._labels.get((table, values))
        if label is None:
            find, insert = _LABELS[table]
            row = self.connection.execute(find, values).fetchone()
            label = row[0] if row else self.connection.execute(insert, (self._id(), *values)).lastrowid or 0
            if len(self._labels) >= _REMEMBERED:
                self._labels.clear()
            self._labels[table, values] = label
        return label

    def _id(self) -> int | None:
        return next(self._ids) if self._ids else None
