"""What waiting saves, and when the next off-peak hours begin."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pandas as pd
import pytest

import dsnb
from dsnb.client.usage import Usage
from dsnb.errors import ConfigurationError, UnknownModel
from dsnb.experiments.economics import off_peak
from dsnb.usage import UsageLog
from tests.usage.calls import log_call

WORK = (1_000_000, 200_000, 50_000)  # off-peak 3,000 + 30,000 + 30,000 millionths of a dollar
PEAK, NIGHT = "2026-11-16T02:10Z", "2026-11-16T12:00Z"


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("at", "is_peak", "begins", "ends"),
    [
        ("2026-11-16T02:10Z", True, "2026-11-16T04:00Z", "2026-11-16T06:00Z"),  # a Monday: noon in Beijing
        ("2026-11-16T04:00Z", False, "2026-11-16T04:00Z", "2026-11-16T06:00Z"),
        ("2026-11-16T09:59:59Z", True, "2026-11-16T10:00Z", "2026-11-17T01:00Z"),
        ("2026-11-20T09:00Z", True, "2026-11-20T10:00Z", "2026-11-23T01:00Z"),  # a Friday: the weekend follows
        ("2026-11-21T02:00Z", False, "2026-11-21T02:00Z", "2026-11-23T01:00Z"),
        ("2026-09-30T07:00Z", True, "2026-09-30T10:00Z", "2026-10-08T01:00Z"),  # National Day follows
        ("2026-10-05T02:00Z", False, "2026-10-05T02:00Z", "2026-10-08T01:00Z"),
        ("2026-09-25T02:00Z", False, "2026-09-25T02:00Z", "2026-09-28T01:00Z"),  # Mid-Autumn Festival
    ],
)
def test_when_off_peak_hours_begin_and_end(at: str, is_peak: bool, begins: str, ends: str) -> None:
    found = off_peak(WORK, at=at)
    assert (found.is_peak, found.begins, found.ends) == (is_peak, instant(begins), instant(ends))
    assert found.off_peak.usd == Decimal("0.063")
    assert found.peak.usd == Decimal("0.126")
    assert found.now.usd == Decimal("0.126" if is_peak else "0.063")
    assert found.saving == Decimal("0.063" if is_peak else "0")


def test_it_says_what_waiting_saves() -> None:
    assert off_peak(WORK, at=PEAK).finding == (
        "It is peak now, and this costs $0.126; off-peak hours begin at Mon 2026-11-16 04:00 UTC "
        "(Mon 12:00 in Beijing), in 1 h 50 min, and to wait for them saves $0.063 (50%)."
    )
    assert off_peak(WORK, at=NIGHT, currency="CNY").finding == (
        "It is off-peak until Tue 2026-11-17 01:00 UTC (Tue 09:00 in Beijing): this costs ¥0.42 until then, "
        "and ¥0.84 in peak hours."
    )
    assert (
        repr(off_peak(WORK, at=PEAK)) == "<OffPeak 2026-11-16 02:10 UTC: $0.126 now, $0.063 off-peak, $0.126 at peak>"
    )


def test_a_time_with_one_price_says_so() -> None:
    found = off_peak(WORK, at="2026-02-15T02:00Z", model="deepseek-chat")
    assert (found.begins, found.ends, found.saving) == (found.at, None, 0)
    assert found.finding.endswith("there is one price all day.")


def test_the_night_discount_of_2025() -> None:
    day = off_peak(WORK, at="2025-06-11T12:00Z", model="deepseek-reasoner")
    assert (day.begins, day.ends) == (instant("2025-06-11T16:30Z"), instant("2025-06-12T00:30Z"))
    # 140,000 + 110,000 + 109,500 by day, 35,000 + 27,000 + 27,500 by night
    assert (day.now.usd, day.off_peak.usd) == (Decimal("0.3595"), Decimal("0.0895"))
    assert "(75%)" in day.finding


def test_off_peak_is_priced_as_it_will_be_then() -> None:
    last = off_peak(WORK, at="2026-09-10T03:00Z", model="deepseek-v4-flash")  # V4.1 and its prices come at 04:00
    assert last.begins == instant("2026-09-10T04:00Z")
    assert last.off_peak.usd == Decimal("0.063")
    assert last.now.usd == Decimal("0.168")  # 14,000 + 88,000 + 66,000


def test_a_ledger_a_frame_of_it_and_a_reply() -> None:
    log = UsageLog()
    log_call(log, usage=Usage(1_000, 100, 1_100, 600, 400, 0))
    log_call(log, usage=Usage(500, 50, 550, None, None, 0))  # not told what came from the cache: the dearer reading
    (part,) = off_peak(log, at=NIGHT).work
    assert (part.cache_hit_tokens, part.cache_miss_tokens, part.completion_tokens) == (600, 900, 150)
    assert off_peak(log.frame(), at=NIGHT).now == off_peak(log, at=NIGHT).now
    (row,) = off_peak(log, at=PEAK).frame().itertuples()
    assert row.now == 2 * row.off_peak
    with dsnb.Emulator(as_of=NIGHT) as emulator, dsnb.connect(emulator.base_url, as_of=NIGHT, quiet=True) as ds:
        reply = ds.ask("hello", render=None)
    assert off_peak(reply, at=NIGHT).now.usd == reply.cost.usd


def test_what_cannot_be_priced_is_said() -> None:
    log = UsageLog()
    log_call(log)
    log_call(log, usage=None)
    log_call(log, model="deepseek-chat")
    log_call(log, model="<b>somebody's</b>")
    found = off_peak(log, at=NIGHT)
    assert len(found.work) == 1
    notes = " ".join(found.notes)
    assert "The tokens of 1 attempt are not known" in notes
    assert "deepseek-chat has been switched off: its tokens are priced as deepseek-flash's." in notes
    shown = found._repr_mimebundle_()
    assert "somebody's" in shown["text/plain"]
    assert "<b>somebody" not in shown["text/html"]
    assert "<b>somebody" not in shown["text/markdown"]


def test_a_refused_attempt_is_not_missing_from_the_sums() -> None:
    options = {"as_of": NIGHT, "retry": dsnb.Retry(first=0.001), "quiet": True}
    with dsnb.Emulator(as_of=NIGHT, faults=[503]) as emulator, dsnb.connect(emulator.base_url, **options) as ds:
        reply = ds.ask("hello", render=None)
        found = off_peak(ds.usage, at=NIGHT)
    assert reply.attempts == 2
    assert (found.now.usd, found.notes) == (reply.cost.usd, ())


def test_an_empty_ledger_costs_nothing() -> None:
    found = off_peak(UsageLog(), at=PEAK)
    assert (found.now.usd, found.saving) == (0, 0)
    assert "$0" in found._repr_mimebundle_()["text/plain"]


def test_live_and_emulated_calls_are_not_added_up() -> None:
    log = UsageLog()
    log_call(log)
    log_call(log, source="emulator")
    with pytest.raises(ConfigurationError, match="emulator and live, which are never added up"):
        off_peak(log, at=NIGHT)
    frame = log.frame()
    assert off_peak(frame[frame.source == "live"], at=NIGHT).now.usd


@pytest.mark.parametrize("work", ["hello", (1, 2), (1, 2, -3), (1, 2, 3.5), None, object()])
def test_what_is_no_work(work: object) -> None:
    with pytest.raises(ConfigurationError, match="Work is a UsageLog"):
        off_peak(work, at=NIGHT)


def test_a_frame_of_something_else_and_a_model_of_nobody() -> None:
    with pytest.raises(ConfigurationError, match="lacks prompt_tokens"):
        off_peak(pd.DataFrame({"a": [1]}), at=NIGHT)
    with pytest.raises(UnknownModel):
        off_peak(WORK, model="deepseek-flush", at=NIGHT)


def test_weak_evidence_is_said_where_it_is_used() -> None:
    assert off_peak(WORK, at=NIGHT).notes == ()
    assert "Holidays of 2027 are not certain" in off_peak(WORK, at="2027-02-04T12:00Z").notes[0]


def test_without_an_instant_it_is_now() -> None:
    assert abs(off_peak(WORK).at - datetime.now(UTC)) < timedelta(minutes=5)
