from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from math import prod
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsnb.contract import Cost, Price, Rates, at, cost, prices
from dsnb.errors import ConfigurationError, UnknownModel

CHAT, REASONER, FLASH, PRO = "deepseek-chat", "deepseek-reasoner", "deepseek-flash", "deepseek-v4-pro"
V4_FLASH, VISION = "deepseek-v4-flash", "deepseek-v4-flash-vision-exp"

# instant, model, USD and CNY as "hit miss output", worked out by hand from the published tables
CHARGED = [
    ("2024-12-26T00:00Z", CHAT, "0.014 0.14 0.28", "0.1 1 2"),
    ("2025-02-08T15:59:59Z", CHAT, "0.014 0.14 0.28", "0.1 1 2"),
    ("2025-02-08T16:00Z", CHAT, "0.07 0.27 1.10", "0.5 2 8"),
    ("2025-02-09T00:00Z", CHAT, "0.07 0.27 1.10", "0.5 2 8"),
    ("2025-02-20T20:00Z", CHAT, "0.07 0.27 1.10", "0.5 2 8"),
    ("2025-01-20T00:00Z", REASONER, "0.14 0.55 2.19", "1 4 16"),
    ("2025-02-01T12:00Z", REASONER, "0.14 0.55 2.19", "1 4 16"),
    ("2025-02-26T16:29:59Z", CHAT, "0.07 0.27 1.10", "0.5 2 8"),
    ("2025-02-26T16:30Z", CHAT, "0.035 0.135 0.55", "0.25 1 4"),
    ("2025-02-26T16:30Z", REASONER, "0.035 0.135 0.55", "0.25 1 4"),
    ("2025-02-27T00:29:59Z", REASONER, "0.035 0.135 0.55", "0.25 1 4"),
    ("2025-02-27T00:30Z", REASONER, "0.14 0.55 2.19", "1 4 16"),
    ("2025-02-27T00:30Z", CHAT, "0.07 0.27 1.10", "0.5 2 8"),
    ("2025-06-11T13:00Z", CHAT, "0.07 0.27 1.10", "0.5 2 8"),
    ("2025-06-11T23:00Z", CHAT, "0.035 0.135 0.55", "0.25 1 4"),
    ("2025-08-25T12:00Z", CHAT, "0.07 0.27 1.10", "0.5 2 8"),  # V3.1 at V3's price
    ("2025-08-25T12:00Z", REASONER, "0.14 0.55 2.19", "1 4 16"),
    ("2025-09-05T15:59:59Z", REASONER, "0.14 0.55 2.19", "1 4 16"),
    ("2025-09-05T16:00Z", REASONER, "0.07 0.56 1.68", "0.5 4 12"),
    ("2025-09-05T16:00Z", CHAT, "0.07 0.56 1.68", "0.5 4 12"),
    ("2025-09-06T20:00Z", CHAT, "0.07 0.56 1.68", "0.5 4 12"),
    ("2025-09-28T23:59:59Z", CHAT, "0.07 0.56 1.68", "0.5 4 12"),
    ("2025-09-29T00:00Z", CHAT, "0.028 0.28 0.42", "0.2 2 3"),
    ("2025-12-02T07:00Z", REASONER, "0.028 0.28 0.42", "0.2 2 3"),
    ("2026-04-23T23:59:59Z", REASONER, "0.028 0.28 0.42", "0.2 2 3"),
    ("2026-04-24T00:00Z", V4_FLASH, "0.028 0.14 0.28", "0.2 1 2"),
    ("2026-04-24T00:00Z", REASONER, "0.028 0.14 0.28", "0.2 1 2"),
    ("2026-04-24T12:00Z", PRO, "0.145 1.74 3.48", "1 12 24"),
    ("2026-04-26T00:00Z", PRO, "0.03625 0.435 0.87", "0.25 3 6"),
    ("2026-04-26T12:14:59Z", V4_FLASH, "0.028 0.14 0.28", "0.2 1 2"),
    ("2026-04-26T12:15Z", V4_FLASH, "0.0028 0.14 0.28", "0.02 1 2"),
    ("2026-04-26T12:15Z", PRO, "0.003625 0.435 0.87", "0.025 3 6"),
    ("2026-06-08T18:45Z", CHAT, "0.0028 0.14 0.28", "0.02 1 2"),
    ("2026-06-15T02:00Z", PRO, "0.003625 0.435 0.87", "0.025 3 6"),
    ("2026-08-16T15:59:59Z", PRO, "0.003625 0.435 0.87", "0.025 3 6"),
    ("2026-08-16T16:00Z", PRO, "0.022 0.66 1.98", "0.15 4.5 13.5"),
    ("2026-08-16T16:00Z", V4_FLASH, "0.007 0.22 0.66", "0.05 1.5 4.5"),
    ("2026-08-17T01:00Z", V4_FLASH, "0.014 0.44 1.32", "0.10 3 9"),
    ("2026-08-17T04:00Z", V4_FLASH, "0.007 0.22 0.66", "0.05 1.5 4.5"),
    ("2026-08-17T06:00Z", PRO, "0.044 1.32 3.96", "0.30 9 27"),
    ("2026-08-22T02:00Z", V4_FLASH, "0.014 0.44 1.32", "0.10 3 9"),
    ("2026-08-23T02:00Z", V4_FLASH, "0.007 0.22 0.66", "0.05 1.5 4.5"),
    ("2026-08-24T02:00Z", VISION, "0.014 0.44 1.32", "0.10 3 9"),
    ("2026-09-10T03:59:59Z", V4_FLASH, "0.014 0.44 1.32", "0.10 3 9"),
    ("2026-09-10T04:00Z", V4_FLASH, "0.003 0.15 0.60", "0.02 1 4"),
    ("2026-09-10T04:00Z", FLASH, "0.003 0.15 0.60", "0.02 1 4"),
    ("2026-09-10T06:00Z", FLASH, "0.006 0.30 1.20", "0.04 2 8"),
    ("2026-09-10T06:00Z", VISION, "0.006 0.30 1.20", "0.04 2 8"),
    ("2026-09-10T06:00Z", PRO, "0.044 1.32 3.96", "0.30 9 27"),
    ("2026-09-15T02:00Z", PRO, "0.044 1.32 3.96", "0.30 9 27"),  # the reroute to Flash never came
    ("2026-10-05T02:00Z", FLASH, "0.003 0.15 0.60", "0.02 1 4"),
    ("2026-10-10T02:00Z", FLASH, "0.003 0.15 0.60", "0.02 1 4"),
    ("2026-11-22T07:00Z", PRO, "0.022 0.66 1.98", "0.15 4.5 13.5"),
    ("2026-11-23T07:00Z", PRO, "0.044 1.32 3.96", "0.30 9 27"),
    ("2026-11-23T07:00Z", FLASH, "0.006 0.30 1.20", "0.04 2 8"),
    ("2026-11-23T12:00Z", V4_FLASH, "0.003 0.15 0.60", "0.02 1 4"),
]


