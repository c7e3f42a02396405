"""Sweeps over other processes: sessions made anew there, accounts kept here, keys that stay at home.

Kills of a coordinator with a cluster are in `python -m tests.bench sweep`: they take a minute.
"""

import multiprocessing
import os
import pickle
from concurrent.futures import ProcessPoolExecutor

import pytest

import dsnb
from dsnb import errors
from dsnb.client.budget import Budget
from dsnb.experiments.sweeping import worker
from tests.experiments import functions
from tests.experiments.clusters import local_cluster
from tests.experiments.killing import AS_OF, asked

pytestmark = pytest.mark.slow
SECRET = "sk-0123456789abcdef0123456789abcdef"  # noqa: S105 — nobody's


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with local_cluster(local_directory=tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster


@pytest.fixture
def dask(cluster):
    from distributed import Client

    with Client(cluster) as client:
        yield client.get_executor()


@pytest.fixture(params=["pool", "dask"])
def executor(request):
    return request.getfixturevalue(request.param)


def test_workers_ask_and_the_coordinator_keeps_account(executor, ds, emulator):
    limit = Budget("100000 tokens")
    found = dsnb.sweep(functions.greeting_from, {"n": range(12)}, ds=ds, executor=executor, budget=limit, workers=4)
    frame = found.frame()
    assert frame["n"].tolist() == list(range(12))
    assert os.getpid() not in set(frame["process"])
    assert set(frame["ledger"]) == {0}
    assert set(asked(emulator.requests()).values()) == {1}
    billed = sum(row.cost.usd for row in emulator.ledger())
    assert found.cost == ds.usage.cost() == billed
    turns = ds.usage.frame()
    assert (len(turns), set(turns["run"]), set(turns["outcome"])) == (12, {"greeting_from"}, {"stop"})
    assert limit.spent == sum(row.prompt_tokens + row.completion_tokens for row in emulator.ledger())


def test_the_coordinator_alone_keeps_to_budgets(pool, ds, emulator, monkeypatch):
    ds.budget = Budget("3000 tokens")
    found = dsnb.sweep(functions.budget_of, {"n": range(60)}, ds=ds, executor=pool)
    assert set(found.frame()["budget"]) == {"None"}
    assert 2 <= found.done < 60
    assert found.done + found.left == 60
    assert ds.budget.spent <= ds.budget.limit
    assert len(emulator.ledger()) == found.done


def test_errors_come_back_as_rows(executor, ds):
    found = dsnb.sweep(functions.refused, {"n": range(6)}, ds=ds, executor=executor)
    assert found.errors["n"].tolist() == [1, 3, 5]
    assert set(found.errors["error"]) == {"RequestRejected"}
    assert "temperature" in found.errors["error_message"].iloc[0]


@pytest.mark.parametrize(("function", "kind"), [(functions.buggy, LookupError), (functions.raising, RuntimeError)])
def test_bugs_end_the_sweep_with_the_place_where_they_are(executor, ds, function, kind):
    with pytest.raises(kind) as caught:
        dsnb.sweep(function, {"n": range(100)}, ds=ds, executor=executor, workers=2)
    assert caught.value.sweep.left >= 90
    assert any(f"in {function.__name__}" in note for note in caught.value.__notes__)


def test_every_error_of_ours_comes_through_a_pickle():
    for error in (
        errors.RetiredModel("gone", model="a", replacement="b", thinking=None),
        errors.RequestRejected("no", findings=[1]),
        errors.ServerFailed("down", status=503, phase="connect", attempts=2),
        errors.InvalidOutput("no JSON", problems=["x"]),
        errors.DsnbError("this"),
    ):
        copied = pickle.loads(pickle.dumps(error))  # noqa: S301 — our own
        assert (type(copied), str(copied), vars(copied)) == (type(error), str(error), vars(error))


def test_a_key_does_not_travel(pool, emulator, tmp_path):
    path = tmp_path / "kept.sqlite"
    with dsnb.connect(emulator.base_url, SECRET, as_of=AS_OF, quiet=True) as ds:
        assert SECRET.encode() not in pickle.dumps(worker.recipe(ds))
        with pytest.raises(errors.ConfigurationError, match=r"api_key that was given .* stays where it is"):
            dsnb.sweep(functions.greeting_from, {"n": [1, 2]}, ds=ds, executor=pool, store=path)
        assert emulator.requests() == []
        threads = dsnb.sweep(functions.greeting_from, {"n": [1, 2]}, ds=ds, store=path)
        assert threads.done == 2
    assert SECRET[-8:].encode() not in path.read_bytes()


def test_a_worker_finds_the_key_in_its_own_environment(emulator, monkeypatch):
    """As it does in each process: here both are one, without the session that was lent."""
    host = dsnb.Provider("host", "https://host.example/v1", key_variable="HOST_KEY")
    monkeypatch.setenv("HOST_KEY", SECRET)
    with dsnb.connect(host, quiet=True) as ds:
        recipe = worker.recipe(ds)
        assert recipe.obstacle is None
        assert SECRET not in repr(recipe)
        rebuilt = worker._rebuilt(recipe)
        assert (rebuilt.endpoint.provider, rebuilt.endpoint.key.reveal()) == (host, SECRET)
        rebuilt.close()
    worker._rebuilt.cache_clear()
    monkeypatch.delenv("HOST_KEY")
    with pytest.raises(errors.MissingKey, match=r"A worker has no key: .*HOST_KEY"):
        worker._rebuilt(recipe)
    with dsnb.connect(host, SECRET, quiet=True) as ds:  # given, and in nobody's environment
        assert "api_key" in worker.recipe(ds).obstacle


def test_functions_that_cannot_be_sent_are_told_before_anything_is(pool, ds, emulator):
    def local(ds, n):
        return ds.ask("hello")

    for function in (local, lambda ds, n: None):
        with pytest.raises(errors.ConfigurationError, match="top level of a module"):
            dsnb.sweep(function, {"n": [1]}, ds=ds, executor=pool, name="x")
    assert emulator.requests() == []


def test_dask_takes_functions_of_a_notebook(dask, ds):
    def local(ds, n):
        return {"reply": ds.ask(f"cell {n}"), "twice": 2 * n}

    assert dsnb.sweep(local, {"n": [1, 2]}, ds=ds, executor=dask).frame()["twice"].tolist() == [2, 4]


def test_a_pool_that_breaks_leaves_its_cells_in_doubt(ds, emulator, tmp_path):
    path, grid = tmp_path / "kept.sqlite", {"n": range(12), "folder": [str(tmp_path)]}
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as broken,
        pytest.raises(errors.ConfigurationError, match="The executor broke while cells were under way"),
    ):
        dsnb.sweep(functions.once_and_killed, grid, ds=ds, executor=broken, store=path, workers=2)
    kept = dsnb.Sweep.load(path)
    assert (kept.done, kept.in_doubt, kept.left) == (3, 2, 7)
    assert max(asked(emulator.requests()).values()) == 1


def test_dask_does_not_run_again_what_a_dead_worker_had_begun(cluster, ds, emulator, tmp_path):
    from distributed import Client

    grid = {"n": range(12), "folder": [str(tmp_path)]}
    with Client(cluster) as client:
        found = dsnb.sweep(functions.once_and_killed, grid, ds=ds, executor=client.get_executor(), workers=2)
    assert len((tmp_path / "runs").read_text().splitlines()) == 1
    assert max(asked(emulator.requests()).values()) == 1
    frame = found.frame().set_index("n")
    assert frame["outcome"][3] == "in doubt"
    assert found.left == 0
    assert found.done + found.in_doubt == 12
    assert found.in_doubt <= 2  # the other one that this worker may have had
