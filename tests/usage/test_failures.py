"""A ledger that cannot be written costs one warning: no reply, no row of this session, and nobody's file."""

import os
import resource
import sqlite3
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest

from dsnb.errors import DsnbWarning
from dsnb.usage import UsageLog, database, ledger
from tests.usage.calls import log_call, reply, turn


@pytest.fixture
def path(tmp_path):
    return tmp_path / "usage.sqlite"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Do not wait seconds for a lock."""
    for room in (ledger, database):
        monkeypatch.setattr(room, "BUSY", 0.05)
    monkeypatch.setattr(ledger, "_AGAIN", 0.02)


@contextmanager
def one_warning(match: str):
    """Expect exactly one warning, however much is logged inside."""
    with pytest.warns(DsnbWarning, match=match) as caught:
        yield caught
    assert len(caught) == 1


def folder(path: Path) -> None:
    path.mkdir()


def file_as_folder(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("a file")


def text(path: Path) -> None:
    path.write_text("model,tokens\n" * 500)


def of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE turns (id, prompt)")
        connection.execute("INSERT INTO turns VALUES (1, 'precious')")
    connection.close()


def newer(path: Path) -> None:
    log = UsageLog(path)
    log_call(log)
    log.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def cut(path: Path) -> None:
    log = UsageLog(path)
    for _ in range(50):
        log_call(log)
    log.close()
    os.truncate(path, path.stat().st_size // 2)


def overwritten(path: Path) -> None:
    log = UsageLog(path)
    for _ in range(200):
        log_call(log)
    log.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 8192))


UNUSABLE = {
    folder: "is a folder. .* Give the path of a file",
    file_as_folder: "its folder is a file. .* Choose another place",
    text: "is not an SQLite file .* Move it away, and a new one is begun",
    of_another_program: "holds other data. .* Give the path of another file",
    newer: "was written by a newer dsnb .its version is 99, and this one knows 1.. .* Update dsnb",
    cut: "is damaged .* Move it away",
    overwritten: "is damaged .* Move it away",
}


@pytest.mark.parametrize("spoil", UNUSABLE, ids=lambda spoil: spoil.__name__)
def test_one_warning_and_the_log_goes_on(spoil, path) -> None:
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    log = UsageLog(path)
    with one_warning(UNUSABLE[spoil]) as caught:
        for _ in range(3):
            log_call(log)
        assert log.frame()["prompt_tokens"].tolist()[-3:] == [1000] * 3
        assert len(log.frame("attempts")) >= 3
        log.summary(), log.cost(), repr(log), log._repr_mimebundle_(), log.close()
    assert caught[0].filename == __file__ or "calls.py" in caught[0].filename  # the line of whoever called dsnb
    assert str(path) in str(caught[0].message)
    if before is not None and spoil not in (cut, overwritten):
        assert path.read_bytes() == before
        assert [file.name for file in path.parent.iterdir()] == [path.name]
    obstacle = path if path.exists() else path.parent
    obstacle.rename(obstacle.with_name("moved away"))
    log.close()  # which tries once more
    assert UsageLog(path).frame("attempts")["prompt_tokens"].tolist() == [1000] * 3


@pytest.mark.parametrize("spoil", UNUSABLE, ids=lambda spoil: spoil.__name__)
def test_reading_warns_too_and_never_raises(spoil, path) -> None:
    spoil(path)
    if not path.exists():
        return
    log = UsageLog(path)
    with one_warning(UNUSABLE[spoil]):
        assert log.frame().empty
        log_call(log)
        assert len(log.frame()) == 1
        log.close()


def test_where_warnings_are_errors_the_reply_is_not_lost_either(path, capsys) -> None:
    folder(path)
    log = UsageLog(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log_call(log)
        log.close()
    assert "is a folder" in capsys.readouterr().err
    assert len(log.frame()) == 1


def test_a_fault_of_ours_does_not_reach_the_caller(monkeypatch) -> None:
    log = UsageLog()
    monkeypatch.setattr(log._ledger, "write", None)
    with pytest.warns(DsnbWarning, match="could not be logged .TypeError."):
        log_call(log)


def test_a_locked_file_gets_its_rows_later(path, monkeypatch) -> None:
    log = UsageLog(path)
    log_call(log)
    late = turn()
    log.began(late)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with one_warning("is locked by another program .* Close whatever holds it open"):
        log_call(log, refused=1)
        log.ended(late, reply(outcome="length"), None)
        with log.run("later"):
            log_call(log)
        frame = log.frame()  # what the file holds and what waits are one
        assert frame["outcome"].tolist() == ["stop", "length", "stop", "stop"]
        assert frame["attempts"].tolist() == [1, 0, 2, 1]
        assert len(log.frame("attempts")) == 4
        assert log.summary("provider")["attempts"].tolist() == [4]
        assert log.cost().attempts == 4
    other.execute("ROLLBACK")
    other.close()
    monkeypatch.setattr(log._ledger, "_next_try", 0.0)
    log_call(log)
    log.close()
    frame = UsageLog(path).frame()
    assert frame["outcome"].tolist() == ["stop", "length", "stop", "stop", "stop"]
    assert frame["attempts"].tolist() == [1, 0, 2, 1, 1]
    assert frame["turn"].tolist() == [1, 2, 3, 4, 5]
    assert frame["run"].notna().tolist() == [False, False, False, True, False]


def test_what_waits_is_written_when_the_ledger_is_closed(path) -> None:
    log = UsageLog(path)
    log_call(log)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with one_warning("locked"):
        log_call(log)
    other.execute("ROLLBACK")
    other.close()
    log.close()
    assert len(UsageLog(path).frame("attempts")) == 2


def test_a_file_that_nobody_may_read_while_it_is_locked_shows_what_waits(path) -> None:
    log = UsageLog(path)
    log_call(log)
    log.close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with one_warning("is locked"):
        log_call(log)
        log._ledger._memory.connection.execute("PRAGMA busy_timeout = 10")
        assert len(log.frame()) == 1
    other.close()
    log.close()
    assert len(UsageLog(path).frame()) == 2


def test_a_full_database_loses_nothing(path) -> None:
    log = UsageLog(path)
    log_call(log)
    connection = log._ledger._file.connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with one_warning("does not fit on the disk, which is full .* Free some space"):
        for _ in range(100):
            log_call(log)
        assert len(log.frame()) == len(log.frame("attempts")) == 101
        assert (log.frame()["outcome"] == "stop").all()
    log.close()  # which opens the file anew, without that limit
    assert len(UsageLog(path).frame()) == 101


def test_a_full_disk_loses_nothing(path) -> None:
    """As RLIMIT_FSIZE makes it: the system refuses to let the file grow (SQLite calls that an I/O error)."""
    log = UsageLog(path)
    log_call(log)
    log.close()
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, most[1]))
        with one_warning("cannot be read or written|is full"):
            for _ in range(50):
                log_call(log)
            frame = log.frame()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert len(frame) == 51
    log.close()
    frame = UsageLog(path).frame()
    assert (len(frame), set(frame["attempts"])) == (51, {1})


def test_a_file_spoilt_in_mid_session_does_not_take_the_next_rows_with_it(path) -> None:
    log = UsageLog(path)
    for _ in range(200):
        log_call(log)
    log._ledger._file.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.write(b"\xa5" * path.stat().st_size)
    with one_warning("damaged|is not an SQLite file"):
        log.close()
        for _ in range(3):
            log_call(log)
        assert len(log.frame()) == 3
        path.rename(path.with_name("spoilt"))  # as the warning says
        log.close()
    assert len(UsageLog(path).frame()) == 3


def test_a_deleted_file_is_begun_anew(path) -> None:
    log = UsageLog(path)
    log_call(log)
    begun = turn()
    log.began(begun)
    for file in path.parent.iterdir():
        file.unlink()
    log_call(log)
    log.ended(begun, reply(outcome="length"), None)
    log.close()
    assert UsageLog(path).frame()["outcome"].tolist() == ["stop", "length"]


@pytest.fixture
def shared():
    """A folder that others may look into, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="dsnb-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def read_only(folder: Path):
    """Let nobody write into a folder and its files: not even root, who is somebody else inside."""
    mine = os.geteuid()
    files = list(folder.iterdir())
    for file in files:
        file.chmod(0o444)
    folder.chmod(0o555)
    try:
        if mine == 0:
            os.seteuid(65534)  # nobody
        yield
    finally:
        os.seteuid(mine)
        folder.chmod(0o755)
        for file in files:
            file.chmod(0o644)


def test_a_read_only_folder(shared) -> None:
    path = shared / "data" / "usage.sqlite"
    warm = UsageLog()
    log_call(warm)
    warm.frame()  # imports what it needs, while that may be read
    log = UsageLog(path)
    with read_only(shared), one_warning(f"{path} may not be opened. .* Check the permissions"):
        log_call(log)
        assert len(log.frame()) == 1
        log.close()
    log.close()
    assert len(UsageLog(path).frame("attempts")) == 1


@pytest.mark.parametrize("closed", [True, False])
def test_a_read_only_file_can_be_read(shared, closed) -> None:
    path = shared / "usage.sqlite"
    owner = UsageLog(path)
    log_call(owner)
    owner.frame()
    if closed:
        owner.close()
    log = UsageLog(path)
    with read_only(shared):
        assert len(log.frame()) == 1
        with one_warning(f"{path} (may not be written to|may not be opened|cannot be opened)"):
            log_call(log)
            assert len(log.frame()) == 2
            log.close()
    log.close()
    assert len(UsageLog(path).frame("attempts")) == 2
