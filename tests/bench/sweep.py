"""Sweeps of 2,000 cells, killed five times: rows, cells billed twice, cells in doubt; and the cost of a cell."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dsnb
from tests.bench._apart import apart
from tests.experiments.clusters import local_cluster
from tests.experiments.killing import AS_OF, WORKERS, greet, killed

ALONE = "takes twenty minutes"

CELLS = 2_000
KILLS = 5
PACE = 0.01  # real seconds per emulated one: a reply takes some tens of milliseconds, so that kills hit cells under way


@contextmanager
def cluster(on: str) -> Iterator[str]:
    """Yield the address of a cluster of two processes that outlives its client, or '' for threads."""
    if on == "threads":
        yield ""
        return
    with local_cluster() as made:
        yield made.scheduler_address


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="dsnb-") as name:
        for on in ("threads", "Dask"):
            for in_doubt in ("keep", "again"):
                with apart(pace=PACE) as emulator, cluster(on) as address:
                    start = time.perf_counter()
                    after = killed(
                        emulator.base_url,
                        Path(name) / f"{on}-{in_doubt}.sqlite",
                        cells=CELLS,
                        kills=KILLS,
                        requests=lambda emulator=emulator: emulator.get("requests"),
                        in_doubt=in_doubt,
                        cluster=address,
                    )
                    seconds = time.perf_counter() - start
                    ledger = emulator.get("ledger")
                frame = after.sweep.frame()
                billed = sum(row.billed for row in ledger)
                goal = " (goal: 0)" if in_doubt == "keep" else f" (goal: {KILLS * WORKERS} or fewer, those under way)"
                print(
                    f'  {on}, in_doubt="{in_doubt}": {KILLS} kills, {seconds:.0f} s: {len(frame):,} rows (goal: '
                    f"{CELLS:,}), {len(after.twice)} cells sent twice{goal}; {billed:,} requests billed, "
                    f"{after.sweep.in_doubt} cells in doubt, {after.sweep.rerun} told as run once more"
                )
        with apart() as emulator, dsnb.connect(emulator.base_url, as_of=AS_OF, quiet=True) as ds:
            for store in (None, Path(name) / "cost.sqlite"):
                start, cpu = time.perf_counter(), time.process_time()
                dsnb.sweep(greet, {"n": range(500)}, ds=ds, store=store, progress=False)
                wall, cpu = time.perf_counter() - start, time.process_time() - cpu
                kept = "in memory" if store is None else "in a file"
                print(f"  500 cells {kept}: {wall * 2:.1f} ms each by the clock, {cpu * 2:.1f} of CPU, asking included")
            start, cpu = time.perf_counter(), time.process_time()
            for n in range(500):
                ds.ask(f"Greet number {n}.", thinking=False)
            cpu = time.process_time() - cpu
            print(f"  500 questions in a loop: {cpu * 2:.1f} ms of CPU each")


if __name__ == "__main__":
    main()
