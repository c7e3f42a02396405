"""Turns that are stopped, closed, cancelled and interrupted at random moments: nothing of them may be left behind."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

import dsnb
from dsnb.emulator import Answer
from dsnb.errors import DsnbError
from dsnb.steps import Step
from dsnb.turn import Turn
from tests.patience import PATIENCE

TIMES = 200
TEXT = "And then they went on, and on, and on. " * 12
FAULTS = {"stall": 0.15, "cut": 0.15, 503: 0.1, "refuse": 0.05, "queue@20": 0.1, "eof": 0.05}
RETRY = dsnb.Retry(first=0.001, longest=0.004, attempts=20)
TIMEOUTS = dsnb.Timeouts(stall=0.1)


def story(_request: object) -> Answer:
    return Answer(TEXT, "We tell it.")


class Asking:
    """Ask again and again, and be interrupted each time; ``draw`` decides when."""

    def __init__(self, ds: dsnb.Session, draw: random.Random) -> None:
        self.ds, self.draw = ds, draw
        self.turn: Turn | None = None  # the one that is under way
        self.when_begun: Callable[[], None] = lambda: None

    def moment(self) -> float:
        """Return for how many seconds to let a turn run: it takes some fifty milliseconds."""
        return self.draw.random() * 0.05

    def close(self) -> None:
        """Close the generator."""
        events = self.ds.stream("tell")
        for _ in zip(range(self.draw.randrange(1, 90)), events, strict=False):
            pass
        events.close()

    def throw(self) -> None:
        """Raise KeyboardInterrupt where the generator stands."""
        events = self.ds.stream("tell")
        for _ in zip(range(self.draw.randrange(1, 90)), events, strict=False):
            pass
        with suppress(KeyboardInterrupt, StopIteration):
            events.throw(KeyboardInterrupt)

    def stop(self) -> None:
        """Stop the turn from another thread, whatever it waits for."""
        begun, moment = threading.Event(), self.moment()

        def stopping() -> None:
            begun.wait(PATIENCE)
            time.sleep(moment)
            if self.turn is not None:
                self.turn.stop.ask()

        self.when_begun = begun.set
        stopper = threading.Thread(target=stopping)
        stopper.start()
        try:
            self.ds.ask("tell", render=None)
        finally:
            stopper.join()

    def cancel(self) -> None:
        """Cancel the task."""

        async def cancelled() -> None:
            task = asyncio.create_task(self.ds.aask("tell", render=None))
            await asyncio.wait({task}, timeout=self.moment())
            task.cancel()
            with suppress(asyncio.CancelledError, DsnbError):
                await task
            await self.ds._transport.aclose()  # the connections of this loop

        asyncio.run(cancelled())


KINDS: dict[str, Callable[[Asking], None]] = {
    "stop": Asking.stop,
    "throw": Asking.throw,
    "close": Asking.close,
    "cancel": Asking.cancel,
}


def interrupted(kind: str, times: int, seed: int = 0) -> tuple[Counter[str], list[str]]:
    """Interrupt so many turns; return how they ended, and what is wrong after it."""
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    before = resources()
    with (
        dsnb.Emulator(engine=story, faults=FAULTS, pace=0.01, seed=seed) as emulator,
        dsnb.connect(emulator.base_url, usage=dsnb.UsageLog(), quiet=True, retry=RETRY, timeouts=TIMEOUTS) as ds,
    ):
        asking = Asking(ds, random.Random(seed))  # noqa: S311 — the same moments each time, and no secrets
        with watched(asking):
            for _ in range(times):
                ds.last = None
                with suppress(DsnbError):
                    KINDS[kind](asking)
                if ds.last is None:
                    wrong.append("the last reply is not kept")
                    continue
                outcomes[ds.last.outcome] += 1
                if not TEXT.startswith(ds.last.answer):
                    wrong.append(f"kept {ds.last.answer!r}")
        gate = ds.gate()
        if gate.under_way or gate.waiting:
            wrong.append(f"{gate.under_way} requests are under way for the gate, {gate.waiting} wait")
        if not until(lambda: not emulator._server._state.tasks):
            wrong.append(f"{len(emulator._server._state.tasks)} requests are under way for the emulator")
        frame, rows = ds.usage.frame(), len(emulator.ledger())
        if len(frame) != times or "unfinished" in set(frame["outcome"]):
            wrong.append(f"{len(frame)} rows of {times} turns: {Counter(frame['outcome'])}")
        if abs(len(ds.usage.frame("attempts")) - rows) > outcomes["interrupted"]:  # some never arrived
            wrong.append(f"{len(ds.usage.frame('attempts'))} attempts, {rows} of them known to the emulator")
    if not until(lambda: resources() <= before):
        wrong.append(f"left behind: {resources() - before}")
    return outcomes, wrong


def resources() -> Counter[str]:
    """Return the threads and the open sockets of this process."""
    threads = [thread.name for thread in threading.enumerate() if thread.name != "dsnb-watchdog"]
    descriptors = Path("/proc/self/fd")
    links = []
    for each in descriptors.iterdir() if descriptors.exists() else ():
        with suppress(OSError):
            links.append(str(each.readlink()).partition(":")[0])
    return Counter([*threads, *(link for link in links if link == "socket")])


def until(true: Callable[[], bool]) -> bool:
    """Wait for something to become true; return whether it has."""
    deadline = time.monotonic() + PATIENCE
    while not (found := true()) and time.monotonic() < deadline:
        time.sleep(0.001)
    return found


@contextmanager
def watched(asking: Asking) -> Iterator[None]:
    """Have ``asking`` know the turn that is under way."""
    course = Turn.course

    def noted(turn: Turn) -> Generator[Step]:
        asking.turn = turn
        asking.when_begun()
        return course(turn)

    with patch.object(Turn, "course", noted):
        yield


def main() -> None:
    for kind, function in KINDS.items():
        outcomes, wrong = interrupted(kind, TIMES)
        print(f"  {kind} {TIMES} times: {dict(outcomes)}, {len(wrong)} wrong (goal: 0). {function.__doc__}")
        for problem in wrong[:5]:
            print(f"    {problem[:400]}")
