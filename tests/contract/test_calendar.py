from datetime import UTC, date, datetime, timedelta

import holidays
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsnb.contract import at
from dsnb.contract.calendar import BEIJING, calendar


def is_peak(instant: str) -> bool:
    return calendar().is_peak(datetime.fromisoformat(instant))


@pytest.mark.parametrize(
    ("instant", "peak"),
    [
        # one price all day
        ("2025-02-01T10:00Z", False),
        ("2025-02-26T16:29Z", False),
        ("2025-12-01T02:00Z", False),
        ("2026-08-16T15:59Z", False),
        # the night discount, 16:30-00:30 UTC over midnight
        ("2025-02-26T16:30Z", False),
        ("2025-02-27T00:29Z", False),
        ("2025-02-27T00:30Z", True),
        ("2025-02-27T12:00Z", True),
        ("2025-02-27T16:29Z", True),
        ("2025-02-27T16:30Z", False),
        ("2025-02-28T00:00Z", False),
        ("2025-06-14T12:00Z", True),  # a Saturday like any other day
        ("2025-05-01T12:00Z", True),  # and so a holiday
        ("2025-09-05T15:59Z", True),
        ("2025-09-05T16:00Z", False),
        ("2025-09-06T12:00Z", False),
        # office hours: the first Monday, edge by edge
        ("2026-08-16T16:00Z", False),
        ("2026-08-17T00:59:59Z", False),
        ("2026-08-17T01:00Z", True),
        ("2026-08-17T03:59:59Z", True),
        ("2026-08-17T04:00Z", False),
        ("2026-08-17T05:59:59Z", False),
        ("2026-08-17T06:00Z", True),
        ("2026-08-17T09:59:59Z", True),
        ("2026-08-17T10:00Z", False),
        ("2026-08-17T09:00+08:00", True),
        # weekends since Sunday, 2026-08-23
        ("2026-08-22T02:00Z", True),
        ("2026-08-23T02:00Z", False),
        ("2026-08-24T02:00Z", True),
        ("2026-08-29T07:00Z", False),
        ("2026-11-20T16:30Z", False),  # Friday night in UTC, Saturday in Beijing
        ("2026-11-22T23:59Z", False),  # Sunday in UTC, Monday morning in Beijing
        ("2026-11-23T01:00Z", True),
        # public holidays, and the working days that make up for them
        ("2026-09-24T02:00Z", True),
        ("2026-09-25T02:00Z", False),  # Mid-Autumn, a Friday
        ("2026-09-28T02:00Z", True),
        ("2026-09-30T07:00Z", True),
        ("2026-10-01T07:00Z", False),
        ("2026-10-07T07:00Z", False),
        ("2026-10-08T07:00Z", True),
        ("2026-09-20T02:00Z", False),  # a Sunday of work
        ("2026-10-10T02:00Z", False),  # a Saturday of work
        ("2027-01-01T02:00Z", False),
        ("2027-02-09T02:00Z", False),
    ],
)
def test_peak_hours(instant: str, peak: bool) -> None:
    assert is_peak(instant) is peak


@pytest.mark.parametrize(
    ("instant", "change", "peak"),
    [
        ("2025-01-01T00:00Z", "2025-02-27T00:30Z", True),
        ("2025-02-27T00:30Z", "2025-02-27T16:30Z", False),
        ("2025-02-27T20:00Z", "2025-02-28T00:30Z", True),
        ("2025-09-05T12:00Z", "2025-09-05T16:00Z", False),
        ("2025-09-05T16:00Z", "2026-08-17T01:00Z", True),  # a year without hours
        ("2026-08-21T07:00Z", "2026-08-21T10:00Z", False),
        ("2026-08-21T10:00Z", "2026-08-22T01:00Z", True),  # the last Saturday with peak hours
        ("2026-08-22T12:00Z", "2026-08-24T01:00Z", True),
        ("2026-09-30T10:00Z", "2026-10-08T01:00Z", True),  # over the National Day holiday
        ("2026-11-23T01:00Z", "2026-11-23T04:00Z", False),
        ("2026-11-23T00:59:59Z", "2026-11-23T01:00Z", True),
    ],
)
def test_next_change(instant: str, change: str, peak: bool) -> None:
    assert calendar().next_change(datetime.fromisoformat(instant)) == (datetime.fromisoformat(change), peak)


@given(st.datetimes(datetime(2024, 12, 26), datetime(2028, 1, 1)), st.floats(0, 1))
def test_nothing_changes_before_the_next_change(instant: datetime, share: float) -> None:
    moment, found = instant.replace(tzinfo=UTC), calendar()
    change = found.next_change(moment)
    assert change is not None
    when, peak = change
    assert when > moment
    assert found.is_peak(when) is peak is not found.is_peak(moment)
    between = moment + (when - moment) * share
    assert found.is_peak(min(between, when - timedelta(microseconds=1))) is not peak


@given(st.datetimes(datetime(2026, 8, 23), datetime(2028, 1, 1), timezones=st.just(UTC)))
def test_utc_and_beijing_agree_on_the_day_inside_the_windows(instant: datetime) -> None:
    if calendar().is_peak(instant):
        assert instant.date() == instant.astimezone(BEIJING).date()


def test_a_naive_time_is_utc() -> None:
    assert calendar().is_peak(datetime(2026, 11, 23, 2))
    assert not calendar().is_peak(datetime(2026, 11, 23, 11))


@pytest.mark.parametrize("year", [2026, 2027])
def test_the_holidays_are_those_of_a_maintained_library(year: int) -> None:
    """If this fails for a coming year, its notice is out: replace the year's rows in calendar.toml."""
    library = {day for day in holidays.country_holidays("CN", years=year) if day.year == year}
    ours = {day for day in calendar().holidays if day.year == year}
    assert {day for day in ours if day.weekday() < 5} == {day for day in library if day.weekday() < 5}
    assert {day for day in library if day.weekday() >= 5} <= ours


def test_working_weekends_are_days_off_here() -> None:
    library = holidays.country_holidays("CN", years=2026)
    made_up = [day for day in library.weekend_workdays if day.year == 2026]
    assert date(2026, 10, 10) in made_up
    for day in made_up:
        assert calendar().is_day_off(day)


def test_the_contract_carries_the_calendar() -> None:
    assert at("2026-11-23").calendar is calendar()
