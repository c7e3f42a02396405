import contextvars
import pickle
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsnb.client.records import Attempt
from dsnb.client.reply import Reply, Timing
from dsnb.client.usage import Usage
from dsnb.errors import ConfigurationError, ConnectionFailed, DsnbError, ServerFailed
from dsnb.usage import UsageLog
from tests.usage.calls import log_call, refusal, reply, turn

_ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["memory", "file"])
def log(request, tmp_path):
    log = UsageLog(None if request.param == "memory" else tmp_path / "deep" / "er" / "usage.sqlite")
    yield log
    log.close()


def test_a_turn_is_one_row_and_its_columns_bear_the_names_of_the_api(log) -> None:
    with log.run("sqrt"):
        log_call(log)
    (row,) = log.frame().to_dict("records")
    expected = {
        "turn": 1,
        "time": datetime(2026, 11, 16, 12, 0, 0, 250_000, UTC),
        "run": "sqrt",
        "source": "live",
        "provider": "deepseek",
        "asked_model": "deepseek-flash",
        "model": "deepseek-flash",
        "fingerprint": "fp_1",
        "outcome": "stop",
        "finish_reason": "stop",
        "status": 200,
        "streamed": True,
        "effort": "high",
        "messages": 3,
        "attempts": 1,
        "unknown": 0,
        "prompt_hash": "8d777f385d3dfec8",
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "total_tokens": 1200,
        "cache_hit_tokens": 512,
        "cache_miss_tokens": 488,
        "reasoning_tokens": 150,
        "queued": 0.0,
        "first_token": 0.3,
        "first_answer": 2.5,
        "total": 4.125,
        # 512 × 0.003 + 488 × 0.15 + 200 × 0.60 millionths
        "cost_usd": 0.000194736,
        "cost_cny": 0.00129824,
        "price_period": "V4.1-Flash",
        "peak": False,
    }
    assert {name: row[name] for name in expected} == expected
    assert log.frame()[["notebook", "error", "thinking"]].isna().all(axis=None)
    assert set(row) == {*expected, "notebook", "error", "thinking"}


def test_an_attempt_is_one_row(log) -> None:
    call = log_call(log, refused=2, id="f" * 32, trace_id="e" * 32)
    frame = log.frame("attempts")
    assert list(frame["attempt"]) == [1, 2, 3]
    assert list(frame["status"]) == [503, 503, 200]
    assert list(frame["error"])[:2] == ["ServerFailed"] * 2
    assert frame["error"].isna()[2]
    assert frame["prompt_tokens"].isna().tolist() == [True, True, False]
    assert frame.loc[2, ["response_id", "trace_id"]].tolist() == ["f" * 32, "e" * 32]
    assert frame.loc[2, "created"] == int(call.started)
    assert (frame["turn"] == 1).all()
    assert (frame["prompt_hash"] == "8d777f385d3dfec8").all()


def test_types_are_those_that_can_say_that_nothing_is_known(log) -> None:
    log_call(log)
    for rows in ("turns", "attempts"):
        types = {name: str(kind) for name, kind in log.frame(rows).dtypes.items()}
        assert types["time"] == "datetime64[us, UTC]"
        assert {types[name] for name in ("prompt_tokens", "reasoning_tokens", "status", "messages")} == {"Int64"}
        assert {types[name] for name in ("total", "first_token", "cost_usd", "cost_cny")} == {"float64"}
        assert {types[name] for name in ("streamed", "thinking", "peak")} == {"boolean"}
        assert {types[name] for name in ("run", "model", "outcome", "error", "source")} == {"string"}
        assert types["prompt_hash"] == "string"
        assert types == {name: str(kind) for name, kind in UsageLog().frame(rows).dtypes.items()}


def test_an_empty_ledger_has_the_columns_and_no_rows(log) -> None:
    for rows in ("turns", "attempts"):
        empty = log.frame(rows)
        assert len(empty) == 0
        assert {"prompt_tokens", "cost_usd", "outcome"} <= set(empty)
    assert log.summary().empty
    assert log.cost() == 0


