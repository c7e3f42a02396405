"""Balance, concurrency, prefix caches, and a ledger that agrees with what clients saw."""

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from dsnb.contract import cost
from dsnb.emulator import Answer, Emulator
from tests.emulator.talking import CLIENT, body, chunks, connect, get, post, until

LONG = "A sentence that is long enough to fill a unit of the cache. " * 60


def usage(response):
    found = (
        chunks(response)[-1] if response.headers["content-type"].startswith("text/event-stream") else response.json()
    )
    return found["usage"]


def test_the_ledger_equals_the_usage_that_clients_saw():
    with Emulator(seed=3) as emulator:
        seen = [
            usage(
                post(
                    emulator,
                    body(f"{LONG} {n % 4}", stream=n % 2 == 0, thinking={"type": "enabled"}, max_tokens=30 + 40 * n),
                )
            )
            for n in range(12)
        ]
        rows = emulator.ledger()
    assert [row.prompt_tokens for row in rows] == [one["prompt_tokens"] for one in seen]
    assert [row.cache_hit_tokens for row in rows] == [one["prompt_cache_hit_tokens"] for one in seen]
    assert [row.completion_tokens for row in rows] == [one["completion_tokens"] for one in seen]
    assert sum(row.cache_hit_tokens for row in rows) > 0
    for row, one in zip(rows, seen, strict=True):
        assert one["total_tokens"] == one["prompt_tokens"] + one["completion_tokens"]
        assert one["prompt_cache_hit_tokens"] + one["prompt_cache_miss_tokens"] == one["prompt_tokens"]
        assert one["prompt_tokens_details"]["cached_tokens"] == one["prompt_cache_hit_tokens"]
        price = emulator.contract.price("deepseek-flash")
        assert row.cost == cost(row.cache_hit_tokens, one["prompt_cache_miss_tokens"], row.completion_tokens, price)
    spent = sum((row.cost.usd for row in rows), Decimal(0))
    assert emulator.balance == Decimal("100.00") - spent


def test_the_ledger_has_the_id_that_the_client_saw_and_the_requests_their_bodies():
    with Emulator() as emulator:
        asked = body("one")
        reply = post(emulator, asked).json()
        wrong = body("two", temperature=9)
        post(emulator, wrong)
        assert [row.id for row in emulator.ledger()] == [reply["id"], None]
        assert [row.model for row in emulator.ledger()] == ["deepseek-flash", "deepseek-flash"]
        assert emulator.requests() == [asked, wrong]


def test_a_balance_that_runs_out():
    with Emulator(balance="0.000001") as emulator:
        assert get(emulator, "/user/balance").json()["is_available"] is True
        assert post(emulator).status_code == 200
        assert emulator.balance < 0
        found = post(emulator)
        assert found.status_code == 402
        assert found.content == (
            b'{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,'
            b'"code":"invalid_request_error"}}'
        )
        balance = get(emulator, "/user/balance").json()
        assert balance["is_available"] is False
        assert balance["balance_infos"][0]["total_balance"] == "-0.01"


@pytest.mark.parametrize(("balance", "shown"), [("7", "7.00"), (5, "5.00"), (Decimal("1.999"), "1.99"), (0.5, "0.50")])
def test_the_balance_is_shown_in_cents_rounded_down(balance, shown):
    with Emulator(balance=balance) as emulator:
        assert get(emulator, "/user/balance").json()["balance_infos"][0]["total_balance"] == shown


def test_more_requests_at_once_than_allowed():
    with Emulator(concurrency=2, faults=["stall@1", "stall@1"]) as emulator:
        held = [connect(emulator, body(stream=True)) for _ in range(2)]
        for sock in held:
            until(sock, b'"role"')
        found = post(emulator)
        assert found.status_code == 429
        assert found.json()["error"]["type"] == "rate_limit_error"
        assert (
            "current concurrency is 3, which exceeds your concurrency limit of 2 " in found.json()["error"]["message"]
        )
        for sock in held:
            sock.close()
        statuses = [post(emulator).status_code for _ in range(50)]
        assert statuses[-1] == 200


