"""What may be spent: looked at before sending, kept with what was really taken."""

import threading
from decimal import Decimal

import pytest

import dsnb
from dsnb import errors
from dsnb.client.budget import Budget
from tests.once import ONCE, QUICK


@pytest.fixture
def emulator():
    with dsnb.Emulator() as emulator:
        yield emulator


@pytest.mark.parametrize(
    ("written", "limit", "unit"),
    [
        (0.5, "0.5", "USD"),
        (2, "2", "USD"),
        (Decimal("0.25"), "0.25", "USD"),
        ("0.50 USD", "0.50", "USD"),
        ("$0.50", "0.50", "USD"),
        ("¥3", "3", "CNY"),
        ("3 CNY", "3", "CNY"),
        ("200,000 tokens", "200000", "tokens"),
        ("200_000 tokens", "200000", "tokens"),
    ],
)
def test_limits_are_read_as_people_write_them(written, limit, unit):
    budget = Budget(written)
    assert (budget.limit, budget.unit) == (Decimal(limit), unit)


@pytest.mark.parametrize(
    "written", [0, -1, True, "", "much", "5 EUR", "$5 CNY", float("nan"), float("inf"), "1.2.3 USD"]
)
def test_what_is_no_limit_is_told(written):
    with pytest.raises(errors.ConfigurationError, match="is no limit"):
        Budget(written)


def spend(ds, **options):
    """Ask until the budget says no."""
    for number in range(100):
        try:
            ds.ask(f"hello {number}", **options)
        except errors.BudgetSpent as error:
            return str(error)
    raise AssertionError("the budget never ended")


@pytest.mark.parametrize("budget", ["2000 tokens", "0.0010 USD", "0.0070 CNY"])
def test_asking_ends_before_the_limit_is_passed(emulator, budget):
    with dsnb.connect(emulator.base_url, budget=budget, quiet=True) as ds:
        assert "was not sent" in spend(ds)
        assert 2 <= len(emulator.ledger()) < 20
        spent = {
            "tokens": sum(row.prompt_tokens + row.completion_tokens for row in emulator.ledger()),
            "USD": sum(row.cost.usd for row in emulator.ledger()),
            "CNY": sum(row.cost.cny for row in emulator.ledger()),
        }[ds.budget.unit]
        assert ds.budget.spent == spent <= ds.budget.limit
        assert ds.budget.left == ds.budget.limit - spent
        assert str(ds.budget.limit) in repr(ds.budget).replace(",", "")


def test_what_is_under_way_counts(emulator):
    budget = Budget("2000 tokens")
    with dsnb.connect(emulator.base_url, budget=budget, quiet=True) as ds:
        caught = []

        def ask():
            try:
                ds.ask("hello")
            except errors.BudgetSpent as error:
                caught.append(error)

        threads = [threading.Thread(target=ask) for _ in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert caught
        assert budget.spent <= budget.limit


def test_errors_cost_nothing_and_what_was_never_told_what_was_set_aside(emulator):
    with dsnb.connect(emulator.base_url, budget="100000 tokens", retry=ONCE, quiet=True) as ds:
        emulator.faults = [503]
        with pytest.raises(errors.ServerFailed):
            ds.ask("hello")
        assert ds.budget.spent == 0
        emulator.faults = ["cut@5"]
        ds.ask("hello")
        assert 1000 < ds.budget.spent < 1100
        with pytest.raises(errors.RequestRejected):
            ds.ask("hello", temperature=9)
        assert ds.budget._under_way == {}


def test_every_request_of_a_turn_counts(emulator):
    @dsnb.tool
    def get_price(symbol: str) -> float:
        """Return the price of a stock."""
        return 12.5

    with dsnb.connect(emulator.base_url, budget="100000 tokens", retry=QUICK, quiet=True) as ds:
        emulator.faults = ["ok", 503, "ok"]
        reply = ds.ask("get_price of AAPL", tools=[get_price])
        assert reply.usage.total_tokens == ds.budget.spent
    with dsnb.connect(emulator.base_url, budget="1300 tokens", quiet=True) as ds:
        spend(ds, tools=[get_price])
        assert ds.budget.spent <= ds.budget.limit


def test_a_host_without_known_prices_needs_a_limit_in_tokens(emulator):
    host = dsnb.Provider("host", emulator.base_url)
    with dsnb.connect(host, budget=1, quiet=True) as ds, pytest.raises(errors.BudgetSpent, match="nobody here knows"):
        ds.ask("hello")
    with dsnb.connect(host, budget="5000 tokens", quiet=True) as ds:
        assert ds.ask("hello").outcome == "stop"
        assert ds.budget.spent > 0


def test_the_environment_sets_a_budget(monkeypatch, emulator):
    assert dsnb.connect(emulator.base_url, quiet=True).budget is None
    monkeypatch.setenv("DSNB_BUDGET", "0.25 USD")
    assert dsnb.connect(emulator.base_url, quiet=True).budget.limit == Decimal("0.25")
