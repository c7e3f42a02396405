"""The ledger's explorer: choices where there are widgets, and one plain picture everywhere."""

import pytest

import dsnb
from dsnb.display.explorer import LABELS, Explorer
from dsnb.usage.totals import LABELS as KNOWN
from tests.usage.calls import log_call


@pytest.fixture
def shown(monkeypatch):
    """What is displayed and updated, in their order."""
    said = []
    monkeypatch.setattr("dsnb.display.explorer.display", lambda thing: said.append(("display", thing)))
    monkeypatch.setattr("dsnb.display.explorer.DisplayHandle.display", lambda _, thing: said.append(("picture", thing)))
    monkeypatch.setattr("dsnb.display.explorer.DisplayHandle.update", lambda _, thing: said.append(("update", thing)))
    return said


@pytest.fixture
def log():
    log = dsnb.UsageLog()
    log_call(log)
    return log


def test_without_widgets_there_is_the_picture_alone(shown, log):
    with dsnb.render("final"):
        Explorer(log)._ipython_display_()
    [(kind, picture)] = shown
    assert kind == "picture"
    assert "money by model" in picture.description


def test_each_choice_draws_the_picture_anew(shown, log):
    explorer = Explorer(log)
    with dsnb.render("live"):
        explorer._ipython_display_()
    (_, choices), (_, first) = shown
    by, currency, again = choices.children
    by.value = "run"
    currency.value = "CNY"
    log_call(log)
    again.click()
    kinds = [kind for kind, _ in shown]
    assert kinds == ["display", "picture", "update", "update", "update"]
    descriptions = [picture.description for _, picture in shown[1:]]
    assert "money by model" in descriptions[0]
    assert all("money by run" in each for each in descriptions[1:])
    assert "2 live attempts" in descriptions[-1]
    assert "¥" in shown[-1][1].axes[0].get_title(loc="left")
    assert "1 live attempt" in first.description


def test_a_session_has_one_and_it_says_what_it_is():
    with dsnb.Emulator() as emulator, dsnb.connect(emulator.base_url, quiet=True) as ds:
        ds.ask("hello", render=None)
        explorer = ds.explore("effort", "CNY")
    assert repr(explorer) == "<Explorer of <UsageLog in memory · 1 turn · 1 attempt · emulator> by effort>"
    assert explorer.picture.description.startswith("<Figure: money by effort")


def test_it_offers_what_a_ledger_can_be_summed_by():
    assert set(LABELS) <= set(KNOWN)
