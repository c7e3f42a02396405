"""The emulator's time: it starts at ``as_of`` and moves only by what requests take.

A request keeps a timeline of its own, so that what it takes does not depend on its neighbours; the shared clock
becomes the latest end. Used one request at a time, every instant is therefore reproducible.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

# Recorded streams of V4-Flash run at some tens of tokens a second and begin within the first second; no rate is
# published, so these two are round numbers of that size.
TOKENS_PER_SECOND = 50
FIRST_TOKEN_SECONDS = 0.3


class Clock:
    """Keep the emulated time; ``pace`` is real seconds per emulated second, 0 for no waiting."""

    def __init__(self, start: datetime, pace: float = 0.0) -> None:
        self.start = start
        self.pace = pace
        self._elapsed = 0.0

    def __repr__(self) -> str:
        return f"Clock({self.now:%Y-%m-%d %H:%M:%S} UTC, pace={self.pace:g})"

    @property
    def now(self) -> datetime:
        """Return the emulated instant."""
        return self.start + timedelta(seconds=self._elapsed)

    def timeline(self) -> Timeline:
        """Begin a request's own time."""
        return Timeline(self, self._elapsed)

    def advance(self, seconds: float) -> None:
        """Let emulated time pass between requests, and no real time; caches forget, and peak hours come and go."""
        self._elapsed += max(seconds, 0.0)

    def reach(self, elapsed: float) -> None:
        """Move on to ``elapsed`` seconds after the start, unless already past it."""
        self._elapsed = max(self._elapsed, elapsed)


class Timeline:
    """Count the emulated seconds of one request."""

    def __init__(self, clock: Clock, began: float) -> None:
        self._clock = clock
        self._began = began
        self._real = time.monotonic()
        self.began = clock.start + timedelta(seconds=began)
        self.seconds = 0.0

    def to(self, seconds: float) -> float:
        """Move on to ``seconds`` after the request began and return the real seconds still to wait for it."""
        self.seconds = max(self.seconds, seconds)
        if not self._clock.pace:
            return 0.0
        return self._real + self.seconds * self._clock.pace - time.monotonic()

    def spend(self, real: float) -> None:
        """Move on by real seconds that something outside took; at pace 0 they count as emulated ones."""
        self.seconds += real / (self._clock.pace or 1.0)

    @property
    def at(self) -> float:
        """Return the emulated seconds since the emulator's start."""
        return self._began + self.seconds

    def interrupt(self) -> None:
        """Stop where real time has got to: what was waited for did not come."""
        if self._clock.pace:
            self.seconds = min(self.seconds, (time.monotonic() - self._real) / self._clock.pace)

    def end(self) -> None:
        """Tell the shared clock how far this request got."""
        self._clock.reach(self.at)
