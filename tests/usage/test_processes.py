"""Many processes and threads write one file, some are killed, some fork: what was written stays, whole."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from dsnb.usage import UsageLog
from tests.patience import PATIENCE
from tests.usage.calls import log_call

_ROOT = Path(__file__).parents[2]


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run code in a process of its own, with UsageLog, log_call, turn and the arguments at hand."""
    head = "import os, signal, sys, threading\nfrom itertools import count\nfrom pathlib import Path\n"
    head += "from dsnb.usage import UsageLog\nfrom tests.usage.calls import log_call, turn\npath = Path(sys.argv[1])\n"
    command = [sys.executable, "-W", "error", "-c", head + code, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=_ROOT)


def finish(*processes: subprocess.Popen[str]) -> list[str]:
    """Wait for processes, none of which may fail or warn; return what they printed."""
    told = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [(process.returncode, errors) for process, (_, errors) in zip(processes, told, strict=True)] == [
        (0, "")
    ] * len(processes)
    return [printed for printed, _ in told]


def whole(path: Path) -> bool:
    connection = sqlite3.connect(path)
    try:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        connection.close()


WRITE = """
log = UsageLog(path)
def write(number):
    for call in range(int(sys.argv[3])):
        log_call(log, asked_model=f"{sys.argv[2]}/{number}", id=f"{call:032x}", messages=call + 1)
threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
log.close()
"""


@pytest.mark.slow
def test_sixteen_thousand_rows_from_two_processes_of_eight_threads(tmp_path) -> None:
    path, calls = tmp_path / "usage.sqlite", 334  # of three rows each
    finish(start(WRITE, path, "one", calls), start(WRITE, path, "two", calls))
    log = UsageLog(path)
    turns, attempts = log.frame(), log.frame("attempts")
    assert len(turns) == len(attempts) == 16 * calls
    assert (turns["outcome"] == "stop").all()
    assert (turns["attempts"] == 1).all()
    assert (attempts["total_tokens"] == 1200).all()
    # each thread's calls are all there, in its order, and each attempt is with its own turn
    for _, of_thread in attempts.groupby("asked_model", observed=True):
        assert of_thread["response_id"].tolist() == [f"{call:032x}" for call in range(calls)]
        assert of_thread["messages"].tolist() == list(range(1, calls + 1))
    assert attempts["asked_model"].nunique() == 16
    assert whole(path)


@pytest.mark.slow
def test_eight_processes_that_begin_a_file_at_once(tmp_path) -> None:
    path = tmp_path / "usage.sqlite"
    code = "print('ready', flush=True)\nsys.stdin.readline()\nlog = UsageLog(path)\nlog_call(log)\nlog.close()"
    processes = [start(code, path) for _ in range(8)]
    assert [process.stdout.readline() for process in processes if process.stdout] == ["ready\n"] * 8
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    finish(*processes)
    assert len(UsageLog(path).frame()) == 8


KILLED = """
for kill in range(20):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            log = UsageLog(path)
            def write(number):
                for call in count():
                    name = f"{kill}/{number}/{call}"
                    log_call(log, id=name)
                    os.write(writing, f"{name}\\n".encode())  # logged, and so it has to stay
            threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading) as written:
        names = [next(written) for _ in range(1 + 5 * kill)]
        os.kill(child, signal.SIGKILL)
        names += written
    assert os.waitpid(child, 0)[1] == signal.SIGKILL  # by which it ended, and not by itself
    print(*names, sep="", end="")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.slow
def test_a_killed_process_leaves_every_row_that_it_had_written(tmp_path) -> None:
    path = tmp_path / "usage.sqlite"
    (printed,) = finish(start(KILLED, path))
    reported = printed.split()
    assert {name.partition("/")[0] for name in reported} == {str(kill) for kill in range(20)}
    assert whole(path)
    log = UsageLog(path)
    attempts, turns = log.frame("attempts"), log.frame()
    kept = attempts["response_id"].tolist()
    assert set(reported) <= set(kept)
    assert len(kept) == len(set(kept))
    # at most two turns a kill were under way
    assert 0 <= (turns["outcome"] == "unfinished").sum() <= 40
    assert len(kept) - len(reported) <= 40
    log_call(log)  # and it can be written on
    assert len(log.frame()) == len(turns) + 1


UNFINISHED = """
log = UsageLog(path)
log_call(log)
with log.run("cut off"):
    log.began(turn())
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_turn_that_was_cut_off_is_visible_as_such(tmp_path) -> None:
    process = start(UNFINISHED, tmp_path / "usage.sqlite")
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -9
    log = UsageLog(tmp_path / "usage.sqlite")
    assert log.frame()["outcome"].tolist() == ["stop", "unfinished"]
    assert log.frame()["run"].tolist()[1] == "cut off"
    assert log.frame()["total_tokens"].isna().tolist() == [False, True]
    assert log.summary("run").set_index("run")["unfinished"].to_dict()["cut off"] == 1


FORKED = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, which is what this is about
log, memory, over = UsageLog(path), UsageLog(), threading.Event()
def write():
    while not over.is_set():
        log_call(log, asked_model="thread")
        over.wait(0.002)
thread = threading.Thread(target=write)
thread.start()
children = []
for child in range(5):
    log_call(log, asked_model="parent")
    log_call(memory)
    pid = os.fork()
    if not pid:
        for call in range(20):
            log_call(log, asked_model="child")
            log_call(memory)
        assert memory.cost().attempts == child + 21
        log.close()
        os._exit(0)
    children.append(pid)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 5
over.set()
thread.join()
log_call(log, asked_model="parent")
log.close()
print(memory.cost().attempts)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_opens_the_file_anew(tmp_path) -> None:
    path = tmp_path / "usage.sqlite"
    (printed,) = finish(start(FORKED, path))
    assert printed.strip() == "5"
    frame = UsageLog(path).frame()
    asked = frame["asked_model"].value_counts()
    assert (asked["parent"], asked["child"]) == (6, 100)
    assert (frame["outcome"] == "stop").all()
    assert (frame["attempts"] == 1).all()
    assert whole(path)


@pytest.mark.slow
def test_a_frame_can_be_read_while_others_write(tmp_path) -> None:
    path = tmp_path / "usage.sqlite"
    process = start(WRITE, path, "one", 60)
    log, seen = UsageLog(path), [0]
    while process.poll() is None:  # which writes so many rows and ends
        frame = log.frame()
        ended = frame[frame["outcome"] != "unfinished"]
        assert (ended["attempts"] == 1).all()  # no end is seen without its attempt
        seen.append(len(frame))
    finish(process)
    assert seen == sorted(seen)
    assert len(log.frame()) == 480
