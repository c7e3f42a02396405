import asyncio
import threading

import pytest

from dsnb.client.gate import Gate, gate
from tests.patience import PATIENCE


class Clock:
    """A clock that goes only when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def shut(gate):
    """Let as many requests fail as it takes."""
    while gate.open:
        gate.enter(0).leave("failed")


def test_as_many_pass_as_the_limit_says_and_then_one_for_each_that_leaves():
    gate = Gate(limit=3)
    passes = [gate.enter(0) for _ in range(3)]
    assert all(passes)
    assert gate.enter(0) is None
    passes[0].leave("good")
    passes.append(gate.enter(0))
    assert gate.under_way == 3
    passes[1].leave("other")
    passes[1].leave("other")  # once is enough
    assert gate.under_way == 2


def test_failures_in_a_row_shut_the_gate_and_one_caller_at_a_time_tries(clock):
    gate = Gate(failures=10, probe=1.0, clock=clock)
    for _ in range(9):
        gate.enter(0).leave("failed")
    gate.enter(0).leave("good")
    for _ in range(9):
        gate.enter(0).leave("failed")
    assert gate.open, "not ten in a row"
    gate.enter(0).leave("failed")
    assert not gate.open
    assert gate.enter(0) is None
    clock.now += 1.0
    probe = gate.enter(0)
    assert probe
    assert gate.enter(0) is None, "one at a time"
    probe.leave("failed")
    clock.now += 1.9
    assert gate.enter(0) is None, "the second pause is twice as long"
    clock.now += 0.1
    gate.enter(0).leave("good")
    assert gate.open
    assert all(gate.enter(0) for _ in range(20))


def test_pauses_grow_to_the_longest(clock):
    gate = Gate(failures=1, probe=1.0, longest=5.0, clock=clock)
    shut(gate)
    for pause in (1.0, 2.0, 4.0, 5.0, 5.0):
        clock.now += pause - 0.01
        assert gate.enter(0) is None
        clock.now += 0.01
        gate.enter(0).leave("failed")


def test_a_request_that_was_under_way_is_no_probe(clock):
    gate = Gate(failures=2, probe=1.0, clock=clock)
    early, late = gate.enter(0), gate.enter(0)
    shut(gate)
    clock.now += 1.0
    probe = gate.enter(0)
    early.leave("failed")
    assert gate.enter(0) is None, "the probe is still on its way"
    late.leave("good")
    assert gate.open, "the endpoint is up, whoever found out"
    probe.leave("other")


def test_a_probe_that_was_given_up_makes_way_for_the_next(clock):
    gate = Gate(failures=1, probe=1.0, clock=clock)
    shut(gate)
    clock.now += 1.0
    gate.enter(0).leave("other")
    assert not gate.open
    assert gate.enter(0)


def test_too_many_requests_lower_the_limit_until_it_clears():
    gate = Gate(limit=1000)
    passes = [gate.enter(0) for _ in range(50)]
    passes.pop().leave("many")
    assert gate.limit == 35.0
    assert gate.enter(0) is None
    for each in passes[:20]:
        each.leave("good")
    assert 35 < gate.limit < 36.5
    for each in passes[20:]:
        each.leave("other")
    for _ in range(20):
        gate.enter(0).leave("many")
    assert gate.limit == 1
    for _ in range(2000):
        gate.enter(0).leave("good")
    assert gate.limit > 40


def test_those_turned_away_together_lower_the_limit_to_what_was_borne():
    gate = Gate(limit=1000)
    passes = [gate.enter(0) for _ in range(64)]
    for each in passes[10:]:  # the endpoint took ten
        each.leave("many")
    assert gate.limit == 10
    assert gate.enter(0) is None
    passes[0].leave("good")
    assert 10 < gate.limit < 11
    gate.enter(0).leave("many")
    assert gate.limit == 7, "this one was sent when the limit was known"


def test_an_answer_that_has_begun_lets_the_others_in(clock):
    gate = Gate(failures=1, probe=1.0, clock=clock)
    shut(gate)
    clock.now += 1.0
    probe = gate.enter(0)
    assert gate.enter(0) is None
    probe.answered()
    other = gate.enter(0)
    assert other
    assert gate.open
    probe.leave("failed")  # broken later: one failure like any other
    assert not gate.open
    other.leave("good")
    assert gate.under_way == 0


def test_a_probe_that_is_told_to_come_later_has_found_the_endpoint_up(clock):
    gate = Gate(failures=1, probe=1.0, clock=clock)
    shut(gate)
    clock.now += 1.0
    gate.enter(0).leave("many")
    assert gate.open


def test_a_pass_that_is_lost_is_given_back():
    gate = Gate(limit=1)
    lost = gate.enter(0)
    assert gate.enter(0) is None
    del lost
    assert gate.under_way == 0


def test_threads_and_tasks_wait_at_the_same_gate_in_order():
    gate = Gate(limit=1)
    first = gate.enter(0)
    order = []

    def threaded(name):
        with_pass = gate.enter(PATIENCE)
        order.append(name)
        with_pass.leave("good")

    async def task(name):
        with_pass = await gate.aenter(PATIENCE)
        order.append(name)
        with_pass.leave("good")

    async def loop():
        tasks = []
        for number in range(5):
            tasks.append(asyncio.create_task(task(f"task {number}")))
            while gate.waiting < 2 * number + 1:
                await asyncio.sleep(0)
            thread = threading.Thread(target=threaded, args=(f"thread {number}",))
            thread.start()
            tasks.append(asyncio.to_thread(thread.join))
            while gate.waiting < 2 * number + 2:
                await asyncio.sleep(0)
        first.leave("good")
        await asyncio.gather(*tasks)

    asyncio.run(loop())
    assert order == [name for number in range(5) for name in (f"task {number}", f"thread {number}")]
    assert gate.under_way == gate.waiting == 0


def test_whoever_gives_up_makes_room_in_the_queue():
    gate = Gate(limit=1)
    first = gate.enter(0)

    async def loop():
        impatient = asyncio.create_task(gate.aenter(PATIENCE))
        patient = asyncio.create_task(gate.aenter(PATIENCE))
        while gate.waiting < 2:
            await asyncio.sleep(0)
        impatient.cancel()
        first.leave("good")
        (await patient).leave("good")

    asyncio.run(loop())
    assert gate.under_way == gate.waiting == 0


def test_waiting_ends_in_time():
    gate = Gate(failures=1, probe=1000)
    shut(gate)
    assert gate.enter(0.01) is None
    assert asyncio.run(gate.aenter(0.01)) is None
    assert gate.waiting == 0


def test_a_thousand_waiters_all_come_through():
    gate = Gate(limit=7)
    most = 0

    async def one():
        nonlocal most
        passed = await gate.aenter(PATIENCE)
        most = max(most, gate.under_way)
        await asyncio.sleep(0)
        passed.leave("good")

    async def everybody():
        await asyncio.gather(*(one() for _ in range(1000)))

    asyncio.run(everybody())
    assert most == 7
    assert gate.under_way == gate.waiting == 0


def test_everybody_shares_the_gate_of_a_model_and_nobody_keeps_it():
    one, other = gate("http://a", "m"), gate("http://a", "n")
    assert gate("http://a", "m") is one
    assert other is not one
    one.limit = 5
    del one
    assert gate("http://a", "m").limit > 5
