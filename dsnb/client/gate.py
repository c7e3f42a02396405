"""Who may send a request now: a limit of requests at once, and a circuit breaker, for all clients of the process.

The breakers on PyPI serve either threads or one event loop, and refuse callers while they are open. Here threads and
event loops share one gate, and callers wait at it: for a free place, and, while the endpoint is down, for one of them
to find out whether it is up again.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from weakref import WeakValueDictionary

from dsnb.client.stopping import Stop

LIMIT: Final = 1000  # requests at once: what the transport has connections for
FAILURES: Final = 10  # in a row, until nobody sends any more
PROBE: Final = 1.0  # seconds until one caller tries again; twice as long after each try that fails
LONGEST: Final = 30.0  # seconds between two such tries
_LOWERED: Final = 0.7  # of the requests that were under way when the endpoint said that they were too many


class Gate:
    """Let requests to one model of one endpoint pass, as many as it bears.

    After ``failures`` in a row the gate closes: callers wait, and after ``probe`` seconds one of them passes alone.
    If that is answered, all pass; else the next one tries after twice the time, ``longest`` at most. `limit` falls
    when the endpoint says "too many", and rises again with each request that goes well.

    Whoever is let in gets a `Pass`, and gives it back with what came of the request.
    """

    def __init__(
        self,
        *,
        limit: int = LIMIT,
        failures: int = FAILURES,
        probe: float = PROBE,
        longest: float = LONGEST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most = limit
        self.limit = float(limit)
        self.under_way = 0
        self._patience = failures
        self._probe, self._longest = probe, longest
        self._clock = clock
        self._lock = threading.RLock()  # a pass may be collected, and given back, by whoever holds it
        self._queue: dict[_Place, None] = {}  # in the order of arrival
        self._entered = 0  # requests so far, and how many it were when the limit fell for the last time
        self._lowered = 0
        self._failed = 0
        self._shut_until: float | None = None  # None: open
        self._pause = probe
        self._probing = False

    @property
    def open(self) -> bool:
        """Whether requests pass; False while the endpoint is taken to be down."""
        return self._shut_until is None

    @property
    def waiting(self) -> int:
        """How many callers wait."""
        return len(self._queue)

    def enter(self, within: float = math.inf, stop: Stop | None = None) -> Pass | None:
        """Wait in this thread until a request may be sent; None if that takes longer than ``within`` seconds.

        Raises Stopped as soon as ``stop`` is asked.
        """
        stop = stop or Stop()
        woken = threading.Event()
        place = _Place(woken.set)
        until = self._clock() + within
        try:
            with stop.waking(woken.set):
                while isinstance(answer := self._ask(place), float):
                    left = until - self._clock()
                    if left <= 0:
                        return None
                    woken.wait(_seconds(min(answer, left)))
                    woken.clear()
                    stop.check()
        finally:
            self._forget(place)
        return answer

    async def aenter(self, within: float = math.inf) -> Pass | None:
        """Do as `enter` does, for an event loop."""
        woken = asyncio.Event()
        loop = asyncio.get_running_loop()
        place = _Place(lambda: loop.call_soon_threadsafe(woken.set))
        until = self._clock() + within
        try:
            while isinstance(answer := self._ask(place), float):
                left = until - self._clock()
                if left <= 0:
                    return None
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), _seconds(min(answer, left)))
                woken.clear()
        finally:
            self._forget(place)
        return answer

    def __repr__(self) -> str:
        state = "open" if self.open else "shut"
        return f"<Gate {state} · {self.under_way} under way · {self.waiting} waiting · limit {int(self.limit)}>"

    def _ask(self, place: _Place) -> Pass | float:
        """Let the caller in, or return for how many seconds it should wait before it asks again."""
        with self._lock:
            self._queue.setdefault(place)
            if next(iter(self._queue)) is not place:
                return math.inf
            probe = self._shut_until is not None
            if self._shut_until is not None:
                left = self._shut_until - self._clock()
                if self._probing or left > 0:
                    return math.inf if self._probing else left
                self._probing = True
            elif self.under_way >= max(1, int(self.limit)):
                return math.inf
            del self._queue[place]
            self.under_way += 1
            self._entered += 1
            self._wake()
            return Pass(self, self._entered, probe)

    def _answered(self) -> None:
        """Open, before the one that tried has ended: the endpoint is up."""
        with self._lock:
            self._probing = False
            self._reopen()
            self._wake()

    def _reopen(self) -> None:
        self._failed, self._shut_until, self._pause = 0, None, self._probe

    def _left(self, outcome: str, number: int, *, probe: bool) -> None:
        with self._lock:
            before, self.under_way = self.under_way, self.under_way - 1
            if probe:
                self._probing = False
            if outcome == "good":
                self._reopen()
                self.limit = min(self.limit + 1 / self.limit, self.most)
            elif outcome == "failed":
                self._failed += 1
                if probe or (self.open and self._failed >= self._patience):
                    self._shut_until = self._clock() + self._pause
                    self._pause = min(2 * self._pause, self._longest)
            elif outcome == "many":
                self._reopen()
                if number > self._lowered:
                    self._lowered = self._entered
                    self.limit = max(1.0, min(self.limit, before) * _LOWERED)
                else:  # sent before the limit fell: what the endpoint bears is at most what it has without this one
                    self.limit = max(1.0, min(self.limit, before - 1))
            self._wake()

    def _forget(self, place: _Place) -> None:
        """Take out of the queue whoever gave up, so that the others come forward."""
        with self._lock:
            if place in self._queue:
                del self._queue[place]
                self._wake()

    def _wake(self) -> None:
        for place in self._queue:
            with suppress(RuntimeError):  # its event loop is closed, and so it will be forgotten
                place.wake()
            break


class Pass:
    """The right to send one request, to be given back with what came of it."""

    __slots__ = ("_gate", "_number", "_probe")

    def __init__(self, gate: Gate, number: int, probe: bool) -> None:
        self._gate: Gate | None = gate
        self._number = number
        self._probe = probe

    def answered(self) -> None:
        """Tell that an answer has begun: whoever waits for the endpoint to be up need not wait for its end."""
        if self._gate is not None and self._probe:
            self._probe = False
            self._gate._answered()  # noqa: SLF001 — the two are one

    def leave(self, outcome: str) -> None:
        """Tell that the request is over: ``good``, ``failed`` (the endpoint is down), ``many`` (429), or ``other``."""
        gate, self._gate = self._gate, None
        if gate is not None:
            gate._left(outcome, self._number, probe=self._probe)  # noqa: SLF001 — as above

    def __del__(self) -> None:
        self.leave("other")  # whoever held it was interrupted before he could


class _Place:
    """A place in the queue."""

    __slots__ = ("wake",)

    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake = wake


def _seconds(pause: float) -> float | None:
    return None if pause == math.inf else pause


_gates: WeakValueDictionary[tuple[str, str], Gate] = WeakValueDictionary()  # as long as anybody uses them
_making = threading.Lock()


def gate(base_url: str, model: str, **settings: float) -> Gate:
    """Return the gate of a model at an endpoint, the same for everybody in this process who uses it."""
    with _making:
        found = _gates.get((base_url, model))
        if found is None:
            found = _gates[base_url, model] = Gate(**settings)  # type: ignore[arg-type] # ints and floats by name
        return found
