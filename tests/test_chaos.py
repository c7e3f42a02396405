"""Much at once, and much of it going wrong: small versions of what `make bench` does by the thousand."""

import asyncio
import time
from collections import Counter

import pytest

import dsnb
from tests.bench import chaos, interruptions
from tests.once import QUICK
from tests.patience import PATIENCE

TURNS = 120


def asked(way, emulator, **options):
    """Ask all turns in one of the two ways; return what came of them, and the session."""
    ds = dsnb.connect(emulator.base_url, quiet=True, usage=dsnb.UsageLog(), **options)
    made = chaos.cases(TURNS)
    if way == "threads":
        books = chaos.by_threads(ds, made, callers=16)
        ds.close()
    else:

        async def asking():
            async with ds:
                return await chaos.by_tasks(ds, made, callers=16)

        books = asyncio.run(asking())
    return made, books, ds


@pytest.fixture(scope="module")
def whole():
    """What the turns come to where nothing goes wrong."""
    with dsnb.Emulator(engine=chaos.story) as emulator:
        _, books, _ = asked("tasks", emulator)
    assert len(books.replies) == TURNS
    assert not books.wrong
    return books


@pytest.mark.parametrize("way", ["threads", "tasks"])
@pytest.mark.slow
def test_every_turn_ends_right_or_with_a_typed_error_and_the_books_agree(way, whole):
    with dsnb.Emulator(engine=chaos.story, faults=chaos.FAULTS, seed=3) as emulator:
        made, books, ds = asked(way, emulator, retry=chaos.RETRY, timeouts=dsnb.Timeouts(read=3, stall=0.3))
        assert chaos.judge(made, whole, books) == []
        assert chaos.reconcile(ds.usage, emulator.ledger(), emulator.requests()) == []
        assert len(books.replies) > 0.9 * TURNS
        assert any(reply.seams for reply in books.replies.values())  # ten or so, as it falls out
        assert set(Counter(row.status for row in emulator.ledger())) >= {200, 429, 503, None}
        assert (ds.gate().under_way, ds.gate().waiting) == (0, 0)
        assert emulator.verdict().fouls == ()


@pytest.mark.parametrize("kind", interruptions.KINDS)
def test_whoever_is_interrupted_leaves_nothing_behind(kind):
    outcomes, wrong = interruptions.interrupted(kind, times=20)
    assert wrong == []
    assert outcomes["interrupted"] > 10


@pytest.mark.parametrize("fault", [503, "refuse"])
@pytest.mark.parametrize("way", ["threads", "tasks"])
@pytest.mark.slow
def test_while_an_endpoint_is_down_hardly_anything_is_sent(way, fault):
    callers, down = 40, {fault: 1.0}
    retry = dsnb.Retry(first=0.001, longest=0.02, probe=0.05, longest_probe=0.5, attempts=20)
    with (
        dsnb.Emulator(faults=down) as emulator,
        dsnb.connect(emulator.base_url, quiet=True, retry=retry) as ds,
    ):
        sent = []

        def up_again():
            sent.append(len(emulator.ledger()))
            emulator.faults = None

        async def everybody():
            asking = asyncio.gather(*(ds.aask(f"{n}: hello", render=None) for n in range(callers)))
            while ds.gate().open or len(emulator.ledger()) < callers:
                await asyncio.sleep(0.001)
            up_again()
            replies = await asking
            await ds.aclose()
            return replies

        if way == "tasks":
            replies = asyncio.run(everybody())
        else:
            with chaos.ThreadPoolExecutor(callers) as pool:
                asking = [pool.submit(ds.ask, f"{n}: hello", render=None) for n in range(callers)]
                while ds.gate().open:
                    time.sleep(0.001)
                up_again()
                replies = [each.result(PATIENCE) for each in asking]
        assert [reply.outcome for reply in replies] == ["stop"] * callers
        assert sent[0] <= 1.5 * callers
        assert emulator.verdict().fouls == ()


@pytest.mark.slow
def test_five_hundred_streams_at_once():
    number = 500

    async def everybody(url):
        async with dsnb.connect(url, quiet=True, retry=QUICK) as ds:
            arrived = asyncio.Event()

            async def one(place):
                async for event in ds.astream(f"Question {place}", thinking=False):
                    if ds.gate().under_way == number:
                        arrived.set()
                    if event.type == "answer":  # nobody goes on before all have begun
                        await asyncio.wait_for(arrived.wait(), PATIENCE)
                return event.reply.outcome

            return await asyncio.gather(*map(one, range(number)))

    with dsnb.Emulator(engine="echo") as emulator:
        assert asyncio.run(everybody(emulator.base_url)) == ["stop"] * number
