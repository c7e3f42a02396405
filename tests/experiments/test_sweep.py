"""Sweeps on threads: what is kept, what is run again and what is not, and how they end."""

import json
import sqlite3
import threading
from collections import Counter
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from decimal import Decimal
from functools import partial

import pandas as pd
import pytest

import dsnb
from dsnb import errors
from dsnb.client.budget import Budget
from dsnb.experiments.sweeping import store as stores
from dsnb.experiments.sweeping.coordinator import Coordinator
from dsnb.experiments.sweeping.figures import COLUMNS
from dsnb.experiments.sweeping.outcomes import PROVENANCE
from tests.effort import effort
from tests.experiments.killing import AS_OF, asked, greet, killed
from tests.once import ONCE, QUICK


def judged(ds, words, effort):
    reply = ds.ask("Say so. " * words, effort=effort)
    return {"reply": reply, "right": len(reply.answer) > 3, "score": words / 10}


GRID = {"words": [2, 1], "effort": ["low", "high"]}


def test_a_row_holds_the_cell_what_came_of_it_and_where_it_comes_from(ds, emulator):
    found = dsnb.sweep(judged, GRID, ds=ds, repeats=2)
    frame = found.frame()
    assert list(frame.columns[:5]) == ["words", "effort", "repeat", "right", "score"]
    assert frame[["words", "effort", "repeat"]].to_numpy().tolist() == [
        *([2, "low", 1], [2, "low", 2], [2, "high", 1], [2, "high", 2]),
        *([1, "low", 1], [1, "low", 2], [1, "high", 1], [1, "high", 2]),
    ]
    assert frame["right"].all()
    assert frame["score"].tolist() == [0.2] * 4 + [0.1] * 4
    by_id = {row.id: row for row in emulator.ledger()}
    for row in frame.itertuples():
        billed = by_id[row.response_id]
        assert (row.prompt_tokens, row.completion_tokens) == (billed.prompt_tokens, billed.completion_tokens)
        assert row.cache_hit_tokens == billed.cache_hit_tokens
        assert row.cost_usd == pytest.approx(float(billed.cost.usd))
    assert (frame["outcome"] == "stop").all()
    assert frame["error"].isna().all()
    origin = {"source": "emulator", "served_by": "emulator", "endpoint": "emulator", "seed": 0, "experiment": "judged"}
    origin |= dict.fromkeys(("served_model", "asked_model", "default_model"), "deepseek-flash")
    origin |= {"contract": "2026-11-16", "dsnb_version": dsnb.__version__, "tries": 1, "attempts": 1, "turns": 1}
    for name, value in origin.items():
        assert set(frame[name]) == {value}, name
    assert frame["fingerprint"].notna().all()
    assert frame["fn_hash"].nunique() == 1
    assert (frame["ended"] >= frame["started"]).all()
    assert "answer" not in frame
    assert found.cost == sum(row.cost.usd for row in emulator.ledger()) == ds.usage.cost()
    assert set(ds.usage.frame()["run"]) == {"judged"}
    assert (len(found), found.done, found.left, found.in_doubt, len(found.errors)) == (8, 8, 0, 0, 0)


def test_texts_are_kept_if_asked_for(ds):
    frame = dsnb.sweep(greet, {"n": [1]}, ds=ds, texts=True).frame()
    assert frame["answer"][0]
    assert "answer" not in dsnb.sweep(greet, {"n": [1]}, ds=ds).frame()