def test_looking_at_a_ledger_does_not_make_its_file(tmp_path) -> None:
    log = UsageLog(tmp_path / "usage.sqlite")
    assert log.frame().empty
    assert "0 turns" in repr(log)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_known_is_never_zero(log) -> None:
    log_call(log, usage=None)
    log_call(log, usage=Usage(prompt_tokens=10, completion_tokens=5))
    turns, attempts = log.frame(), log.frame("attempts")
    for frame in (turns, attempts):
        assert frame["prompt_tokens"].isna().tolist() == [True, False]
        assert frame["cache_hit_tokens"].isna().all()
        assert frame["cost_usd"].isna().tolist() == [True, False]
    assert turns["unknown"].tolist() == [1, 0]
    assert attempts["unknown"].tolist() == [True, False]


def test_a_turn_adds_up_what_is_known_of_its_attempts(log) -> None:
    begun = turn()
    log.began(begun)
    cut = reply(usage=None, outcome="truncated", finish_reason=None)
    log.attempted(Attempt(begun, 1, begun.started, 200, cut, None))
    log.attempted(Attempt(begun, 2, begun.started, None, Reply(), ConnectionFailed("no")))
    for number in (3, 4):
        log.attempted(Attempt(begun, number, begun.started, 200, reply(), None))
    log.ended(begun, reply(), None)
    (row,) = log.frame().to_dict("records")
    assert (row["attempts"], row["unknown"]) == (4, 2)
    assert (row["prompt_tokens"], row["cache_hit_tokens"], row["reasoning_tokens"]) == (2000, 1024, 300)
    assert row["cost_usd"] == pytest.approx(2 * 0.000194736)


def test_a_refused_attempt_is_not_unknown(log) -> None:
    log_call(log, refused=3)
    assert log.frame()["unknown"].tolist() == [0]
    assert log.cost().unknown == 0


def test_a_turn_that_fails_keeps_the_name_of_its_error(log) -> None:
    begun, error = turn(), ServerFailed("HTTP 503: Your api key: sk-hidden0000 is fine", status=503)
    log.began(begun)
    log.attempted(Attempt(begun, 1, begun.started, 503, refusal(), error))
    log.ended(begun, refusal(), error)
    (row,) = log.frame().to_dict("records")
    assert (row["error"], row["status"], row["outcome"]) == ("ServerFailed", 503, "interrupted")


def test_a_turn_is_there_before_its_answer(log) -> None:
    begun = turn()
    log.began(begun)
    assert log.frame()["outcome"].tolist() == ["unfinished"]
    assert log.frame()["model"].isna().all()
    assert log.frame("attempts").empty
    log.attempted(Attempt(begun, 1, begun.started, 200, reply(), None))
    assert log.frame()[["outcome", "prompt_tokens"]].to_numpy().tolist() == [["unfinished", 1000]]
    log.ended(begun, reply(), None)
    assert log.frame()["outcome"].tolist() == ["stop"]


def test_turns_that_overlap_are_kept_apart(log) -> None:
    one, other = turn(asked_model="deepseek-flash"), turn(asked_model="deepseek-v4-pro")
    log.began(one)
    log.began(other)
    log.attempted(Attempt(other, 1, other.started, 200, reply(usage=Usage(7, 7, 14)), None))
    log.attempted(Attempt(one, 1, one.started, 200, reply(usage=Usage(5, 5, 10)), None))
    log.ended(other, reply(outcome="length"), None)
    log.ended(one, reply(outcome="stop"), None)
    frame = log.frame()
    assert frame["total_tokens"].tolist() == [10, 14]
    assert frame["outcome"].tolist() == ["stop", "length"]
    assert log.frame("attempts")["asked_model"].tolist() == ["deepseek-v4-pro", "deepseek-flash"]


def test_an_attempt_of_a_turn_that_nobody_announced_is_kept(log) -> None:
    begun = turn()
    log.attempted(Attempt(begun, 1, begun.started, 200, reply(), None))
    log.ended(begun, reply(), None)
    assert log.frame()[["outcome", "attempts"]].to_numpy().tolist() == [["stop", 1]]


def test_a_turn_ends_once(log) -> None:
    begun = turn()
    log.began(begun)
    log.ended(begun, reply(outcome="stop"), None)
    log.ended(begun, reply(outcome="length"), None)
    assert log.frame()["outcome"].tolist() == ["stop"]


