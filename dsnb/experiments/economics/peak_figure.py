"""The hours ahead as a picture: a line a day, its peak hours filled."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsnb.contract.calendar import BEIJING, Calendar, calendar
from dsnb.contract.data import read
from dsnb.errors import ConfigurationError
from dsnb.experiments.economics.off_peak import OffPeak
from dsnb.picture import ACCENT, INK, OTHER, Picture, bare, style

_HOUR: Final = timedelta(hours=1)
_MARKS: Final = range(0, 25, 3)


def draw(found: OffPeak, days: int) -> Figure:
    """Return the picture of so many days from the day of ``found.at`` on, by Beijing's clock."""
    if not 1 <= days <= 60:
        raise ConfigurationError(f"A picture has between 1 and 60 days, not {days}.")
    first = found.at.astimezone(BEIJING).date()
    with style():
        figure = Picture(8, 1 + 0.24 * days, f"<Figure: peak hours of {days} days from {first} on>")
        axes = figure.subplots()
        for line in range(days):
            _draw_day(axes, line, first + timedelta(days=line))
        now = found.at.astimezone(BEIJING)
        axes.plot([now.hour + now.minute / 60], [0], "o", color=OTHER, markersize=8, markeredgecolor="white", zorder=3)
        axes.set_title(f"peak hours; the dot is {found.at:%Y-%m-%d %H:%M} UTC", loc="left", color=INK, size=10)
        axes.set_xlim(0, 24)
        axes.set_ylim(days - 0.4, -0.6)
        axes.set_xticks(_MARKS, [f"{hour:02}:00" for hour in _MARKS])
        axes.set_xlabel("Beijing (UTC is 8 hours behind)")
        axes.set_yticks(range(days), [f"{first + timedelta(days=line):%a %d %b}" for line in range(days)])
        bare(axes)
        axes.spines["bottom"].set_visible(False)
        axes.grid(visible=False)
        return figure


def _draw_day(axes: Axes, line: int, day: date) -> None:
    axes.barh([line], [24], 0.72, color=INK, alpha=0.16, linewidth=0)
    peaks = _peaks(calendar(), day)
    for begin, end in peaks:
        axes.barh([line], [end - begin], 0.72, begin, color=ACCENT, linewidth=0)
    for row in read("calendar.toml")["holiday"]:
        if not peaks and row["first"] <= day <= row.get("last", row["first"]):
            axes.text(12, line + 0.04, row["name"], color=INK, ha="center", va="center", size=8)


def _peaks(hours: Calendar, day: date) -> list[tuple[float, float]]:
    """Return the peak hours of a day in Beijing, as begin and end in hours since its midnight."""
    midnight = datetime.combine(day, time(), BEIJING)
    end, edges = midnight + timedelta(days=1), [midnight]
    while (change := hours.next_change(edges[-1])) and change[0] < end:
        edges.append(change[0])
    peaks = [(begin, after) for begin, after in pairwise([*edges, end]) if hours.is_peak(begin)]
    return [((begin - midnight) / _HOUR, (after - midnight) / _HOUR) for begin, after in peaks]