def test_what_a_function_may_return(ds):
    def several(ds, n):
        return {"warm": ds.ask("one", user_id="a"), "reply": ds.ask("two " * n), "n": 5, "outcome": "mine"}

    row = dsnb.sweep(several, {"n": [7]}, ds=ds).frame().iloc[0]
    assert (row["n"], row["result.n"], row["outcome"], row["result.outcome"]) == (7, 5, "stop", "mine")
    assert row["warm.prompt_tokens"] < row["prompt_tokens"]
    assert row["turns"] == row["attempts"] == 2
    assert row["spent_usd"] == pytest.approx(row["warm.cost_usd"] + row["cost_usd"])

    def none_of_it(ds, n):
        return {"length": len(ds.ask("two " * n).answer)}

    row = dsnb.sweep(none_of_it, {"n": [7]}, ds=ds).frame().iloc[0]
    assert row["length"] > 0
    assert row["outcome"] == "stop"
    assert row["prompt_tokens"] > 0

    def one(ds, n):
        return {"first": ds.ask("two " * n)}

    assert dsnb.sweep(one, {"n": [7]}, ds=ds).frame().iloc[0]["prompt_tokens"] == row["prompt_tokens"]


@pytest.mark.parametrize("returned", [None, 3, "text", [1]])
def test_what_a_function_may_not_return_ends_the_sweep_at_once(ds, emulator, returned):
    def careless(ds, n):
        ds.ask(f"cell {n}")
        return returned

    with pytest.raises(errors.ConfigurationError, match="let it return the Reply") as caught:
        dsnb.sweep(careless, {"n": range(50)}, ds=ds, workers=2)
    assert len(emulator.ledger()) <= 3
    assert caught.value.sweep.left >= 47


def test_what_json_cannot_hold_is_kept_as_text_and_told(ds):
    def odd(ds, n):
        return {"reply": ds.ask(f"cell {n}"), "thing": {1, 2}}

    with pytest.raises(errors.ConfigurationError, match="'thing'") as caught:
        dsnb.sweep(odd, {"n": range(50)}, ds=ds, workers=1)
    frame = caught.value.sweep.frame()
    assert 1 <= len(frame) <= 3
    assert set(frame["thing"]) == {"{1, 2}"}
    assert set(frame["outcome"]) == {"stop"}  # paid for, and kept


def test_the_same_cell_is_never_run_twice_unless_asked(ds, emulator, tmp_path):
    path = tmp_path / "kept.sqlite"
    dsnb.sweep(greet, {"n": range(5)}, ds=ds, store=path)
    more = dsnb.sweep(greet, {"n": range(7)}, ds=ds, store=path, repeats=2)
    assert len(more.frame()) == 14
    assert Counter(asked(emulator.requests()).values()) == {2: 7}
    assert dsnb.sweep(greet, {"n": [3, 1]}, ds=ds, store=path).frame()["n"].tolist() == [3, 1]
    assert len(emulator.ledger()) == 14
    anew = dsnb.sweep(greet, {"n": range(5)}, ds=ds, store=path, again=True)
    assert len(emulator.ledger()) == 19
    assert anew.frame()["tries"].tolist() == [2] * 5
    assert set(anew.frame()["response_id"]) == {row.id for row in emulator.ledger()[14:]}
    assert anew.cost.attempts == 10
    assert len(dsnb.Sweep.load(path)) == 14


def test_another_model_contract_repeat_or_name_is_another_cell(emulator, tmp_path):
    path = tmp_path / "kept.sqlite"
    for options in ({}, {"model": "deepseek-v4-pro"}, {"as_of": "2026-10-20"}):
        with dsnb.connect(emulator.base_url, **{"as_of": AS_OF, "quiet": True, **options}) as ds:
            assert len(dsnb.sweep(greet, {"n": [1]}, ds=ds, store=path).frame()) == 1
    dsnb_live = dsnb.Provider("host", emulator.base_url)
    with dsnb.connect(dsnb_live, quiet=True) as ds:
        dsnb.sweep(greet, {"n": [1]}, ds=ds, store=path)
    with dsnb.connect(emulator.base_url, as_of=AS_OF, quiet=True) as ds:
        dsnb.sweep(greet, {"n": [1]}, ds=ds, store=path, name="greeting again")
        dsnb.sweep(greet, {"n": [1]}, ds=ds, store=path)  # the first once more
    assert len(emulator.ledger()) == 5
    with pytest.raises(errors.ConfigurationError, match=r"2 experiments \('greet', 'greeting again'\)"):
        dsnb.Sweep.load(path)
    with pytest.raises(errors.ConfigurationError, match="no such experiment"):
        dsnb.Sweep.load(path, "hello")
    loaded = dsnb.Sweep.load(path, "greet")
    assert len(loaded.frame()) == 4
    # a host that says in its headers that it is an emulator is one, whatever the session took it for
    assert set(loaded.frame()["source"]) == {"emulator"}
    assert len(dsnb.Sweep.load(path, "greet", source="live")) == 1


