"""What a session writes into its ledger: a row a turn, a row an attempt, whatever comes of it."""

import sqlite3
import threading
from contextlib import suppress

import pandas as pd
import pytest

import dsnb
from dsnb import errors
from tests.once import ONCE
from tests.test_connection import KEY, parts


@pytest.fixture
def ds(emulator):
    with dsnb.connect(emulator.base_url, retry=ONCE, quiet=True) as ds:
        yield ds


def test_the_ledger_and_the_emulator_agree_row_for_row(ds, emulator):
    emulator.faults = ["ok", 503, "ok", 429, "cut@20", "ok", 402]
    for stream in [True, True, False, True, True, True, True]:
        with suppress(errors.ApiError):
            ds.ask("hello", stream=stream)
    billed = emulator.ledger()
    attempts, turns = ds.usage.frame("attempts"), ds.usage.frame()
    assert list(attempts.status) == [row.status for row in billed]
    for mine, theirs in zip(attempts.itertuples(), billed, strict=True):
        if theirs.outcome == "stop":
            assert mine.prompt_tokens == theirs.prompt_tokens
            assert mine.completion_tokens == theirs.completion_tokens
            assert mine.cost_usd == pytest.approx(float(theirs.cost.usd))
        else:
            assert pd.isna(mine.prompt_tokens)
    assert list(turns.outcome) == ["stop", "interrupted", "stop", "interrupted", "truncated", "stop", "interrupted"]
    assert list(turns.error.dropna()) == ["ServerFailed", "TooManyRequests", "InsufficientBalance"]
    assert set(turns.source) == {"emulator"}
    cost = ds.usage.cost()
    assert cost == sum(row.cost.usd for row in billed if row.outcome == "stop")
    assert (cost.attempts, cost.unknown) == (7, 1)


def test_a_turn_says_how_it_was_asked(ds):
    ds.ask("hello", thinking=False)
    ds.ask("hello", effort="max")
    ds.ask("hello again", stream=False)
    frame = ds.usage.frame()
    assert list(frame.thinking) == [False, True, True]
    assert list(frame.effort.fillna("")) == ["", "max", "high"]
    assert list(frame.streamed) == [True, True, False]
    assert list(frame.messages) == [1, 1, 1]
    assert frame.prompt_hash[0] == frame.prompt_hash[1] != frame.prompt_hash[2]


def test_runs_name_what_is_logged_inside(ds):
    ds.ask("before")
    with ds.run("outer"):
        ds.ask("one")
        with ds.run("inner"):
            ds.ask("two")
        ds.ask("three")
    assert list(ds.usage.frame().run.fillna("")) == ["", "outer", "inner", "outer"]
    summary = ds.usage.summary(by="run").fillna({"run": ""}).set_index("run")
    assert dict(summary.turns) == {"": 1, "outer": 2, "inner": 1}


def test_a_turn_that_is_not_sent_is_no_turn(ds):
    with pytest.raises(errors.RequestRejected):
        ds.ask("hello", temperature=9)
    assert len(ds.usage.frame()) == 0


def test_a_stream_that_is_given_up_is_logged_as_interrupted():
    with dsnb.Emulator(pace=0.5) as emulator, dsnb.connect(emulator.base_url, quiet=True) as ds:
        events = ds.stream("hello")
        next(events)
        events.close()
        assert list(ds.usage.frame().outcome) == ["interrupted"]
        assert len(ds.usage.frame("attempts")) == 1


def test_texts_and_keys_are_in_no_ledger(emulator, tmp_path):
    path = tmp_path / "usage.sqlite"
    with dsnb.connect(emulator.base_url, KEY, usage=path, quiet=True) as ds:
        reply = ds.ask("a secret question")
        emulator.faults = [401]
        with pytest.raises(errors.AuthenticationFailed):
            ds.ask("another secret")
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"secret" not in kept
    assert reply.answer[:20].encode() not in kept
    assert not [part for part in parts(KEY) if part.encode() in kept]


def test_the_path_of_the_ledger(tmp_path, monkeypatch):
    with dsnb.connect(quiet=True) as ds:
        assert ds.usage.path is None, "what an emulator answered is not worth a file"
    monkeypatch.setenv("DSNB_DATA", str(tmp_path / "here"))
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    assert dsnb.connect(quiet=True).usage.path == tmp_path / "here" / "usage.sqlite"
    log = dsnb.UsageLog()
    assert dsnb.connect(usage=log, quiet=True).usage is log
    with pytest.raises(errors.ConfigurationError, match="a path or a UsageLog"):
        dsnb.connect(usage=5, quiet=True)


def test_a_ledger_that_cannot_be_written_costs_a_warning_and_no_reply(emulator, tmp_path):
    path = tmp_path / "usage.sqlite"
    path.write_bytes(b"this is no database, but somebody's letter" * 100)
    with dsnb.connect(emulator.base_url, usage=path, quiet=True) as ds:
        with pytest.warns(errors.DsnbWarning, match=r"usage\.sqlite") as told:
            replies = [ds.ask("hello") for _ in range(3)]
        assert len(told) == 1
        assert [reply.outcome for reply in replies] == ["stop"] * 3
        assert len(ds.usage.frame()) == 3
    assert path.read_bytes().startswith(b"this is no database")


def test_an_emulator_in_another_process_is_no_live_account(emulator, tmp_path):
    provider = dsnb.Provider("far away", emulator.base_url, contract=True)  # nobody knows that it is an emulator
    with dsnb.connect(provider, usage=tmp_path / "usage.sqlite", quiet=True) as ds:
        ds.ask("hello")
        assert list(ds.usage.frame().source) == ["emulator"]


def test_threads_share_one_ledger(ds):
    threads = [threading.Thread(target=lambda: [ds.ask("hello") for _ in range(5)]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ds.usage.frame()) == len(ds.usage.frame("attempts")) == 30


def test_calls_of_the_raw_sdk_can_be_added(ds, emulator):
    completion = ds.openai.chat.completions.create(
        model="deepseek-flash", messages=[{"role": "user", "content": "hello"}]
    )
    ds.usage.add(completion)
    frame = ds.usage.frame()
    assert frame.cost_usd[0] == pytest.approx(float(emulator.ledger()[-1].cost.usd))
    assert list(frame.source) == ["emulator"]


def test_the_file_is_an_ordinary_database(emulator, tmp_path):
    path = tmp_path / "usage.sqlite"
    with dsnb.connect(emulator.base_url, usage=str(path), quiet=True) as ds:
        ds.ask("hello")
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    with dsnb.connect(emulator.base_url, usage=path, quiet=True) as ds:
        assert len(ds.usage.frame()) == 1, "and is found again"
