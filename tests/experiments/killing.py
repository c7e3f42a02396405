"""A sweep whose coordinator is killed again and again, and what the emulator then knows of its cells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dsnb
from tests.patience import PATIENCE

AS_OF = "2026-11-16T12:00:00Z"
WORKERS = 6
_ROOT = Path(__file__).parents[2]
_CODE = """
import sys
import dsnb
from tests.experiments.killing import AS_OF, WORKERS, greet

url, path, cells, in_doubt, cluster = sys.argv[1:]

def run(executor=None):
    with dsnb.connect(url, as_of=AS_OF, quiet=True) as ds:
        dsnb.sweep(
            greet, {"n": range(int(cells))}, ds=ds, store=path, in_doubt=in_doubt, workers=WORKERS, executor=executor,
            progress=False,
        )

if cluster:
    from distributed import Client
    with Client(cluster) as client:
        run(client.get_executor())
else:
    run()
"""


def greet(ds: dsnb.Session, n: int) -> dsnb.Reply:
    return ds.ask(f"Greet number {n}.", thinking=False)


def asked(bodies: list[dict]) -> Counter[str]:
    """Count requests by their last message."""
    return Counter(body["messages"][-1]["content"] for body in bodies)


@dataclass
class Aftermath:
    """Hold what is left when the sweep has ended: ``asked`` counts the emulator's requests by cell."""

    sweep: dsnb.Sweep
    asked: Counter[str]
    kills: int

    @property
    def most(self) -> int:
        """How many cells can have been under way at the kills."""
        return self.kills * WORKERS

    @property
    def twice(self) -> list[str]:
        """The cells that were sent more than once."""
        return [cell for cell, number in self.asked.items() if number > 1]


def killed(
    url: str,
    path: Path,
    *,
    cells: int,
    kills: int,
    requests: Callable[[], list[dict]],
    in_doubt: str = "keep",
    cluster: str = "",
) -> Aftermath:
    """Run a sweep in a process of its own, killed whenever another part of its cells has been asked; then let it end.

    ``requests`` returns the bodies that the emulator has received.
    """
    command = [sys.executable, "-W", "error", "-c", _CODE, url, str(path), str(cells), in_doubt, cluster]
    for kill in range(kills):
        process = subprocess.Popen(command, cwd=_ROOT, stderr=subprocess.PIPE, text=True)
        goal = cells * (kill + 1) // (kills + 1)
        until = time.monotonic() + 2 * PATIENCE
        while len(requests()) < goal and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == -signal.SIGKILL, errors
    subprocess.run(command, cwd=_ROOT, check=True, timeout=10 * PATIENCE)
    return Aftermath(dsnb.Sweep.load(path), asked(requests()), kills)
