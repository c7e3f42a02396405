"""The referee: what naive clients are told, and that those who behave are told nothing."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import openai
import pytest

import dsnb
from dsnb.emulator import Emulator
from tests.emulator.talking import KEY, body, connect, post, until
from tests.once import QUICK
from tests.patience import PATIENCE


def rules(emulator):
    return {foul.rule: foul.count for foul in emulator.verdict().fouls}


def again(emulator, times, request=None):
    """Ask the same so many times, at once and whatever comes."""
    for _ in range(times):
        with suppress(httpx.TransportError):
            post(emulator, request)


def test_nothing_is_wrong_with_nothing_and_with_what_went_well():
    with Emulator() as emulator:
        assert repr(emulator.verdict()) == "<Verdict 0 requests · no fouls>"
        again(emulator, 20)
        assert str(emulator.verdict()) == "20 requests: nothing to object to."


@pytest.mark.parametrize("fault", [503, 429, "refuse", "cut@1"])
def test_the_same_again_and_again_is_a_storm(fault):
    with Emulator(faults={fault: 1.0}) as emulator:
        again(emulator, 8)
        assert rules(emulator) == {}
        again(emulator, 1)
        again(emulator, 3, body("something else"))
        assert rules(emulator) == {"storm": 1}
        assert "up to 9 times in a row" in str(emulator.verdict())
        assert repr(emulator.verdict()) == "<Verdict 12 requests · storm ×1>"


def test_nested_retries_are_a_storm():
    with Emulator(faults={503: 1.0}) as emulator:
        client = openai.OpenAI(base_url=emulator.base_url, api_key="any", max_retries=2)
        client._calculate_retry_timeout = lambda *_, **__: 0.001
        with client:
            for _ in range(5):
                with suppress(openai.APIStatusError):
                    client.chat.completions.create(model="deepseek-flash", messages=body()["messages"])
        assert rules(emulator) == {"storm": 1}
        assert "15 times" in str(emulator.verdict())


def test_many_callers_with_questions_of_their_own_are_no_storm():
    with Emulator(faults=[503] * 30) as emulator:
        with ThreadPoolExecutor(20) as pool:
            pool.map(lambda n: again(emulator, 3, body(f"{n}: hello")), range(20))
        assert emulator.verdict().requests == 60
        assert rules(emulator) == {}


def test_success_ends_what_came_before_it():
    with Emulator(faults=[503, 503, 503, "ok"] * 5) as emulator:
        again(emulator, 20)
        assert rules(emulator) == {}


def test_whoever_comes_before_the_time_that_was_named():
    with Emulator(faults=["503@5", "429@1", "ok"]) as emulator:
        again(emulator, 3)
        assert rules(emulator) == {"retry_after": 2}
        assert "named 1 s" in str(emulator.verdict()) or "named 5 s" in str(emulator.verdict())


def test_retry_after_counts_in_emulated_seconds():
    with Emulator(faults=["503@5"], pace=0.001) as emulator:
        again(emulator, 1)
        time.sleep(0.006)
        again(emulator, 1)
        assert rules(emulator) == {}
        emulator.faults = ["503@1000"]
        again(emulator, 2, body("in a hurry"))
        assert rules(emulator) == {"retry_after": 1}


def test_another_question_need_not_wait():
    with Emulator(faults=["503@5"]) as emulator:
        again(emulator, 1)
        again(emulator, 1, body("something else"))
        assert rules(emulator) == {}


@pytest.mark.parametrize("status", [400, 401, 402])
def test_what_cannot_succeed_is_not_sent_again(status):
    with Emulator(faults=[status, "ok"]) as emulator:
        again(emulator, 1)
        assert rules(emulator) == {}
        again(emulator, 1)
        assert rules(emulator) == {"final": 1}
        assert f"({status})" in str(emulator.verdict())


def test_what_the_api_itself_refuses_counts_too():
    with Emulator(keys=["sk-right"]) as emulator:
        for _ in range(2):
            assert post(emulator).status_code == 401
        assert rules(emulator) == {"final": 1}
    with Emulator() as emulator:
        for _ in range(3):
            assert post(emulator, body(temperature=9)).status_code == 400
        assert rules(emulator) == {"final": 2}
    with Emulator(balance=0) as emulator:
        for _ in range(2):
            assert post(emulator).status_code == 402
        assert rules(emulator) == {"final": 1}
        assert httpx.get(f"{emulator.base_url}/models", headers=KEY).status_code == 200


def test_a_reply_that_is_left_in_the_middle():
    with Emulator(faults={"think@100": 1.0}, pace=0.05) as emulator:
        with connect(emulator, body(stream=True, thinking={"type": "enabled"})) as sock:
            until(sock, b"reasoning_content")
        deadline = time.monotonic() + PATIENCE
        while not emulator.ledger() and time.monotonic() < deadline:
            time.sleep(0.001)
        assert rules(emulator) == {"abandoned": 1}
        assert "in the middle of a reply once" in str(emulator.verdict())


def test_a_stall_is_not_the_clients_doing():
    with Emulator(faults=["stall@2"]) as emulator:
        with connect(emulator, body(stream=True)) as sock:
            until(sock, b"content")
        assert rules(emulator) == {}


def test_more_at_once_than_is_allowed_and_again():
    begun = threading.Barrier(2)

    def slow(_request):
        begun.wait(PATIENCE)
        begun.wait(PATIENCE)
        return "done"

    with Emulator(engine=slow, concurrency=1) as emulator, ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, emulator, body("first"))
        begun.wait(PATIENCE)
        again(emulator, 3)
        assert rules(emulator) == {}
        again(emulator, 1)
        begun.wait(PATIENCE)
        assert first.result().status_code == 200
        assert rules(emulator) == {"concurrency": 3}
        assert "than the 1 allowed" in str(emulator.verdict())


@pytest.mark.parametrize("fault", [503, "refuse", 401, 402, "cut@9", "empty", "malformed@3"])
@pytest.mark.parametrize("stream", [True, False])
def test_dsnb_does_nothing_of_that(fault, stream):
    with Emulator(faults={fault: 1.0}) as emulator, dsnb.connect(emulator.base_url, quiet=True, retry=QUICK) as ds:
        with suppress(dsnb.errors.DsnbError):
            ds.ask("hello", stream=stream)
        assert emulator.verdict().fouls == ()
        assert emulator.verdict().requests > 0


def test_dsnb_waits_for_as_long_as_it_is_told():
    retry = dsnb.Retry(first=0.001, longest=0.002, sleep=lambda seconds: time.sleep(seconds * 0.001))
    with (
        Emulator(faults=["503@9", "429@5", "ok"], pace=0.001) as emulator,
        dsnb.connect(emulator.base_url, quiet=True, retry=retry) as ds,
    ):
        assert ds.ask("hello").outcome == "stop"
        assert emulator.verdict().fouls == ()


@pytest.mark.slow
def test_dsnb_lowers_its_own_concurrency():
    with (
        Emulator(concurrency=4, faults={"think@10": 1.0}, pace=0.001) as emulator,
        dsnb.connect(emulator.base_url, quiet=True, retry=dsnb.Retry(attempts=50, first=0.001, longest=0.01)) as ds,
        ThreadPoolExecutor(24) as pool,
    ):
        replies = list(pool.map(lambda n: ds.ask(f"{n}: hello", render=None), range(96)))
        assert {reply.outcome for reply in replies} == {"stop"}
        assert 429 in {row.status for row in emulator.ledger()}
        assert emulator.verdict().fouls == ()


def test_no_text_of_a_request_is_kept_by_the_referee():
    with Emulator() as emulator:
        post(emulator, body("a secret"))
        assert "secret" not in json.dumps([repr(visit) for visit in emulator._backend.referee._visits])