def test_the_emulator_of_another_day_is_the_same_place(tmp_path):
    path = tmp_path / "kept.sqlite"
    for _ in range(2):  # with another port and another session each time
        with dsnb.Emulator() as emulator, dsnb.connect(emulator.base_url, as_of=AS_OF, quiet=True) as ds:
            dsnb.sweep(greet, {"n": [1]}, ds=ds, store=path)
            told = len(emulator.ledger())
    assert told == 0


def test_errors_are_rows_without_keys_and_are_tried_again(ds, emulator, tmp_path):
    emulator.faults = ["ok", 503, "ok", "ok"]
    path = tmp_path / "kept.sqlite"
    found = dsnb.sweep(greet, {"n": range(4)}, ds=ds, store=path, workers=1)
    failed = found.errors
    assert failed["n"].tolist() == [1]
    assert failed["error"].tolist() == ["ServerFailed"]
    assert failed["outcome"].tolist() == ["failed"]
    assert "503" in failed["error_message"].iloc[0]
    assert found.done == 3
    assert found.frame()["spent_usd"][1] == 0
    healed = dsnb.sweep(greet, {"n": range(4)}, ds=ds, store=path)
    assert healed.done == 4
    assert healed.frame()["tries"].tolist() == [1, 2, 1, 1]
    assert len(emulator.ledger()) == 5

    def telling(ds, n):
        raise errors.ServerFailed("api key: sk-0123456789abcdef is wrong\nand more", status=500)

    told = dsnb.sweep(telling, {"n": [1]}, ds=ds, store=path).errors["error_message"].iloc[0]
    assert told == "api key: [hidden] is wrong and more"
    assert b"sk-0123" not in path.read_bytes()


def test_a_bug_ends_the_sweep_after_what_is_under_way(ds, emulator, tmp_path):
    def buggy(ds, n):
        ds.ask(f"cell {n}")
        if n == 3:
            raise ZeroDivisionError("by mistake")
        return ds.last

    path = tmp_path / "kept.sqlite"
    with pytest.raises(ZeroDivisionError, match="by mistake") as caught:
        dsnb.sweep(buggy, {"n": range(1000)}, ds=ds, store=path, workers=3)
    assert any("n=3" in note for note in caught.value.__notes__)
    assert any("run the same sweep again" in note for note in caught.value.__notes__)
    sent = len(emulator.ledger())
    assert sent <= 4 + 2 * 3
    stopped = dsnb.Sweep.load(path)
    assert (stopped.done, stopped.errors["error"].tolist(), stopped.in_doubt) == (sent - 1, ["ZeroDivisionError"], 0)
    assert stopped.left == 1000 - sent


@pytest.mark.parametrize("fault", [401, 402])
def test_what_every_cell_would_meet_ends_the_sweep(fault, emulator):
    keys = {"right"} if fault == 401 else None
    with (
        dsnb.Emulator(keys=keys, balance="100" if fault == 401 else "0") as emulator,
        dsnb.connect(emulator.base_url, as_of=AS_OF, retry=ONCE, quiet=True) as ds,
        pytest.raises(errors.AuthenticationFailed if fault == 401 else errors.InsufficientBalance) as caught,
    ):
        dsnb.sweep(greet, {"n": range(100)}, ds=ds, workers=1)
    assert caught.value.sweep.left >= 97


