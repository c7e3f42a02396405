"""One SQLite file: opened, checked and brought up to date, or refused with a reason."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from dsnb.errors import ConfigurationError
from dsnb.usage.schema import LEDGER, Kind

BUSY: Final = 5.0  # seconds to wait for other writers, who need microseconds each

if sqlite3.sqlite_version_info < (3, 31):  # January 2020: the first with generated columns
    raise ConfigurationError(f"The usage ledger needs SQLite 3.31, and this Python has {sqlite3.sqlite_version}.")


class Unusable(Exception):
    """Say why a file cannot hold the ledger (``what``, to follow its name) and what to do about it (``mend``)."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(what, mend)
        self.what = what
        self.mend = mend


_MENDS: Final = {
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened or made", "Check that its folder is there and may be written to."),
    sqlite3.SQLITE_READONLY: ("may not be written to", "Check the permissions of the file and of its folder."),
    sqlite3.SQLITE_PERM: ("may not be opened", "Check the permissions of the file and of its folder."),
    sqlite3.SQLITE_FULL: ("does not fit on the disk, which is full", "Free some space there."),
    sqlite3.SQLITE_BUSY: ("is locked by another program", "Close whatever holds it open."),
    sqlite3.SQLITE_LOCKED: ("is locked by another program", "Close whatever holds it open."),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "Move it away, and a new one is begun."),
    sqlite3.SQLITE_NOTADB: ("is no {}: it is not an SQLite file", "Move it away, and a new one is begun."),
    sqlite3.SQLITE_IOERR: ("cannot be read or written", "Check the disk that it is on."),
}

# one statement, so that what it tells is of one moment: another process may be making the tables just now
_STATE: Final = """
    SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)
    FROM pragma_application_id, pragma_user_version"""


def reason(error: Exception, kind: Kind = LEDGER) -> Unusable:
    """Return an error of SQLite or of the system as one that says what to do."""
    if isinstance(error, Unusable):
        return error
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(error, FileExistsError | NotADirectoryError):
        return Unusable("cannot be made: its folder is a file", "Choose another place.")
    if isinstance(error, PermissionError):
        return Unusable(*_MENDS[sqlite3.SQLITE_PERM])
    if isinstance(error, OSError):
        return Unusable(f"cannot be made ({error.strerror or type(error).__name__})", "Check its folder.")
    what, mend = _MENDS.get((code or 0) & 0xFF, ("cannot be used", "Move it away, and a new one is begun."))
    return Unusable(f"{what.format(kind.name)} ({error})", mend)


def in_memory(kind: Kind = LEDGER) -> sqlite3.Connection:
    """Return a new ledger that lives in memory; another file may be attached to it by its URI."""
    connection = _connect("file::memory:")
    _migrate(connection, 0, kind)
    return connection


def to_write(path: Path, busy: float = BUSY, kind: Kind = LEDGER) -> sqlite3.Connection:
    """Open a ledger, or another ``kind`` of file, for writing, made or brought up to date if need be.

    Raises Unusable, sqlite3.Error or OSError.
    """
    _no_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=busy, isolation_level=None, check_same_thread=False)
    try:
        _version(connection, kind)  # before anything is written into what may be somebody else's
        # Readers and one writer at a time do not hinder each other, and a killed process leaves nothing half done.
        _persist(lambda: connection.execute("PRAGMA journal_mode = WAL"), busy)
        # No fsync at each commit: whatever happens to the process, its rows are kept. Only a power cut may take the
        # last ones, and leaves the file whole. FULL would make each row wait for the disk (8 times as slow, measured).
        connection.execute("PRAGMA synchronous = NORMAL")
        with transaction(connection):  # of several processes that start at once, one makes the tables
            _migrate(connection, _version(connection, kind), kind)
    except BaseException:
        connection.close()
        raise
    return connection


def to_read(path: Path, kind: Kind = LEDGER) -> sqlite3.Connection:
    """Open a ledger for reading only. Raises Unusable, sqlite3.Error or OSError."""
    return _connect(reading_uri(path, kind))


def reading_uri(path: Path, kind: Kind = LEDGER) -> str:
    """Return the URI by which a ledger can be read, after a look at it. Raises what `to_read` does."""
    _no_folder(path)
    uri = f"{path.as_uri()}?mode=ro"
    try:
        version = _look(uri, kind)
    except sqlite3.OperationalError as error:
        # A reader wants to make an index beside the file. Where it may not, and nobody writes, it can do without.
        written = path.with_name(f"{path.name}-wal").exists()
        if written or error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}:
            raise
        uri += "&immutable=1"
        version = _look(uri, kind)
    if version < kind.version:
        to_write(path, kind=kind).close()
    return uri


def _no_folder(path: Path) -> None:
    if path.is_dir():
        raise Unusable("is a folder", "Give the path of a file.")


def _look(uri: str, kind: Kind) -> int:
    with closing(_connect(uri)) as connection:
        return _version(connection, kind)


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, timeout=BUSY, isolation_level=None, check_same_thread=False)


def _version(connection: sqlite3.Connection, kind: Kind = LEDGER) -> int:
    """Return the schema version of a file, 0 for an empty file; raise Unusable for anything else."""
    ((application, version, tables),) = connection.execute(_STATE)
    if application != kind.application:
        if tables or application:
            raise Unusable(f"is no {kind.name}: it holds other data", "Give the path of another file.")
        return 0
    if version > kind.version:
        what = f"was written by a newer dsnb (its version is {version}, and this one knows {kind.version})"
        raise Unusable(what, "Update dsnb, or use another file.")
    return int(version)


def _migrate(connection: sqlite3.Connection, version: int, kind: Kind) -> None:
    for statements in kind.migrations[version:]:
        for statement in statements:
            connection.execute(statement)
    if version < kind.version:
        connection.execute(f"PRAGMA application_id = {kind.application}")
        connection.execute(f"PRAGMA user_version = {kind.version}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Make what is written inside all or nothing, and nobody else write meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite has rolled back by itself where the disk is full
            connection.execute("ROLLBACK")
        raise


def _persist(action: Callable[[], object], seconds: float) -> None:
    """Do what SQLite does not wait for by itself: two processes that turn to WAL at once fail at once."""
    until = time.monotonic() + seconds
    while True:
        try:
            action()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return
