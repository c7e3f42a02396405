"""The history of prices as a frame."""

import pandas as pd

import dsnb
from dsnb.contract.prices import history


def test_every_price_is_a_row_with_its_time_and_its_source() -> None:
    frame = dsnb.prices
    assert len(frame) == len(history())
    assert list(frame.columns) == [
        *("model", "period", "peak", "since", "until"),
        *("usd_hit", "usd_miss", "usd_output", "cny_hit", "cny_miss", "cny_output"),
        *("source", "confidence"),
    ]
    for row, price in zip(frame.itertuples(), history(), strict=True):
        assert (row.model, row.peak, row.since.to_pydatetime()) == (price.model, price.peak, price.since)
        assert row.until == price.until or (price.until is None and row.until is pd.NaT)
        assert (row.usd_hit, row.usd_output) == (float(price.usd.hit), float(price.usd.output))
        assert (row.cny_miss, row.source) == (float(price.cny.miss), price.source)


def test_it_can_be_asked_what_something_cost_when() -> None:
    frame, then = dsnb.prices, pd.Timestamp("2026-03-01", tz="UTC")
    rows = frame[(frame.since <= then) & ((then < frame.until) | frame.until.isna()) & (frame.model == "deepseek-chat")]
    assert rows[["usd_hit", "usd_miss", "usd_output"]].to_numpy().tolist() == [[0.028, 0.28, 0.42]]


def test_what_somebody_does_to_it_stays_theirs() -> None:
    frame = dsnb.prices
    frame["usd_hit"] = 0
    frame.loc[0, "model"] = "mine"
    assert dsnb.prices.usd_hit.min() > 0
    assert dsnb.prices.model[0] == history()[0].model