def test_changed_functions_are_told_apart(ds, tmp_path):
    def first(ds, n):
        return ds.ask(f"cell {n}")

    def second(ds, n):
        return ds.ask(f"the cell {n}")

    path = tmp_path / "kept.sqlite"
    dsnb.sweep(first, {"n": range(2)}, ds=ds, store=path, name="both")
    with pytest.warns(dsnb.errors.DsnbWarning, match="2 cells of this sweep were made by another version"):
        mixed = dsnb.sweep(second, {"n": range(3)}, ds=ds, store=path, name="both")
    assert mixed.frame()["fn_hash"].nunique() == 2
    with pytest.warns(dsnb.errors.DsnbWarning):
        anew = dsnb.sweep(second, {"n": range(3)}, ds=ds, store=path, name="both", again=True)
    assert anew.frame()["fn_hash"].nunique() == 1


@pytest.mark.parametrize("budget", ["2500 tokens", "0.0012 USD"])
@pytest.mark.slow
def test_a_budget_stops_softly_and_the_next_run_goes_on(ds, emulator, tmp_path, budget):
    path, limit = tmp_path / "kept.sqlite", Budget(budget)
    found = dsnb.sweep(greet, {"n": range(60)}, ds=ds, store=path, budget=limit)
    assert 2 <= found.done < 60
    assert found.left == 60 - found.done
    assert not len(found.errors)
    assert limit.spent <= limit.limit
    assert limit.left < 3 * limit.spent / found.done  # and what there was is used
    assert "budget has not enough left" in found.stopped
    plain = found._repr_mimebundle_()["text/plain"]
    assert f"{found.left} cells are left: run the same sweep again" in plain
    assert len(emulator.ledger()) == found.done
    whole = dsnb.sweep(greet, {"n": range(60)}, ds=ds, store=path)
    assert (whole.done, len(emulator.ledger()), whole.stopped) == (60, 60, None)


def test_the_sessions_own_budget_stops_softly_too(emulator):
    with dsnb.connect(emulator.base_url, as_of=AS_OF, budget="2500 tokens", quiet=True) as ds:
        found = dsnb.sweep(greet, {"n": range(60)}, ds=ds)
        assert found.stopped
        assert not len(found.errors)
        assert found.done + found.left == 60
        assert ds.budget.spent <= ds.budget.limit
        # one budget for both counts once
        ds.budget = shared = Budget("100000 tokens")
        dsnb.sweep(greet, {"n": range(3)}, ds=ds, budget=shared)
        assert shared.spent == int(ds.usage.frame()["total_tokens"][-3:].sum())


def test_what_a_cut_reply_took_is_estimated(ds, emulator):
    limit = Budget("100000 tokens")
    emulator.faults = ["ok", "cut@5", "ok"]
    found = dsnb.sweep(greet, {"n": range(3)}, ds=ds, budget=limit, workers=1)
    told = found.frame()["total_tokens"].dropna()
    assert len(told) == 2
    assert limit.spent > int(told.sum())
    assert limit.spent == int(told.sum()) + int(told.iloc[0])


def test_money_for_a_host_without_prices_is_no_limit(emulator):
    with dsnb.connect(dsnb.Provider("host", emulator.base_url), quiet=True) as ds:
        with pytest.raises(errors.ConfigurationError, match="Give it in tokens"):
            dsnb.sweep(greet, {"n": [1]}, ds=ds, budget=1)
        found = dsnb.sweep(greet, {"n": [1]}, ds=ds, budget="99999 tokens")
        assert found.cost.unknown == 1
        assert "cost of 1 request is not known" in found._repr_mimebundle_()["text/plain"]


def test_no_more_cells_than_the_limit_are_under_way(ds):
    under_way, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(4)

    def counting(ds, n):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        together.wait()  # which only ends if four of them are under way
        with lock:
            under_way -= 1
        return {"n2": n}

    with ThreadPoolExecutor(16) as pool:
        assert dsnb.sweep(counting, {"n": range(40)}, ds=ds, executor=pool, workers=4).done == 40
    assert most == 4
    under_way = most = 0
    assert dsnb.sweep(counting, {"n": range(8)}, ds=ds, workers=4).done == 8
    assert most == 4


