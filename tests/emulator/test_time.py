"""The emulated clock, and what it does to real time."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from dsnb.emulator import Answer, Emulator
from dsnb.emulator.clock import FIRST_TOKEN_SECONDS, TOKENS_PER_SECOND, Clock
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
    assert PATIENCE > took >= 0.05 * (FIRST_TOKEN_SECONDS + 100 / TOKENS_PER_SECOND)


def test_tokens_come_spread_over_their_time():
    with Emulator(engine=hundred, pace=0.05) as emulator, connect(emulator, body(stream=True)) as sock:
        began = time.perf_counter()
        until(sock, b'"content":"word"')
        first = time.perf_counter() - began
        until(sock, b"[DONE]")
        assert time.perf_counter() - began - first > 0.05


def test_pace_0_does_not_wait():
    with Emulator(engine=hundred, faults=["queue@500"]) as emulator:
        post(emulator)
        began = time.perf_counter()
        emulator.faults = ["queue@500", "think@500"]
        post(emulator, body(stream=True))
        post(emulator, body(stream=True))
        assert time.perf_counter() - began < PATIENCE  # a thousand emulated seconds
        assert (emulator.clock.now - emulator.clock.start).total_seconds() > 1000


def test_requests_at_once_do_not_add_up():
    with Emulator(engine=hundred, pace=0.02) as emulator:
        socks = [connect(emulator, body(stream=True)) for _ in range(4)]
        for sock in socks:
            until(sock, b"[DONE]")
            sock.close()
        one = FIRST_TOKEN_SECONDS + 100 / TOKENS_PER_SECOND
        assert (emulator.clock.now - emulator.clock.start).total_seconds() == pytest.approx(one, abs=one / 2)


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


def test_the_clock_says_where_it_is():
    clock = Clock(START, 0.5)
    timeline = clock.timeline()
    assert timeline.to(10) == pytest.approx(5, abs=0.1)
    timeline.end()
    assert repr(clock) == "Clock(2026-11-16 12:00:10 UTC, pace=0.5)"


def test_an_interrupted_timeline_ends_at_the_real_moment():
    clock = Clock(START, 0.01)
    timeline = clock.timeline()
    timeline.to(1000)
    time.sleep(0.01)
    timeline.interrupt()
    assert 1 <= timeline.seconds < 20