def test_an_emulator_is_one_even_where_nobody_knew(log) -> None:
    log_call(log, provider="127.0.0.1", source="live", emulated=True)
    assert log.frame()["source"].tolist() == ["emulator"]
    assert log.frame("attempts")["source"].tolist() == ["emulator"]


def test_a_file_is_read_by_the_next_session(tmp_path) -> None:
    path = tmp_path / "usage.sqlite"
    first, second = UsageLog(path), UsageLog(str(path))
    log_call(first)
    log_call(second)
    first.close()
    assert second.frame()["turn"].tolist() == [1, 2]
    assert second.cost() == 2 * Decimal("0.000194736")
    second.close()


def test_the_file_can_be_read_with_any_tool(tmp_path) -> None:
    path = tmp_path / "usage.sqlite"
    log = UsageLog(path)
    log_call(log, refused=1)
    log.close()
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT model, status, prompt_tokens, cost_usd FROM calls ORDER BY attempt").fetchall()
    assert rows == [(None, 503, None, None), ("deepseek-flash", 200, 1000, "0.000194736")]
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_labels_stand_once(tmp_path) -> None:
    path = tmp_path / "usage.sqlite"
    for _ in range(3):
        log = UsageLog(path)
        log_call(log, refused=1)
        log.close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM settings").fetchone() == (1,)
    assert connection.execute("SELECT count(*) FROM results").fetchone() == (3,)  # refused, answered, ended
    connection.close()


# --- runs -----------------------------------------------------------------------------------------------------------


def test_runs_name_what_is_inside_and_nest(log) -> None:
    log_call(log)
    with log.run("outer"):
        log_call(log)
        with log.run("inner"):
            log_call(log)
        log_call(log)
    log_call(log)
    assert log.frame()["run"].astype(object).where(lambda run: run.notna(), None).tolist() == [
        *(None, "outer", "inner", "outer", None)
    ]


def test_a_run_ends_with_an_error_too(log) -> None:
    with pytest.raises(KeyError), log.run("a"):
        raise KeyError
    log_call(log)
    assert log.frame()["run"].isna().all()


def test_a_run_is_of_its_own_ledger() -> None:
    one, other = UsageLog(), UsageLog()
    with one.run("a"), other.run("b"):
        log_call(one)
        log_call(other)
    assert (one.frame()["run"].tolist(), other.frame()["run"].tolist()) == (["a"], ["b"])


def test_a_thread_sees_the_run_that_it_is_handed(log) -> None:
    with log.run("a"):
        plain = threading.Thread(target=log_call, args=(log,))
        handed = threading.Thread(target=contextvars.copy_context().run, args=(log_call, log))
        for thread in (plain, handed):
            thread.start()
            thread.join()
    assert log.frame()["run"].isna().tolist() == [True, False]


@pytest.mark.parametrize("name", [None, "", "  ", 7, ["a"]])
def test_a_run_is_named_by_a_text(log, name) -> None:
    with pytest.raises(DsnbError, match="named by a text"), log.run(name):
        pass


# --- what must not be in it -----------------------------------------------------------------------------------------


def test_no_text_and_no_key_is_stored(tmp_path) -> None:
    key = "sk-0123456789abcdef0123456789abcdef"
    path = tmp_path / "usage.sqlite"
    log = UsageLog(path)
    said = reply(
        answer=f"my secret answer {key}",
        reasoning="my secret thought",
        finish_reason=f"error: Your api key: {key} is invalid",
        outcome=f"bearer {key}",
        model=f"model {key}",
        fingerprint=key,
        id=key,
        trace_id=f"trace {key}",
    )
    begun, error = turn(), ServerFailed(f"The endpoint says {key}", status=500, reply=said)
    log.began(begun)
    log.attempted(Attempt(begun, 1, begun.started, 500, said, error))
    log.ended(begun, said, error)
    shown = " ".join((repr(log), *log._repr_mimebundle_().values(), log.frame("attempts").to_csv()))
    log.close()
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"ServerFailed" in kept  # or else nothing was looked at
    for secret in (key, key[3:], "secret answer", "secret thought", "endpoint says"):
        assert secret.encode() not in kept
        assert secret not in shown