class Stepping(Executor):
    """Run what is submitted when ``submit`` is called, and know how much was ever waiting."""

    def __init__(self):
        self.futures = []

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_running_or_notify_cancel()
        future.set_result(fn(*args, **kwargs))
        self.futures.append(future)
        return future


def test_any_executor_will_do_and_the_session_itself_is_used_in_its_process(ds):
    def looking(session, n):
        return {"same": session is ds}

    assert dsnb.sweep(looking, {"n": range(5)}, ds=ds, executor=Stepping()).frame()["same"].all()


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done_and_what_is_under_way(ds, emulator, tmp_path, monkeypatch):
    path = tmp_path / "kept.sqlite"
    room, calls = Coordinator._room, []

    def interrupting(self):
        calls.append(self)
        if len(calls) == 12:
            raise KeyboardInterrupt
        return room(self)

    monkeypatch.setattr(Coordinator, "_room", interrupting)
    with pytest.raises(KeyboardInterrupt) as caught:
        dsnb.sweep(greet, {"n": range(50)}, ds=ds, store=path, workers=4)
    assert any("done and kept" in note for note in caught.value.__notes__)
    kept = dsnb.Sweep.load(path)
    assert (kept.in_doubt, kept.done, kept.done + kept.left) == (0, len(emulator.ledger()), 50)
    assert 7 <= kept.done <= 11
    monkeypatch.undo()
    assert dsnb.sweep(greet, {"n": range(50)}, ds=ds, store=path).done == 50
    assert Counter(asked(emulator.requests()).values()) == {1: 50}


def test_ctrl_c_twice_leaves_what_is_under_way_in_doubt(ds, tmp_path, monkeypatch):
    path, over, began = tmp_path / "kept.sqlite", threading.Event(), threading.Event()

    def waiting(ds, n):
        began.set()
        over.wait(60)
        return {}

    def interrupting(self, *, until):
        began.wait(60)
        raise KeyboardInterrupt

    monkeypatch.setattr(Coordinator, "_wait", interrupting)
    monkeypatch.setattr(Coordinator, "_room", lambda self: len(self._under_way) < 2)
    with pytest.raises(KeyboardInterrupt):
        dsnb.sweep(waiting, {"n": range(9)}, ds=ds, store=path, workers=1)
    kept = dsnb.Sweep.load(path)
    assert kept.in_doubt == 1
    assert kept.left == 8
    over.set()


@pytest.mark.parametrize(("in_doubt", "done"), [("keep", 0), ("again", 1)])
def test_a_cell_in_doubt_is_kept_or_run_again_and_told_either_way(ds, emulator, tmp_path, in_doubt, done):
    path = tmp_path / "kept.sqlite"
    dsnb.sweep(greet, {"n": [1, 2]}, ds=ds, store=path)
    with sqlite3.connect(path) as connection:  # as a kill would have left it
        connection.execute("UPDATE tries SET ended = NULL, row = NULL, source = NULL WHERE id = 2")
    connection.close()
    found = dsnb.sweep(greet, {"n": [1, 2]}, ds=ds, store=path, in_doubt=in_doubt)
    frame = found.frame()
    assert len(frame) == 2
    assert frame["outcome"].tolist() == ["stop", "stop" if done else "in doubt"]
    assert (found.done, found.in_doubt, found.rerun, len(emulator.ledger())) == (1 + done, 1 - done, done, 2 + done)
    assert found.cost.unknown == 1
    plain = found._repr_mimebundle_()["text/plain"]
    told = "1 cell in doubt was run once more; what the first try of each may have cost, about $0.0"
    assert (told if done else 'in_doubt="again" runs them once more, for about $0.0') in plain
    assert dsnb.Sweep.load(path).rerun == done


