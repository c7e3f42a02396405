"""Instants, and the hours at which the API costs more: daily windows, weekends and public holidays.

The rows stand in ``data/calendar.toml``. Windows and days are Beijing's, where DeepSeek states them; instants are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, time, timedelta, timezone
from functools import cache
from typing import Any

from dsnb.contract.data import read
from dsnb.errors import ConfigurationError

BEIJING = timezone(timedelta(hours=8), "Beijing")  # no daylight saving time since 1991

_SATURDAY = 5
_HORIZON = 30  # days to look ahead: longer than any holiday with the weekends at its ends


def utc(instant: datetime | date | str) -> datetime:
    """Return ``instant`` as an aware UTC datetime.

    A naive datetime is read as UTC and a date as its 00:00; text is ISO 8601. Raises `ConfigurationError` for
    anything else.
    """
    moment: object = _parsed(instant) if isinstance(instant, str) else instant
    if isinstance(moment, date) and MINYEAR < moment.year < MAXYEAR:  # the outermost years overflow in other zones
        if not isinstance(moment, datetime):
            return datetime.combine(moment, time(), UTC)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if isinstance(moment, date):
        raise ConfigurationError(f"the year of {moment} is out of reach: choose one between {MINYEAR} and {MAXYEAR}.")
    message = f"a time is a datetime, a date or ISO text, not {type(moment).__name__}: try '2026-11-23'."
    raise ConfigurationError(message)


def _parsed(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        message = f"{text!r} is not a time: write it like '2026-11-23' or '2026-11-23T08:30:00Z'."
        raise ConfigurationError(message) from None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Hold the peak windows of one period, as times since a Beijing midnight; they begin inclusive, end exclusive.

    Days off have no peak from ``days_off_since`` on (None: they are like any other day).
    """

    name: str
    since: datetime
    until: datetime | None
    peak: tuple[tuple[timedelta, timedelta], ...]
    days_off_since: date | None
    source: str
    confidence: str

    def holds(self, instant: datetime) -> bool:
        """Return whether the period includes ``instant``."""
        return self.since <= instant and (self.until is None or instant < self.until)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Tell peak from off-peak hours at any instant; a time with one price all day counts as off-peak."""

    schedules: tuple[Schedule, ...]
    holidays: frozenset[date]

    def is_day_off(self, day: date) -> bool:
        """Return whether ``day`` (in Beijing) is a weekend or a Chinese public holiday.

        A weekend on which work is made up stays a day off: the pricing page names Monday to Friday.
        """
        return day.weekday() >= _SATURDAY or day in self.holidays

    def is_peak(self, instant: datetime) -> bool:
        """Return whether ``instant`` lies in a peak window."""
        moment = utc(instant)
        schedule = next((schedule for schedule in self.schedules if schedule.holds(moment)), None)
        if schedule is None:
            return False
        midnight = _midnight(moment)
        day = midnight.date()
        if schedule.days_off_since and schedule.days_off_since <= day and self.is_day_off(day):
            return False
        return any(start <= moment - midnight < end for start, end in schedule.peak)

    def next_change(self, instant: datetime) -> tuple[datetime, bool] | None:
        """Return when peak next begins or ends after ``instant``, and whether it is peak then; None for never."""
        moment = utc(instant)
        now = self.is_peak(moment)
        edges: set[datetime] = set()
        for schedule in self.schedules:
            if schedule.until is None or moment < schedule.until:
                first = _midnight(max(moment, schedule.since))
                days = [first + timedelta(days=n) for n in range(_HORIZON)]
                edges |= {utc(day + clock) for day in days for window in schedule.peak for clock in window}
                edges |= {schedule.until} if schedule.until else set()
        change = next((edge for edge in sorted(edges) if moment < edge and self.is_peak(edge) is not now), None)
        return None if change is None else (change, not now)


@cache
def calendar() -> Calendar:
    """Return the calendar of all periods."""
    data = read("calendar.toml")
    holidays = {
        row["first"] + timedelta(days=n)
        for row in data["holiday"]
        for n in range((row.get("last", row["first"]) - row["first"]).days + 1)
    }
    return Calendar(tuple(_schedule(row) for row in data["schedule"]), frozenset(holidays))


def _schedule(row: dict[str, Any]) -> Schedule:
    windows = tuple((_clock(start), _clock(end)) for start, end in row["peak"])
    return Schedule(**{"until": None, "days_off_since": None} | row | {"peak": windows})


def _clock(text: str) -> timedelta:
    """Return the time since midnight; unlike a `datetime.time` it can be 24:00."""
    hours, minutes = map(int, text.split(":"))
    return timedelta(hours=hours, minutes=minutes)


def _midnight(instant: datetime) -> datetime:
    return datetime.combine(instant.astimezone(BEIJING).date(), time(), BEIJING)
