"""Where the money went: sums that agree with the exact ones, and a picture that says the same."""

import re

import pytest

from dsnb.client.usage import Usage
from dsnb.contract import at
from dsnb.errors import DsnbError
from dsnb.usage import UsageLog
from dsnb.usage.money import KINDS
from tests.usage.calls import log_call
from tests.usage.test_figure import words


@pytest.fixture
def log():
    log = UsageLog()
    for run, calls in (("one", 3), ("two", 1)):
        with log.run(run):
            for _ in range(calls):
                log_call(log)
    return log


def test_the_parts_are_those_of_the_price_row(log):
    money = log.spend("run")
    assert money["run"].tolist() == ["one", "two"], "the most expensive first"
    usd = at("2026-11-16T12:00:00Z").price("deepseek-flash").usd
    one = money.iloc[0]
    assert one["cache hit"] == pytest.approx(3 * 512 * float(usd.hit) / 1e6)
    assert one["cache miss"] == pytest.approx(3 * 488 * float(usd.miss) / 1e6)
    assert one["reasoning"] == pytest.approx(3 * 150 * float(usd.output) / 1e6)
    assert one["answer"] == pytest.approx(3 * 50 * float(usd.output) / 1e6)
    assert one["saved"] == pytest.approx(3 * 512 * float(usd.miss - usd.hit) / 1e6)
    assert one["hit_rate"] == pytest.approx(0.512)
    assert (money["unpriced"] == 0).all()


@pytest.mark.parametrize("currency", ["USD", "CNY"])
@pytest.mark.parametrize("by", ["run", "model", "day", "effort", "outcome", "notebook", "peak"])
def test_whatever_it_goes_by_it_adds_up_to_the_exact_cost(log, by, currency):
    money = log.spend(by, currency)
    assert money["total"].sum() == pytest.approx(float(log.cost(currency)))
    assert money["total"].tolist() == pytest.approx(money[list(KINDS)].sum(axis="columns").tolist())


def test_what_is_not_known_is_counted_and_refusals_are_not(log):
    log_call(log, refused=2, usage=None, cost=None)
    log_call(log, model="somebody-elses", cost=None)
    money = log.spend("run")
    assert money.set_index("run")["unpriced"].to_dict() == {"one": 0, "two": 0, "?": 2}
    assert money["total"].sum() == pytest.approx(float(log.cost()))


def test_live_and_emulated_calls_stay_apart(log):
    log_call(log, source="emulator")
    money = log.spend("model")
    assert money["source"].tolist() == ["emulator", "live"]
    figure = log.plot(by="model")
    assert len(figure.axes) == 4
    assert [axes.get_title(loc="left").partition(" · ")[0] for axes in figure.axes[::2]] == ["live", "emulator"]


def test_labels_and_currencies_that_there_are_not(log):
    with pytest.raises(DsnbError, match="choose among run, notebook"):
        log.spend("colour")
    with pytest.raises(DsnbError, match="choose among run, notebook"):
        log.plot(by="colour")
    with pytest.raises(DsnbError, match="USD and CNY"):
        log.spend("run", "EUR")


def test_the_picture_says_what_the_frame_says(log):
    figure = log.plot(by="run")
    left = figure.axes[0]
    assert [label.get_text() for label in left.get_yticklabels()] == ["one", "two"]
    lengths = [[bar.get_width() for bar in kind] for kind in left.containers]
    money = log.spend("run")
    assert lengths == [pytest.approx(money[kind].tolist()) for kind in KINDS]
    shown = words(figure)
    assert f"live · spent by run · ${money['total'].sum():.3g}" in shown
    assert f"the cache saved ${money['saved'].sum():.3g}" in shown
    assert "hit rate · 51% of 4,000 prompt tokens" in shown
    assert figure.description == "<Figure: money by run and hit rate over time of 4 live attempts>"


def test_many_labels_become_few_bars_and_hostile_ones_are_only_text():
    log = UsageLog()
    for place in range(30):
        with log.run(f"run {place} $\\frac{{<b>}}$ {'x' * 40}"):
            log_call(log, usage=Usage(1000 + place, 10, 1010 + place, 0, 1000 + place, 0))
    figure = log.plot(by="run")
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(names) == 10
    assert names[-1] == "21 others"
    figure._repr_mimebundle_()  # is drawn
    assert all(len(name) <= 28 for name in names)


def test_an_empty_ledger_says_so():
    assert words(UsageLog().plot(by="run")) == ["Nothing has been logged yet."]
    assert UsageLog().spend("run").empty
    assert re.search("no attempts", UsageLog().plot(by="run").description)
