"""The limits that a transport's own timeouts cannot hold: no new token, and the whole turn.

Closing a response from another thread does not wake a reader that is blocked in the kernel; shutting its socket down
does, for threads and event loops alike. So one daemon thread watches every open turn of the process and shuts down
the sockets of those that ran out of time.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Watch:
    """Follow one turn: when it last made progress, and when it has to be over.

    All times are seconds of ``time.monotonic``. ``fired`` says which limit ended the turn: ``"stall"``,
    ``"deadline"``, ``"stop"`` (somebody asked for it), or None.
    """

    __slots__ = ("_cut", "_lock", "_waited", "_waiting_since", "deadline_at", "fired", "stall")

    def __init__(self, *, stall: float | None, deadline: float | None) -> None:
        self.deadline_at = math.inf if deadline is None else time.monotonic() + deadline
        self.stall = math.inf if stall is None else stall
        self.fired: str | None = None
        self._waiting_since: float | None = time.monotonic()
        self._waited = 0.0
        self._cut: Callable[[], None] | None = None
        self._lock = threading.Lock()

    @property
    def remaining(self) -> float:
        """Seconds until the deadline; ``inf`` without one."""
        return self.deadline_at - time.monotonic()

    def pause(self) -> None:
        """Stop counting towards a stall while the caller holds what has arrived."""
        if self._waiting_since is not None:
            self._waited = time.monotonic() - self._waiting_since
            self._waiting_since = None

    def resume(self, *, progress: bool) -> None:
        """Count towards a stall again: from zero after progress, else from where the count stood."""
        now = time.monotonic()
        self._waiting_since = now if progress else now - self._waited

    def expires(self, now: float) -> float:
        """Return the instant at which this turn is to be looked at again."""
        since = self._waiting_since
        return min(self.deadline_at, (now if since is None else since) + self.stall)

    def overdue(self, now: float) -> str | None:
        """Return the limit that has passed, if one has."""
        if now >= self.deadline_at:
            return "deadline"
        since = self._waiting_since
        return "stall" if since is not None and now >= since + self.stall else None

    def fire(self, reason: str) -> None:
        """End the turn for this reason; the first reason stands."""
        with self._lock:
            if self.fired is not None:
                return
            self.fired = reason
            if self._cut is not None:
                self._cut()  # under the lock: once `attach` has taken it away, the socket may be another turn's

    def attach(self, cut: Callable[[], None] | None) -> None:
        """Name what wakes a blocked reader; a limit that has already fired cuts at once."""
        with self._lock:
            self._cut = cut
            if self.fired is not None and cut is not None:
                cut()


class Watchdog:
    """Look after every open turn of this process from one daemon thread, started with the first of them."""

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextmanager
    def guard(self, watch: Watch, cut: Callable[[], None]) -> Iterator[None]:
        """Hold ``watch`` to its limits for as long as the block runs; ``cut`` ends a blocked read."""
        watch.attach(cut)
        with self._changed:
            self._watches.add(watch)
            if self._thread is None or not self._thread.is_alive():  # a fork leaves the thread behind
                self._thread = threading.Thread(target=self._run, name="dsnb-watchdog", daemon=True)
                self._thread.start()
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._watches.discard(watch)
            watch.attach(None)

    def _run(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                late = [(watch, reason) for watch in self._watches if (reason := watch.overdue(now))]
                self._watches.difference_update(watch for watch, _ in late)
                if not late:
                    soonest = min((watch.expires(now) for watch in self._watches), default=math.inf)
                    # a wait of more than threading.TIMEOUT_MAX is an error; an hour is as good as for ever
                    self._changed.wait(min(max(soonest - now, 0.0), 3600.0))
            for watch, reason in late:
                watch.fire(reason)


watchdog = Watchdog()
