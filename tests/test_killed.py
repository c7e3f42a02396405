"""A process that is killed in mid-stream: what it had finished is in the ledger, and what it had not shows as such."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dsnb
from tests.patience import PATIENCE

TIMES = int(os.environ.get("DSNB_KILLS", "15"))  # 50 have been tried as well
DAY = "2026-11-16"
CODE = """
import os, signal, sys
import dsnb

url, path, day = sys.argv[1:]
with dsnb.connect(url, usage=dsnb.UsageLog(), as_of=day, quiet=True) as ds:
    ds.ask("hello", render=None)  # what is loaded at the first call is loaded once, for all children
for _ in range(int("TIMES")):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            ds = dsnb.connect(url, usage=path, as_of=day, quiet=True)
            ds.ask("hello", render=None)
            for event in ds.stream("hello"):
                os.write(writing, b".")
        finally:
            os._exit(1)
    os.close(writing)
    assert os.read(reading, 1), "the child died before its stream began"
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    os.close(reading)
"""


@pytest.mark.slow
def test_what_was_finished_is_kept_and_what_was_not_is_seen(tmp_path):
    path = tmp_path / "usage.sqlite"
    with dsnb.Emulator(DAY, faults=["ok", *["ok", "stall@3"] * TIMES]) as emulator:
        done = subprocess.run(
            [sys.executable, "-c", CODE.replace("TIMES", str(TIMES)), emulator.base_url, str(path), DAY],
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
            env={"PATH": "/usr/bin", "PYTHONPATH": str(Path(dsnb.__file__).parents[1])},
        )
        assert (done.returncode, done.stderr) == (0, "")
        finished = {row.id for row in emulator.ledger()[1:] if row.outcome == "stop"}
    log = dsnb.UsageLog(path)
    assert list(log.frame().outcome) == ["stop", "unfinished"] * TIMES
    assert set(log.frame("attempts").response_id) == finished
    assert log.cost("USD").unknown == 0
