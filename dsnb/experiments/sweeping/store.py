"""Where a sweep keeps what it has done: one SQLite file, written by one coordinator at a time.

A cell is written down when it is planned, a try of it before it is sent, and what came of the try as soon as it is
known. So a killed process leaves three kinds of cells: done, never begun, and *in doubt*: begun, and nobody knows
whether the API answered and billed. Nobody can close that gap from this side; what can be done is to know it.
"""

# ruff: noqa: S608 — the names of columns are put into the SQL, and they are ours; values are bound

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Final

from dsnb.errors import ConfigurationError
from dsnb.experiments.sweeping.cells import Cell
from dsnb.usage import default_path, forks
from dsnb.usage.database import Unusable, in_memory, reason, to_read, to_write, transaction
from dsnb.usage.schema import Kind

DONE: Final = "done"
FAILED: Final = "failed"
IN_DOUBT: Final = "in doubt"
LEFT: Final = "left"

_SUFFIX: Final = ".sqlite"
_FAILURES: Final = (sqlite3.Error, OSError, Unusable)
_FIRST: Final = (
    """CREATE TABLE settings (
        id INTEGER PRIMARY KEY,
        experiment TEXT NOT NULL,
        source TEXT NOT NULL,       -- live or emulator
        endpoint TEXT NOT NULL,     -- the base URL; an emulator, which has another each time, is "emulator"
        default_model TEXT NOT NULL,
        contract TEXT NOT NULL,     -- the instant that the session was held to; '' is the day of each try
        UNIQUE (experiment, source, endpoint, default_model, contract)
    )""",
    """CREATE TABLE cells (
        id INTEGER PRIMARY KEY,
        setting INTEGER NOT NULL,
        cell TEXT NOT NULL,         -- canonical JSON
        repeat INTEGER NOT NULL,
        UNIQUE (setting, cell, repeat)
    )""",
    """CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        time REAL NOT NULL,         -- seconds since 1970, UTC
        dsnb_version TEXT NOT NULL,
        fn_hash TEXT,               -- of the function's source; NULL: it cannot be read
        seed INTEGER                -- of an emulator in the same process
    )""",
    """CREATE TABLE tries (
        id INTEGER PRIMARY KEY,
        cell INTEGER NOT NULL,
        run INTEGER NOT NULL,
        begun REAL NOT NULL,
        ended REAL,                 -- NULL: in doubt, or under way
        error TEXT,                 -- the name of its type; NULL with an end: done
        error_message TEXT,
        source TEXT,                -- who really answered
        contract TEXT,              -- the day whose contract was in force
        row TEXT                    -- JSON
    )""",
    "CREATE INDEX tries_by_cell ON tries (cell)",
)
KIND: Final = Kind("store of a sweep", 0x64736E73, (_FIRST,))  # "dsns"

# of several tries the last good one counts, else the last one
_LAST: Final = """
    (SELECT id FROM tries WHERE cell = c.id ORDER BY ended IS NOT NULL AND error IS NULL DESC, id DESC LIMIT 1)"""
_STATE: Final = f"""
    CASE WHEN t.id IS NULL THEN '{LEFT}' WHEN t.ended IS NULL THEN '{IN_DOUBT}'
    WHEN t.error IS NULL THEN '{DONE}' ELSE '{FAILED}' END"""


@dataclass(frozen=True, slots=True)
class Setting:
    """Say whom an experiment asks, and by which contract; its cells are those of no other."""

    experiment: str
    source: str
    endpoint: str
    default_model: str
    contract: str


@dataclass(frozen=True, slots=True)
class Run:
    """Say when and by what a store is written to."""

    time: float
    dsnb_version: str
    fn_hash: str | None
    seed: int | None


@dataclass(frozen=True, slots=True)
class Ended:
    """Hold what came of a try."""

    ended: float
    error: str | None
    error_message: str | None
    source: str
    contract: str
    row: str