CELLS = 60  # of which up to six are under way at once; `python -m tests.bench sweep` takes 2,000


@pytest.mark.slow
def test_killed_twice_it_ends_whole_and_nothing_is_paid_for_twice(tmp_path):
    with dsnb.Emulator(pace=0.01) as emulator:
        after = killed(emulator.base_url, tmp_path / "kept.sqlite", cells=CELLS, kills=2, requests=emulator.requests)
        assert after.twice == []
        frame = after.sweep.frame()
        assert len(frame) == len(after.sweep) == CELLS
        assert frame["n"].tolist() == list(range(CELLS))
        assert after.sweep.left == 0
        assert after.sweep.in_doubt <= after.most
        assert after.sweep.done == (frame["outcome"] == "stop").sum() == CELLS - after.sweep.in_doubt
        assert sum(row.billed for row in emulator.ledger()) == len(after.asked) <= CELLS
        # and then only these are run once more
        doubts = {f"Greet number {n}." for n in frame[frame["outcome"] == "in doubt"]["n"]}
        with dsnb.connect(emulator.base_url, as_of=AS_OF, quiet=True) as ds:
            whole = dsnb.sweep(greet, {"n": range(CELLS)}, ds=ds, store=tmp_path / "kept.sqlite", in_doubt="again")
        assert (whole.done, whole.rerun) == (CELLS, len(doubts))
        assert {cell for cell, number in asked(emulator.requests()).items() if number == 2} <= doubts


def wide(ds, n):
    return {"m": n}


def test_the_work_for_a_cell_does_not_grow_with_their_number(ds, tmp_path):
    """Counted in this thread, where cells are sent and judged; three times the cells is three times the work."""
    efforts = []
    for number in (50, 150):
        path = tmp_path / f"{number}.sqlite"
        efforts.append(
            effort(
                lambda number=number, path=path: dsnb.sweep(
                    wide, {"n": range(number)}, ds=ds, store=path, executor=Stepping(), progress=False
                ).frame()
            )
        )
    assert efforts[1] < 3.3 * efforts[0]


def test_stores_by_name_are_in_the_data_folder(ds, tmp_path, monkeypatch):
    found = dsnb.sweep(greet, {"n": [1]}, ds=ds, store="mine")
    assert found.store == tmp_path / "dsnb" / "mine.sqlite"
    assert dsnb.Sweep.load("mine").done == 1
    monkeypatch.chdir(tmp_path)
    assert dsnb.sweep(greet, {"n": [1]}, ds=ds, store="folder/mine").store == tmp_path / "folder" / "mine"
    assert dsnb.sweep(greet, {"n": [1]}, ds=ds).store is None
    with pytest.raises(errors.ConfigurationError, match="no store at"):
        dsnb.Sweep.load("other")


def a_ledger(path):
    log = dsnb.UsageLog(path)
    log.add({"id": "1", "model": "deepseek-flash", "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    log.close()


def a_newer(path):
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA application_id = {stores.KIND.application}")
    connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda path: path.write_text("no database at all, but long enough to be looked at" * 20),
            "not an SQLite file",
        ),
        (lambda path: path.mkdir(), "is a folder"),
        (a_ledger, "is no store of a sweep: it holds other data"),
        (a_newer, "written by a newer dsnb"),
        (lambda path: path.parent.joinpath("x").write_text(""), None),
    ],
)
def test_a_store_that_cannot_be_used_is_told_before_anything_is_sent(ds, emulator, tmp_path, make, told):
    path = tmp_path / "kept.sqlite"
    make(path)
    if told is None:
        path, told = tmp_path / "x" / "kept.sqlite", "its folder is a file"
    with pytest.raises(errors.ConfigurationError, match=told):
        dsnb.sweep(greet, {"n": [1]}, ds=ds, store=path)
    assert emulator.requests() == []


