"""Keep rows in a file that many processes write, and in memory while that file cannot be had."""

# ruff: noqa: S608 — the names of tables and columns are put into the SQL, and they are ours; values are bound

from __future__ import annotations

import atexit
import sqlite3
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

from dsnb.errors import DsnbWarning
from dsnb.usage import forks
from dsnb.usage.database import BUSY, Unusable, in_memory, reading_uri, reason, to_read, to_write, transaction
from dsnb.usage.rows import Begun, Record
from dsnb.usage.store import Store

T = TypeVar("T")

_RETRY: Final = 30.0  # seconds between two attempts at a file that could not be used
_AGAIN: Final = 0.1  # seconds that such an attempt waits for a lock
_FAR: Final = 2**40  # ids of rows that wait in memory begin here: no file has so many rows
_TABLES: Final = {"settings": "id", "results": "id", "turns": "id", "attempts": "id", "ends": "turn"}
_FAILURES: Final = (sqlite3.Error, OSError, Unusable)


class Ledger:
    """Write records and answer questions about them; safe to share between threads and across forks.

    ``path`` None keeps everything in memory. Where the file cannot be used, one warning says why; what is written
    from then on waits in memory and is tried again now and then, and what the file holds stays readable if it is.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._reading = threading.RLock()  # its own, since a frame of many rows takes seconds
        self._file: Store | None = None
        self._identity: tuple[int, int] | None = None
        self._memory: Store | None = None
        self._failing = False
        self._waiting: list[Record] = []
        self._next_try = 0.0
        self._warned: set[str] = set()
        forks.watch(self)

    def write(self, record: Record) -> None:
        """Keep a record; where it cannot go into the file, warn and keep it in memory."""
        with self._lock:
            if self.path is not None and (not self._failing or time.monotonic() >= self._next_try):
                try:
                    self._write_to_file(self.path, record)
                except _FAILURES as error:
                    self._give_up(error)
                else:
                    return
            self._in_memory().write(record)
            if self._failing:
                self._waiting.append(record)

    def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Return the answer to a question, asked of a connection that shows the whole ledger."""
        if self.path is not None and not self._failing:
            try:
                with self._reading, closing(to_read(self.path) if self.path.exists() else in_memory()) as connection:
                    connection.execute("BEGIN")  # one state of all tables, whoever writes meanwhile
                    return question(connection)
            except _FAILURES as error:
                with self._lock:
                    self._give_up(error)
        with self._lock:
            memory = self._in_memory().connection
            if self.path is not None:
                with suppress(*_FAILURES), _together(memory, self.path):
                    return question(memory)
            return question(memory)

    def close(self) -> None:
        """Write what waits, if that can be done now, and close the file; the next write opens it again."""
        with self._lock:
            if self.path is not None and self._waiting:
                try:
                    self._write_to_file(self.path)
                except _FAILURES as error:
                    self._give_up(error)
            self._file = None

    def _in_memory(self) -> Store:
        if self._memory is None:
            known = dict(self._file.turns) if self._file else {}
            self._memory = Store(in_memory(), ids=None if self.path is None else count(_FAR), turns=known)
        return self._memory

    def _write_to_file(self, path: Path, *records: Record) -> None:
        store = self._opened(path, *records)
        if not self._failing:
            for record in records:
                store.write(record)
            return
        with transaction(store.connection):
            for record in (*self._waiting, *records):
                store.write(record)
        self._failing, self._waiting, self._memory = False, [], None
        atexit.unregister(self.close)

    def _opened(self, path: Path, *records: Record) -> Store:
        # looked at for each turn, since somebody may have deleted the file, or put another in its place
        if records and isinstance(records[-1], Begun) and _identity(path) != self._identity:
            self._file = None
        if self._file is None:
            self._file = Store(to_write(path, _AGAIN if self._failing else BUSY))
            self._file.connection.execute(f"PRAGMA busy_timeout = {int(BUSY * 1000)}")
            self._identity = _identity(path)
        return self._file

    def _give_up(self, error: Exception) -> None:
        """Go on in memory, and say why, once."""
        if not self._failing:
            self._failing = True
            self._in_memory()
            atexit.register(self.close)
        self._file = None
        self._next_try = time.monotonic() + _RETRY
        why = reason(error)
        if why.what not in self._warned:
            self._warned.add(why.what)
            warn(
                f"The usage ledger {self.path} {why.what}. Nothing is lost while this process runs: its calls are "
                f"logged in memory, and in the file as soon as that can be done. {why.mend}"
            )

    def before_fork(self) -> None:
        """Wait until nobody reads or writes, and close the file."""
        self._reading.acquire()
        self._lock.acquire()
        self._file = None

    def after_fork_in_parent(self) -> None:
        """Go on; the next write opens the file again."""
        self._lock.release()
        self._reading.release()

    def after_fork_in_child(self) -> None:
        """Begin anew: the file is the child's own to open, and what waits for it is the parent's to write."""
        self._lock, self._reading = threading.RLock(), threading.RLock()
        if self.path is not None:
            self._memory, self._failing, self._waiting = None, False, []


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return None


@contextmanager
def _together(memory: sqlite3.Connection, path: Path) -> Iterator[None]:
    """Make the tables of a connection in memory show the rows of a file as well."""
    memory.execute("ATTACH ? AS disk", (reading_uri(path),))
    try:
        for table, key in _TABLES.items():
            here = f"SELECT 1 FROM disk.{table} d WHERE d.{key} = m.{key}"
            both = f"SELECT * FROM disk.{table} UNION ALL SELECT * FROM main.{table} m WHERE NOT EXISTS ({here})"
            memory.execute(f"CREATE TEMP VIEW {table} AS {both}")
        yield
    finally:
        with suppress(sqlite3.Error):
            for table in _TABLES:
                memory.execute(f"DROP VIEW IF EXISTS temp.{table}")
            memory.execute("DETACH disk")


def warn(message: str) -> None:
    """Warn at the line that called dsnb; where warnings are errors, print, since a ledger must not stop a call."""
    frame, level = sys._getframe(1), 2  # noqa: SLF001 — skip_file_prefixes needs Python 3.12
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "dsnb":
        frame, level = frame.f_back, level + 1
    try:
        warnings.warn(message, DsnbWarning, stacklevel=level)
    except DsnbWarning:
        print(message, file=sys.stderr)