def place(store: str | os.PathLike[str] | None) -> Path | None:
    """Return the file of a store: a mere name is one in the data folder, anything else a path."""
    if store is None:
        return None
    if not isinstance(store, str | os.PathLike) or not os.fspath(store):
        raise ConfigurationError(f"store={store!r}: give a name or a path, or None to keep results in memory.")
    path = Path(store).expanduser()
    if isinstance(store, str) and path.name == store and not path.suffix:
        return default_path().parent / f"{store}{_SUFFIX}"
    return path.absolute()


class Store:
    """Keep cells and tries; safe to share between threads.

    ``path`` None keeps them in memory. With ``careful``, each row is on the disk before the next cell is sent, so that
    not even a power cut has it paid for again. What can be neither opened nor written raises ConfigurationError.
    """

    def __init__(self, path: Path | None, *, careful: bool = False) -> None:
        self.path = path
        self._careful = careful
        self._lock = threading.RLock()
        self._file: sqlite3.Connection | None = None
        self._waiting: list[tuple[Any, ...]] = []
        if path is None:
            self._file = in_memory(KIND)
        forks.watch(self)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep other sweeps out of the file until the end, theirs or ours: the lock goes with the process."""
        if self.path is None:
            yield
            return
        with self._explained():
            self._connection()
        place = self.path.with_name(f"{self.path.name}-lock")
        with self._explained():
            lock = sqlite3.connect(place, timeout=0, isolation_level=None, check_same_thread=False)
        with closing(lock):
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise self._unusable(error) from None
                raise ConfigurationError(
                    f"Another sweep is writing to {self.path} now: wait until it ends, or give this one a store of "
                    "its own."
                ) from None
            yield

    def plan(self, setting: Setting, cells: Iterable[Cell]) -> list[int]:
        """Write down what is to be done; return the cells' ids, in their order."""
        with self._writing() as connection, transaction(connection):
            names = [column.name for column in fields(setting)]
            where = " AND ".join(f"{name} = ?" for name in names)
            find = f"SELECT id FROM settings WHERE {where}"
            connection.execute(
                f"INSERT OR IGNORE INTO settings ({', '.join(names)}) VALUES (?, ?, ?, ?, ?)", astuple(setting)
            )
            ((number,),) = connection.execute(find, astuple(setting))
            known = {
                (key, repeat): id_
                for id_, key, repeat in connection.execute(
                    "SELECT id, cell, repeat FROM cells WHERE setting = ?", (number,)
                )
            }
            insert = "INSERT INTO cells (setting, cell, repeat) VALUES (?, ?, ?)"
            return [
                known.get((cell.key, cell.repeat))
                or connection.execute(insert, (number, cell.key, cell.repeat)).lastrowid
                or 0
                for cell in cells
            ]

    def states(self) -> dict[int, str]:
        """Return how each cell of the store stands, by id."""
        return dict(self._ask(f"SELECT c.id, {_STATE} FROM cells c LEFT JOIN tries t ON t.id = {_LAST}"))

    def run(self, run: Run) -> int:
        """Write down who is about to write; return the run's id."""
        names = ", ".join(column.name for column in fields(run))
        with self._writing() as connection:
            return connection.execute(f"INSERT INTO runs ({names}) VALUES (?, ?, ?, ?)", astuple(run)).lastrowid or 0

    def begin(self, cell: int, run: int, time: float) -> int:
        """Write down that a cell is about to be sent; return the id of the try."""
        with self._writing() as connection:
            insert = "INSERT INTO tries (cell, run, begun) VALUES (?, ?, ?)"
            return connection.execute(insert, (cell, run, time)).lastrowid or 0

    def withdraw(self, number: int) -> None:
        """Take back a try that was not sent after all."""
        with self._writing() as connection:
            connection.execute("DELETE FROM tries WHERE id = ? AND ended IS NULL", (number,))

    def finish(self, number: int, ended: Ended) -> None:
        """Write down what came of a try. Where that cannot be done now, `flush` tries again."""
        with self._lock:
            self._waiting.append((*astuple(ended), number))
            self.flush()

    def flush(self) -> None:
        """Write what waits; raise ConfigurationError, with the rows as ``rows``, where that cannot be done."""
        names = ", ".join(f"{column.name} = ?" for column in fields(Ended))
        with self._lock:
            try:
                with self._writing() as connection:
                    while self._waiting:
                        connection.execute(f"UPDATE tries SET {names} WHERE id = ?", self._waiting[0])
                        self._waiting.pop(0)
            except ConfigurationError as error:
                error.rows = [waiting[-2] for waiting in self._waiting]  # type: ignore[attr-defined] # for rescue
                error.add_note(f"Finished, paid for and not written: {len(self._waiting)} cells (the error's .rows).")
                raise

    def settings(self) -> dict[int, Setting]:
        """Return the settings by id."""
        return {number: Setting(*rest) for number, *rest in self._ask("SELECT * FROM settings")}

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """Yield all that is known of each cell, one mapping a cell: its last good try, else its last one."""
        names = (
            *("id", "setting", "cell", "repeat", "tries", "state", "begun", "ended", "error", "error_message"),
            *("source", "contract", "row", "dsnb_version", "fn_hash", "seed"),
        )
        query = f"""
            SELECT c.id, c.setting, c.cell, c.repeat, (SELECT count(*) FROM tries WHERE cell = c.id), {_STATE},
                t.begun, t.ended, t.error, t.error_message, t.source, t.contract, t.row,
                r.dsnb_version, r.fn_hash, r.seed
            FROM cells c LEFT JOIN tries t ON t.id = {_LAST} LEFT JOIN runs r ON r.id = t.run ORDER BY c.id"""
        for values in self._ask(query):
            yield dict(zip(names, values, strict=True))

    def spent(self) -> Iterator[tuple[int, str, str]]:
        """Yield cell, source and row (JSON) of every try that has ended, also of those that others came after."""
        yield from self._ask("SELECT cell, source, row FROM tries WHERE ended IS NOT NULL ORDER BY id")

    def doubts(self) -> dict[int, int]:
        """Return the number of tries that never ended, by cell."""
        return dict(self._ask("SELECT cell, count(*) FROM tries WHERE ended IS NULL GROUP BY cell"))

    def close(self) -> None:
        """Close the file; what is written or read next opens it again."""
        with self._lock:
            self.flush()
            if self.path is not None:
                self._shut()

    def __del__(self) -> None:
        self._shut()  # Python 3.13 warns of connections that were left open

    def before_fork(self) -> None:
        """Wait until nobody writes, and close the file."""
        self._lock.acquire()
        if self.path is not None:
            self._shut()

    def after_fork_in_parent(self) -> None:
        """Go on; the next use opens the file again."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Begin anew: what waits to be written is the parent's."""
        self._lock, self._waiting = threading.RLock(), []

    def _shut(self) -> None:
        file, self._file = getattr(self, "_file", None), None
        if file is not None:
            with suppress(sqlite3.Error):
                file.close()

    def _ask(self, query: str) -> list[Any]:
        with self._explained(), self._lock:
            if self.path is None or self._file is not None:
                return self._connection().execute(query).fetchall()
            with closing(to_read(self.path, KIND)) as connection:  # which needs no right to write
                return connection.execute(query).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._explained(), self._lock:
            yield self._connection()

    def _connection(self) -> sqlite3.Connection:
        if self._file is None:
            assert self.path is not None  # noqa: S101 — what is in memory is never shut
            self._file = to_write(self.path, kind=KIND)
            if self._careful:
                self._file.execute("PRAGMA synchronous = FULL")
        return self._file

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except _FAILURES as error:
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> ConfigurationError:
        why = reason(error, KIND)
        return ConfigurationError(f"The store {self.path or 'in memory'} {why.what}. {why.mend}")