def test_one_sweep_at_a_time_writes_to_a_store(ds, tmp_path):
    path = tmp_path / "kept.sqlite"

    def nested(ds, n):
        dsnb.sweep(greet, {"n": [1]}, ds=ds, store=path)

    with pytest.raises(errors.ConfigurationError, match="Another sweep is writing"):
        dsnb.sweep(nested, {"n": [1]}, ds=ds, store=path)
    assert dsnb.sweep(greet, {"n": [1]}, ds=ds, store=path).done == 1


def test_results_that_cannot_be_written_are_in_the_error(ds, tmp_path, monkeypatch):
    path, broken = tmp_path / "kept.sqlite", []
    connection = stores.Store._connection

    class Full:
        def __init__(self, inner):
            self.inner = inner

        def execute(self, statement, *values):
            if statement.startswith("UPDATE tries") and len(broken) < 99:
                broken.append(statement)
                raise sqlite3.OperationalError("database or disk is full")
            return self.inner.execute(statement, *values)

        def close(self):
            self.inner.close()

    monkeypatch.setattr(stores.Store, "_connection", lambda self: Full(connection(self)))
    with pytest.raises(errors.ConfigurationError, match="disk is full") as caught:
        dsnb.sweep(greet, {"n": range(50)}, ds=ds, store=path, workers=2)
    kept = [json.loads(row) for row in caught.value.rows]
    assert kept
    assert all(row["completion_tokens"] > 0 for row in kept)
    monkeypatch.undo()
    assert dsnb.Sweep.load(path).in_doubt >= len(kept)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"fn": 3}, "fn is int"),
        ({"fn": lambda ds, n: None}, "has no name"),
        ({"fn": lambda ds, m: None, "name": "x"}, r"called as fn\(ds, n\)"),
        ({"fn": lambda n: None, "name": "x"}, "cannot be called with this grid"),
        ({"ds": 3}, "ds is int"),
        ({"workers": 0}, "workers=0"),
        ({"workers": True}, "workers=True"),
        ({"executor": 3}, "executor is int"),
        ({"in_doubt": "maybe"}, "in_doubt='maybe'"),
        ({"store": 3}, "store=3"),
        ({"store": ""}, "store=''"),
        ({"name": 3}, "name=3"),
        ({"name": " "}, "name=' '"),
        ({"budget": "much"}, "is no limit"),
        ({"grid": {"repeat": [1]}}, "column 'repeat' of its own"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_sent(ds, emulator, options, told):
    given = {"fn": greet, "grid": {"n": [1]}, "ds": ds, **options}
    with pytest.raises(errors.ConfigurationError, match=told):
        dsnb.sweep(given.pop("fn"), given.pop("grid"), **given)
    assert emulator.requests() == []


def test_async_functions_and_closed_executors_are_told(ds):
    async def later(ds, n):
        return await ds.aask("hello")

    with pytest.raises(errors.ConfigurationError, match=r"asyncio\.run"):
        dsnb.sweep(later, {"n": [1]}, ds=ds)
    with ThreadPoolExecutor(1) as pool:
        pass
    with pytest.raises(errors.ConfigurationError, match="after shutdown") as caught:
        dsnb.sweep(greet, {"n": [1, 2]}, ds=ds, executor=pool)
    assert (caught.value.sweep.left, caught.value.sweep.in_doubt) == (2, 0)


def test_partial_functions_are_known_by_their_arguments(ds, emulator, tmp_path):
    def topped(ds, n, top):
        return ds.ask(f"{top} {n}")

    for top in ("a", "b", "a"):
        found = dsnb.sweep(partial(topped, top=top), {"n": [1]}, ds=ds, store=tmp_path / "kept")
        assert f'"top":"{top}"' in found.experiment
    assert len(emulator.ledger()) == 2


def test_it_shows_itself_alike_everywhere_and_nothing_that_varies(ds):
    found = dsnb.sweep(greet, {"n": range(3)}, ds=ds, name="<b>$x$ & y</b>", progress=False)
    assert repr(found) == "<Sweep <b>$x$ & y</b> · 3 cells · 3 done · emulator>"
    shown = found._repr_mimebundle_()
    assert "<b>$x$" not in shown["text/html"]
    assert "<b>" not in shown["text/markdown"]
    assert f"{found.cost:.6f}" in shown["text/plain"]
    for text in shown.values():
        assert "emulator" in text
        assert "prompt tokens" in text
    again = dsnb.sweep(greet, {"n": range(3)}, ds=ds, name="<b>$x$ & y</b>", progress=False)
    assert again._repr_mimebundle_().keys() == shown.keys()
    summary = found.summary()
    assert summary["cells"].tolist() == summary["done"].tolist() == [3]
    assert summary["spent_usd"].tolist() == [pytest.approx(float(found.cost))]


@pytest.mark.parametrize(("render", "shown"), [("final", False), ("plain", False), ("", True)])
def test_there_is_a_bar_with_the_running_cost_unless_outputs_are_compared(ds, monkeypatch, capsys, render, shown):
    monkeypatch.setenv("DSNB_RENDER", render)
    dsnb.sweep(greet, {"n": range(3)}, ds=ds)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert ("3/3" in printed.err) == ("$0.0" in printed.err) == shown
    dsnb.sweep(greet, {"n": range(3)}, ds=ds, progress=not shown)
    assert ("3/3" in capsys.readouterr().err) != shown


def test_a_parquet_file_holds_the_frame_whatever_its_values(ds, tmp_path):
    pytest.importorskip("pyarrow")

    def mixed(ds, value):
        return {"reply": ds.ask("hello"), "list": [1, "2"], "either": value}

    found = dsnb.sweep(mixed, {"value": [1, "1", 1.5, None, True]}, ds=ds)
    found.to_parquet(tmp_path / "kept.parquet")
    back = pd.read_parquet(tmp_path / "kept.parquet")
    assert [None if pd.isna(value) else json.loads(value) for value in back["value"]] == [1, "1", 1.5, None, True]
    assert [json.loads(value) for value in back["list"]] == [[1, "2"]] * 5
    assert back["prompt_tokens"].tolist() == found.frame()["prompt_tokens"].tolist()


def test_live_and_emulated_are_never_added_up(ds, tmp_path):
    path = tmp_path / "kept.sqlite"
    dsnb.sweep(greet, {"n": [1]}, ds=ds, store=path)
    store = stores.Store(path)
    numbers = store.plan(
        stores.Setting("greet", "live", "https://api.deepseek.com", "deepseek-flash", ""),
        dsnb.experiments.sweeping.cells.cells({"n": [1]}),
    )
    run = store.run(stores.Run(0.0, "0", None, None))
    row = json.dumps({"prompt_tokens": 10, "spent_usd": "0.5", "attempts": 1, "unpriced": 0})
    store.finish(store.begin(numbers[0], run, 0.0), stores.Ended(1.0, None, None, "live", "2026-11-16", row))
    store.close()
    both = dsnb.Sweep.load(path)
    assert both.frame()["source"].tolist() == ["emulator", "live"]
    assert both.summary()["source"].tolist() == ["emulator", "live"]
    with pytest.raises(errors.DsnbError, match="no common cost"):
        _ = both.cost
    assert dsnb.Sweep.load(path, source="live").cost == Decimal("0.5")


def test_every_column_has_its_name_once():
    assert len({*COLUMNS, *PROVENANCE}) == len(COLUMNS) + len(PROVENANCE)


def test_retries_of_a_cell_are_its_attempts(emulator):
    emulator.faults = [503, "ok"]
    with dsnb.connect(emulator.base_url, as_of=AS_OF, retry=QUICK, quiet=True) as ds:
        frame = dsnb.sweep(greet, {"n": [1]}, ds=ds).frame()
    assert frame["attempts"].tolist() == [2]
    assert frame["tries"].tolist() == [1]