def rates(text: str) -> Rates:
    return Rates(*map(Decimal, text.split()))


@pytest.mark.parametrize(("instant", "model", "usd", "cny"), CHARGED)
def test_what_was_charged(instant: str, model: str, usd: str, cny: str) -> None:
    found = at(instant).price(model)
    assert (found.usd, found.cny) == (rates(usd), rates(cny))
    assert found.since <= datetime.fromisoformat(instant)
    assert found.until is None or datetime.fromisoformat(instant) < found.until


COSTS = [
    [cell.strip() for cell in line.split("|")]
    for line in Path(__file__).with_name("costs.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]


def by_hand(sums: str) -> tuple[list[int], Decimal]:
    """Return the tokens of a sum like ``1 × 0.5 + 2 × 3 = 6.5``, and what it comes to; it must be right."""
    terms, total = sums.split(" = ")
    factors = [[Decimal(factor) for factor in term.split(" × ")] for term in terms.split(" + ")]
    assert sum(map(prod, factors)) == Decimal(total)
    return [int(tokens) for tokens, _ in factors], Decimal(total) / 1_000_000


@pytest.mark.parametrize("row", COSTS, ids=lambda row: f"{row[0]} {row[1]}")
def test_what_it_cost(row: list[str]) -> None:
    instant, model, usd, cny = row[:4]
    tokens, dollars = by_hand(usd)
    found = cost(*tokens, at(instant).price(model))
    assert found.usd == dollars
    if cny != "not known for sure":
        assert found.cny == by_hand(cny)[1]
        assert by_hand(cny)[0] == tokens


def test_the_costs_by_hand_are_of_every_price_with_the_seconds_where_it_changes() -> None:
    assert len(COSTS) >= 60
    reckoned = [at(instant).price(model) for instant, model, *_ in COSTS]
    instants = {datetime.fromisoformat(row[0]) for row in COSTS}
    sure = [row for row in prices.history() if row.confidence == "H"]
    assert not [row for row in sure if row not in reckoned]
    begins = {row.since for row in sure}
    assert begins <= instants
    assert {since - timedelta(seconds=1) for since in begins if since > min(instants)} - instants == {
        datetime.fromisoformat("2025-01-19T23:59:59Z")  # R1 was not there yet
    }


def test_a_price_can_be_asked_for_the_other_hours() -> None:
    peak, night = at("2026-11-23T02:00Z"), at("2026-02-15T02:00Z")
    assert peak.price(FLASH).peak
    assert peak.price(FLASH, peak=False).usd == rates("0.003 0.15 0.60")
    assert peak.price(peak.model(FLASH)) == peak.price(FLASH)
    assert not night.price(CHAT).peak
    assert night.price(CHAT, peak=True) == night.price(CHAT)  # one price all day


def test_no_price_without_a_model() -> None:
    with pytest.raises(UnknownModel):
        at("2026-02-15").price("deepseek-v4-pro")
    with pytest.raises(ConfigurationError, match="no price of 'deepseek-flash' is known at 2026-02-15"):
        prices.price("deepseek-flash", datetime.fromisoformat("2026-02-15T00:00Z"), peak=False)


def test_history_covers_every_moment_once() -> None:
    rows = prices.history()
    assert list(rows) == sorted(rows, key=lambda row: row.since)
    for model in {row.model for row in rows}:
        for peak in (False, True):
            mine = [row for row in rows if row.model == model and row.peak == peak]
            for before, after in pairwise(mine):
                assert before.until is not None
                assert before.until <= after.since
        ends = {row.until for row in rows if row.model == model and row.until}
        begins = {row.since for row in rows if row.model == model}
        assert begins - {min(begins)} <= ends  # no gap: every row but the first takes over from another


def test_peak_is_double_since_2026_08_16() -> None:
    for low in prices.history():
        twins = [r for r in prices.history() if (r.model, r.since, r.peak) == (low.model, low.since, True)]
        if low.peak or not twins or low.since.year < 2026:
            continue
        high = twins[0]
        for one, two in ((low.usd, high.usd), (low.cny, high.cny)):
            assert one is not None
            assert two is not None
            assert (one.hit * 2, one.miss * 2, one.output * 2) == (two.hit, two.miss, two.output)


def test_every_row_has_both_currencies_and_a_source() -> None:
    for row in prices.history():
        assert row.usd is not None, row
        assert row.cny is not None, row
        assert row.usd.hit < row.usd.miss < row.usd.output
        assert row.source


def test_cost_is_exact() -> None:
    price = at("2026-11-23T02:00Z").price(FLASH)
    assert cost(0, 0, 0, price) == Cost(Decimal(0), Decimal(0), price)
    one = cost(1, 1, 1, price)
    assert one.usd == Decimal("0.000001506")
    assert one.cny == Decimal("0.00001004")
    assert one.price is price
    whole = cost(5888, 13, 74, price)
    assert whole.usd == Decimal("0.000128028")
    assert repr(whole) == "Cost($0.000128028, ¥0.00085352)"


def test_cost_of_an_unknown_currency_stays_unknown() -> None:
    known = at("2026-11-23").price(PRO)
    half = Price("x", "x", False, known.usd, None, known.since, None, "a test", "L")
    found = cost(10, 10, 10, half)
    assert found.usd == Decimal("0.0000266200")
    assert found.cny is None
    assert repr(found) == "Cost($0.00002662, ¥?)"
    assert (found + cost(1, 1, 1, known)).cny is None


@given(st.lists(st.tuples(*[st.integers(0, 2**40)] * 3), min_size=1, max_size=8))
def test_costs_add_up_without_rounding(tokens: list[tuple[int, int, int]]) -> None:
    price = at("2026-05-01").price(PRO)  # the longest decimals: 0.003625
    total = sum(cost(*some, price) for some in tokens)
    assert isinstance(total, Cost)
    assert (total.usd, total.cny) == (
        cost(*map(sum, zip(*tokens, strict=True)), price).usd,  # type: ignore[arg-type]
        cost(*map(sum, zip(*tokens, strict=True)), price).cny,  # type: ignore[arg-type]
    )
    assert total.price is price


def test_a_sum_over_different_prices_names_none() -> None:
    cheap, dear = at("2026-11-23T12:00Z").price(FLASH), at("2026-11-23T02:00Z").price(FLASH)
    both = cost(0, 0, 10, cheap) + cost(0, 0, 10, dear)
    assert both == Cost(Decimal("0.000018"), Decimal("0.00012"), None)
    with pytest.raises(TypeError):
        both + 1  # type: ignore[operator]
