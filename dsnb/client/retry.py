"""When a request is sent again, where, and after how long. One budget for a turn; the SDK's own retries are off.

| what came                                                | the same endpoint again | the next one of the chain |
|----------------------------------------------------------|-------------------------|---------------------------|
| no connection, 408, 5xx, an error inside the stream       | yes                     | yes                       |
| 429: too many requests                                    | yes, and fewer at once  | yes                       |
| a reply that is malformed or empty                        | yes                     | yes                       |
| a stream that was cut or stalls                           | yes, or goes on         | yes, or goes on           |
| 402: no money left                                        | no                      | yes                       |
| 400, 401, 403, 404, 405, 413, 415, 422, the turn's limits | no                      | no: the cause is here     |
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from tenacity import RetryCallState, Retrying, stop_after_attempt, stop_after_delay
from tenacity.wait import wait_base

from dsnb.client.exchange import Exchange
from dsnb.client.gate import FAILURES, LONGEST, PROBE
from dsnb.errors import (
    ApiError,
    ConfigurationError,
    ConnectionFailed,
    InsufficientBalance,
    MalformedReply,
    ServerFailed,
    TooManyRequests,
)

GOOD: Final = "good"
AGAIN: Final = "again"
ELSEWHERE: Final = "elsewhere"
FINAL: Final = "final"


@dataclass(frozen=True, slots=True)
class Retry:
    """Say how much is done for a turn that fails. All times are in seconds.

    ``attempts`` requests at most, the first one included, within ``seconds``. Between two of them is a random pause
    from ``first`` up to three times the one before (decorrelated jitter), ``longest`` at most; a ``Retry-After`` of
    up to ``obeyed`` is waited for instead. After ``elsewhere`` failures of one endpoint the next of the chain is
    asked. An answer that was cut is gone on with ``resumes`` times. After ``failures`` in a row, of all callers
    together, an endpoint counts as down: callers wait, and one of them tries after ``probe``.

    >>> dsnb.connect(retry=dsnb.Retry(attempts=1))         # every failure is told at once
    >>> dsnb.Retry(first=0.001, longest=0.01, probe=0.01)  # scaled down, for tests against an emulator
    """

    attempts: int = 6
    seconds: float = 900.0
    first: float = 0.5  # what DeepSeek's own harness begins with (2026-08)
    longest: float = 20.0
    obeyed: float = 120.0
    elsewhere: int = 2
    resumes: int = 5
    failures: int = FAILURES
    probe: float = PROBE
    longest_probe: float = LONGEST
    sleep: Callable[[float], None] | None = field(default=None, repr=False)  # None: such that a stop ends the pause
    asleep: Callable[[float], Coroutine[Any, Any, None]] = field(default=asyncio.sleep, repr=False)

    def __post_init__(self) -> None:
        for name in ("attempts", "elsewhere", "failures"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ConfigurationError(f"Retry({name}={getattr(self, name)!r}): give a whole number from 1 up.")
        for name in ("seconds", "first", "longest", "obeyed", "probe", "longest_probe", "resumes"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
                raise ConfigurationError(f"Retry({name}={value!r}): give a number from 0 up.")


class Patience:
    """Hold what is left of a turn's retries."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._stop = stop_after_attempt(retry.attempts) | stop_after_delay(retry.seconds)
        self._wait = _DecorrelatedJitter(retry.first, retry.longest)
        self._state = RetryCallState(Retrying(), None, (), {})

    @property
    def attempts(self) -> int:
        """The number of the attempt that is under way, from 1."""
        return self._state.attempt_number

    def pause(self, exchange: Exchange) -> float | None:
        """Return for how many seconds to wait before the next attempt; None where there is to be none."""
        state = self._state
        state.set_result(None)
        if self._stop(state):
            return None
        pause = self._wait(state)
        asked = exchange.error.retry_after if isinstance(exchange.error, ApiError) else None
        if asked is not None:
            if asked > self._retry.obeyed:
                return None
            pause = asked
        if pause >= exchange.watch.remaining:
            return None  # better to tell now than at the deadline
        state.prepare_for_next_attempt()
        return pause


def verdict(exchange: Exchange) -> str:
    """Return what an attempt calls for: it is ``good``, ``final``, or asks for another (``again``, ``elsewhere``)."""
    error, outcome = exchange.error, exchange.reply.outcome
    if error is None:
        return AGAIN if outcome in {"truncated", "stalled", "empty"} else FINAL if outcome == "interrupted" else GOOD
    if isinstance(error, ConnectionFailed | ServerFailed | TooManyRequests | MalformedReply):
        return AGAIN
    return ELSEWHERE if isinstance(error, InsufficientBalance) else FINAL


def health(exchange: Exchange) -> str:
    """Return what an attempt says about its endpoint: ``good``, ``failed``, ``many`` (429), or ``other``."""
    error = exchange.error
    if isinstance(error, TooManyRequests):
        return "many"
    if isinstance(error, ConnectionFailed) or (isinstance(error, ServerFailed) and error.status is not None):
        return "failed"
    return "good" if exchange.status is not None else "other"


class _DecorrelatedJitter(wait_base):
    """Wait at random between a least pause and three times the last one, or the longest.

    After M. Brooker, 'Exponential Backoff and Jitter' (AWS, 2015), but random at the limit as well; tenacity has none
    of this kind.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._last = first

    def __call__(self, retry_state: RetryCallState) -> float:
        most = min(self._longest, 3 * self._last)
        self._last = random.uniform(min(self._first, most), most)  # noqa: S311 — a pause is no secret
        return self._last
