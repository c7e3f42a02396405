"""The usage ledger: rows a second, what it adds to a turn, and the seconds for a frame of a million rows."""

# ruff: noqa: S608 — the names of tables and columns are put into the SQL, and they are ours; values are bound

import random
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from itertools import count
from multiprocessing import get_context
from pathlib import Path

from dsnb.client.records import Attempt, Turn
from dsnb.client.reply import Reply, Timing
from dsnb.client.usage import Usage
from dsnb.contract import cost, prices
from dsnb.usage import UsageLog

TURNS = 5_000
ROWS = (250_000, 500_000, 1_000_000)
_ordinals = count()


def calls(number: int) -> list[tuple[Turn, Attempt]]:
    """Return turns of one attempt each, as an account makes them: every id is new, labels are few."""
    price = prices.history()[-1]
    draw, made = random.Random(number), []  # noqa: S311 — the same calls each time, and no secrets
    for _ in range(number):
        prompt, completion = draw.randrange(10, 50_000), draw.randrange(10, 3_000)
        hit = draw.choice((0, prompt // 128 * 128))
        reply = Reply(
            outcome="stop",
            finish_reason="stop",
            usage=Usage(prompt, completion, prompt + completion, hit, prompt - hit, completion // 2),
            cost=cost(hit, prompt - hit, completion, price),
            timing=Timing(0.0, draw.random(), draw.random() * 5, draw.random() * 9),
            id=f"{draw.getrandbits(128):032x}",
            model="deepseek-flash",
            served_by="deepseek",
            created=1_794_830_400,
            fingerprint=f"fp_{draw.randrange(5)}",
            trace_id=f"{draw.getrandbits(128):032x}",
        )
        asked = ("deepseek", "live", "deepseek-flash", True, True, "high", f"{draw.getrandbits(64):016x}", 3)
        turn = Turn(f"turn-{next(_ordinals)}", 1_794_830_400.0 + len(made), *asked)
        made.append((turn, Attempt(turn, 1, turn.started, 200, reply, None)))
    return made


def write(log: UsageLog, made: list[tuple[Turn, Attempt]]) -> None:
    for turn, attempt in made:
        log.began(turn)
        log.attempted(attempt)
        log.ended(turn, attempt.reply, None)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds by the clock and of CPU that the work took."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def in_threads(path: Path, number: int) -> None:
    """Write all turns from some threads at once."""
    log = UsageLog(path)
    threads = [threading.Thread(target=write, args=(log, calls(TURNS // number))) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()


def in_processes(path: Path, number: int) -> None:
    """Write all turns from each of some processes, which have eight threads each."""
    processes = [get_context("spawn").Process(target=in_threads, args=(path, 8)) for _ in range(number)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def grow(path: Path, rows: int) -> None:
    """Double what a ledger holds until it is so many turns: to write a million one by one would take minutes."""
    new = dict.fromkeys(("response_id", "trace_id"), "lower(hex(randomblob(16)))")
    new["prompt_hash"] = "lower(hex(randomblob(8)))"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        while (have := connection.execute("SELECT count(*) FROM turns").fetchone()[0]) < rows:
            new["id"], new["turn"] = f"id + {have}", f"turn + {have}"
            for table in ("turns", "attempts", "ends"):
                # which leaves out generated columns
                names = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
                values = ", ".join(new.get(name, name) for name in names)
                first = f"SELECT {values} FROM {table} WHERE {names[0]} <= ?"
                connection.execute(f"INSERT INTO {table} ({', '.join(names)}) {first}", (rows - have,))
            connection.commit()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="dsnb-") as name:
        folder = Path(name)
        path = folder / "usage.sqlite"
        for kind, place in (("memory", None), ("file", path)):
            log, made = UsageLog(place), calls(TURNS)
            wall, cpu = timed(lambda log=log, made=made: write(log, made))
            print(
                f"  {kind}: {wall / TURNS * 1e6:.0f} µs a turn, {cpu / TURNS * 1e6:.0f} of CPU, for its three rows "
                f"(goal: 200 or less); {3 * TURNS / wall:,.0f} rows/s"
            )
            log.close()
        for number in (2, 8):
            wall, _ = timed(lambda number=number: in_threads(folder / f"{number} threads", number))
            print(f"  {number} threads: {3 * TURNS / wall:,.0f} rows/s")
        both = folder / "two processes"
        wall, _ = timed(lambda: in_processes(both, 2))
        kept = UsageLog(both).frame()
        lost = 2 * TURNS - int((kept["attempts"] == 1).sum())
        print(f"  2 processes of 8 threads: {6 * TURNS / wall:,.0f} rows/s with their start, {lost} turns lost")
        log = UsageLog(path)
        for rows in ROWS:
            grow(path, rows)
            for kind in ("turns", "attempts"):
                wall, cpu = min(timed(lambda kind=kind: log.frame(kind)) for _ in range(3))
                goal = " (goal: 4 s or less)" if (rows, kind) == (ROWS[-1], "turns") else ""
                print(f"  frame({kind!r}) of {rows:,} rows: {wall:.2f} s, {cpu:.2f} of CPU{goal}")
        wall, _ = timed(lambda: write(log, calls(TURNS)))
        print(f"  a turn more: {wall / TURNS * 1e6:.0f} µs")
        print(f"  cost(): {timed(log.cost)[0]:.2f} s; summary(): {timed(log.summary)[0]:.2f} s")
        print(f"  the file: {path.stat().st_size / (rows + TURNS):.0f} bytes a turn")
        log.close()
