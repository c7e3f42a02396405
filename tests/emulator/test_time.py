"""The emulated clock, and what it does to real time."""

import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest

from dsnb.emulator import Answer, Emulator
from dsnb.emulator.clock import FIRST_TOKEN_SECONDS, TOKENS_PER_SECOND, Clock
from dsnb.emulator.connection import Connection
from tests.emulator.talking import body, chunks, connect, post, until
from tests.patience import PATIENCE

START = datetime(2026, 11, 16, 12, tzinfo=UTC)


def hundred(request):
    return Answer(" ".join(["word"] * 100))


def test_created_is_the_emulated_second_in_which_the_request_came():
    with Emulator("2026-11-16T12:00:00Z", engine=hundred) as emulator:
        created = [post(emulator).json()["created"] for _ in range(3)]
        took = FIRST_TOKEN_SECONDS + 100 / TOKENS_PER_SECOND
        assert created == [int(START.timestamp() + n * took) for n in range(3)]
        assert emulator.clock.now == START + timedelta(seconds=3 * took)
        stream = chunks(post(emulator, body(stream=True)))
        assert {chunk["created"] for chunk in stream} == {int(START.timestamp() + 3 * took)}


def test_an_idle_clock_and_rejected_requests_take_no_time():
    with Emulator(faults=[503]) as emulator:
        post(emulator)
        post(emulator, body(temperature=9))
        time.sleep(0.01)
        assert emulator.clock.now == emulator.clock.start


@pytest.mark.parametrize("stream", [False, True])
def test_pace_is_real_seconds_per_emulated_second(stream):
    with Emulator(engine=hundred, pace=0.05) as emulator:
        began = time.perf_counter()
        post(emulator, body(stream=stream))
        took = time.perf_counter() - began
    assert took >= 0.05 * (FIRST_TOKEN_SECONDS + 100 / TOKENS_PER_SECOND)


def test_tokens_come_spread_over_their_time(monkeypatch):
    waits = []

    async def pause(_connection, seconds):
        waits.append(seconds)
        return True

    monkeypatch.setattr(Connection, "pause", pause)
    slow = 1e6  # beside which the real time that this takes is nothing
    with Emulator(engine=hundred, pace=slow) as emulator:
        post(emulator, body(stream=True))
    steps = [(later - earlier) / slow for earlier, later in pairwise(waits)]
    assert steps[:100] == pytest.approx([1 / TOKENS_PER_SECOND] * 100, rel=0.1)


def test_pace_0_does_not_wait():
    with Emulator(engine=hundred, faults=["queue@500"]) as emulator:
        post(emulator)
        emulator.faults = ["queue@500", "think@500"]
        post(emulator, body(stream=True))
        post(emulator, body(stream=True))
        assert (emulator.clock.now - emulator.clock.start).total_seconds() > 1000


def test_requests_at_once_do_not_add_up():
    together = threading.Barrier(4)

    def meet(request):
        together.wait(PATIENCE)
        return hundred(request)

    with Emulator(engine=meet) as emulator:
        socks = [connect(emulator, body(stream=True)) for _ in range(4)]
        for sock in socks:
            until(sock, b"[DONE]")
            sock.close()
        one = FIRST_TOKEN_SECONDS + 100 / TOKENS_PER_SECOND
        assert (emulator.clock.now - emulator.clock.start).total_seconds() == pytest.approx(one)


def test_the_price_is_that_of_the_emulated_moment():
    # 05:59:30 UTC on a Monday is off-peak, 06:00 begins the afternoon's peak at twice the price.
    with Emulator("2026-11-16T05:59:30Z", engine=hundred, faults=["queue@90"]) as emulator:
        post(emulator)
        post(emulator)
        calm, peak = emulator.ledger()
    assert calm.prompt_tokens == peak.prompt_tokens
    assert peak.cost.price.peak
    assert not calm.cost.price.peak
    assert peak.cost.usd == 2 * calm.cost.usd


@pytest.fixture
def real(monkeypatch):
    """Hold the real time, so that a test can move it."""
    real = SimpleNamespace(now=100.0)
    monkeypatch.setattr("dsnb.emulator.clock.time", SimpleNamespace(monotonic=lambda: real.now))
    return real


def test_the_clock_says_where_it_is(real):
    clock = Clock(START, 0.5)
    timeline = clock.timeline()
    real.now += 1
    assert timeline.to(10) == 4
    timeline.end()
    assert repr(clock) == "Clock(2026-11-16 12:00:10 UTC, pace=0.5)"


def test_an_interrupted_timeline_ends_at_the_real_moment(real):
    clock = Clock(START, 0.01)
    timeline = clock.timeline()
    timeline.to(1000)
    real.now += 0.02
    timeline.interrupt()
    assert timeline.seconds == pytest.approx(2)
