"""Functions for cells that run in other processes, which find them here by their names."""

import os
import time
from pathlib import Path

import dsnb
from tests.patience import PATIENCE


def greeting_from(ds: dsnb.Session, n: int) -> dict:
    return {
        "reply": ds.ask(f"Greet number {n}.", thinking=False),
        "process": os.getpid(),
        "ledger": ds.usage.cost().attempts,
    }


def budget_of(ds: dsnb.Session, n: int) -> dict:
    return {"reply": ds.ask(f"cell {n}"), "budget": repr(ds.budget)}


def refused(ds: dsnb.Session, n: int) -> dsnb.Reply:
    return ds.ask(f"cell {n}", temperature=9 if n % 2 else 1)


def buggy(ds: dsnb.Session, n: int) -> dsnb.Reply:
    raise LookupError(f"no {n}")


class Unsendable(Exception):
    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} and {other}")


def raising(ds: dsnb.Session, n: int) -> dsnb.Reply:
    raise Unsendable("this", "that")


def once_and_killed(ds: dsnb.Session, n: int, folder: str) -> dsnb.Reply:
    """Ask; the process that runs cell 3 does not live to tell."""
    reply = ds.ask(f"cell {n}")
    if n == 3:
        with (Path(folder) / "runs").open("a") as runs:
            runs.write(f"{os.getpid()}\n")
        os.kill(os.getpid(), 9)
        time.sleep(PATIENCE)
    return reply