def test_without_a_limit_each_model_has_its_documented_ceiling():
    with Emulator() as emulator:
        account, contract = emulator._backend.account, emulator.contract
        assert account.limit(contract.model("deepseek-flash")) == 2500
        assert account.limit(contract.model("deepseek-v4-pro")) == 500


def test_many_at_once_are_all_answered_and_all_in_the_ledger():
    with Emulator() as emulator, ThreadPoolExecutor(16) as pool:
        statuses = list(
            pool.map(lambda n: post(emulator, body(f"number {n}", stream=n % 2 == 0)).status_code, range(64))
        )
        assert statuses == [200] * 64
        assert len({row.id for row in emulator.ledger()}) == 64


def hit(emulator, key="sk-a", **fields):
    found = CLIENT.post(
        f"{emulator.base_url}/chat/completions", json=body(LONG, **fields), headers={"authorization": f"Bearer {key}"}
    )
    return found.json()["usage"]["prompt_cache_hit_tokens"]


def test_prefix_caches_are_kept_apart_by_key_user_and_model():
    with Emulator() as emulator:
        assert hit(emulator) == 0
        warm = hit(emulator)
        assert warm > 0
        assert warm % 128 == 0
        assert hit(emulator, key="sk-b") == 0
        assert hit(emulator, user_id="ann") == 0
        assert hit(emulator, user_id="ben") == 0
        assert hit(emulator, model="deepseek-v4-pro") == 0
        assert [
            hit(emulator),
            hit(emulator, key="sk-b"),
            hit(emulator, user_id="ann"),
            hit(emulator, user_id="ben"),
        ] == [warm] * 4


def test_names_of_one_build_share_a_cache():
    with Emulator() as emulator:
        assert hit(emulator, model="deepseek-v4-flash") == 0
        assert hit(emulator, model="deepseek-flash") > 0


def test_a_dialogue_hits_the_end_of_its_last_reply():
    with Emulator(engine=lambda _: Answer("A reply of some length. " * 40)) as emulator:
        first = {"role": "user", "content": LONG}
        reply = post(emulator, body(messages=[first])).json()
        then = [
            first,
            {"role": "assistant", "content": reply["choices"][0]["message"]["content"]},
            {"role": "user", "content": "more"},
        ]
        found = post(emulator, body(messages=then)).json()["usage"]
    assert found["prompt_cache_hit_tokens"] == (reply["usage"]["total_tokens"]) // 128 * 128


def test_a_client_that_leaves_in_mid_stream_pays_for_what_was_generated():
    with Emulator(engine=lambda _: Answer("word " * 500), pace=1) as emulator:
        with connect(emulator, body(stream=True)) as sock:
            until(sock, b'"content":" word"')
        deadline = threading.Event()
        while not emulator.ledger():
            deadline.wait(0.002)
        row = emulator.ledger()[0]
    assert row.outcome == "aborted by client"
    assert row.billed
    assert 1 < row.completion_tokens < 100
    assert row.cost.usd > 0


def test_a_client_that_leaves_a_plain_reply_pays_as_well():
    with Emulator(engine=lambda _: Answer("word " * 500), pace=1) as emulator:
        with connect(emulator) as sock:
            sock.settimeout(0.6)
            with pytest.raises(TimeoutError):
                sock.recv(1)
        deadline = threading.Event()
        while not emulator.ledger():
            deadline.wait(0.002)
        row = emulator.ledger()[0]
    assert row.outcome == "aborted by client"
    assert 1 <= row.completion_tokens < 100


def test_a_client_that_leaves_the_queue_pays_nothing():
    with Emulator(faults=["queue@500"], pace=0.001) as emulator:
        with connect(emulator, body(stream=True)) as sock:
            until(sock, b": keep-alive")
        deadline = threading.Event()
        while not emulator.ledger():
            deadline.wait(0.002)
        assert [(row.outcome, row.billed, row.completion_tokens) for row in emulator.ledger()] == [
            ("aborted by client", False, 0)
        ]