labels = st.one_of(st.none(), st.text(st.characters(), max_size=300), st.just("a\x1fb\x00c"))
counts = st.one_of(st.none(), st.integers(-(2**70), 2**70), st.integers(0, 2**53), st.booleans())
numbers = st.one_of(st.none(), st.floats(), st.integers(-(2**70), 2**70))


@given(
    st.lists(
        st.tuples(st.lists(labels, min_size=9, max_size=9), st.lists(counts, min_size=7, max_size=7), numbers, numbers),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.slow
def test_whatever_an_endpoint_says_can_be_kept_and_shown(calls) -> None:
    log = UsageLog()
    for texts, whole, seconds, started in calls:
        asked, outcome, reason, identity, model, fingerprint, trace, effort, digest = texts
        begun = turn(asked_model=asked, effort=effort, prompt_hash=digest, started=started)
        answered = Reply(
            outcome=outcome,
            finish_reason=reason,
            usage=Usage(*whole[:6]),
            timing=Timing(seconds, seconds, seconds, seconds),
            id=identity,
            model=model,
            fingerprint=fingerprint,
            trace_id=trace,
            created=whole[6],
        )
        log.began(begun)
        log.attempted(Attempt(begun, 1, started, whole[0], answered, None))
        log.ended(begun, answered, None)
    known = [None if type(n) is not int or not 0 <= n <= 2**53 else n for _, (n, *_), _, _ in calls]
    for frame in (log.frame(), log.frame("attempts")):
        assert len(frame) == len(calls)
        shown = frame["prompt_tokens"]
        assert shown.astype(object).where(shown.notna(), None).tolist() == known
    assert log.summary("provider")["attempts"].tolist() == [len(calls)]
    for shown in log._repr_mimebundle_().values():
        shown.encode()


# --- the surface ----------------------------------------------------------------------------------------------------


def test_other_rows_than_turns_and_attempts_are_refused(log) -> None:
    with pytest.raises(DsnbError, match="'turns' or 'attempts'"):
        log.frame("replies")


@pytest.mark.parametrize("path", [3, ["usage.sqlite"], b"usage.sqlite"])
def test_a_path_is_a_path(path) -> None:
    with pytest.raises(ConfigurationError, match="is a path or a UsageLog"):
        UsageLog(path)


def test_a_source_is_live_or_emulator() -> None:
    with pytest.raises(DsnbError, match="'live' or 'emulator'"):
        UsageLog(source="test")


def test_the_home_folder_has_no_name_in_notebooks(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert repr(UsageLog("~/a/usage.sqlite")).startswith("<UsageLog ~/a/usage.sqlite · 0 turns")


def test_parquet_names_what_to_install(log, tmp_path, monkeypatch) -> None:
    log_call(log)
    for name in ("pyarrow", "fastparquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match=r"pip install .dsnb\[parquet\]"):
        log.to_parquet(tmp_path / "usage.parquet")


def test_parquet_holds_the_frame(log, tmp_path) -> None:
    pytest.importorskip("pyarrow")
    import pandas as pd

    log_call(log, refused=1)
    log.to_parquet(tmp_path / "usage.parquet", "attempts")
    assert pd.read_parquet(tmp_path / "usage.parquet")["prompt_tokens"].sum() == 1000


def test_pandas_and_matplotlib_wait_until_they_are_needed() -> None:
    code = (
        "import sys; from dsnb.usage import UsageLog; from tests.usage.calls import log_call\n"
        "log = UsageLog(); log_call(log); repr(log), log.cost(), log._repr_mimebundle_()\n"
        "print(*{'pandas', 'matplotlib', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=_ROOT)
    assert done.stdout.strip() == ""


def test_an_amount_survives_a_pickle() -> None:
    log = UsageLog()
    log_call(log, usage=None)
    cost = log.cost()
    assert repr(pickle.loads(pickle.dumps(cost))) == repr(cost) == "<$0 for 1 attempt, 1 of them unknown>"  # noqa: S301 — our own bytes
