"""The tasks of a page's main thread, by chromium's own trace: how long each took, and what for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Page

_CATEGORIES = ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline", "v8"]
_LARGE = 5_000  # µs of reading html in one task: only the bundle of a long turn takes so long
_MOST = 0.5  # of a task that collects garbage, in which whatever else it does has no part


@dataclass(frozen=True)
class Task:
    """Hold the milliseconds of one task, of CPU and by the clock, and its ``kind``: live, swap or garbage."""

    cpu: float
    wall: float
    kind: str


@dataclass
class Tasks:
    """Hold the tasks of a trace, once it has ended."""

    events: list[dict[str, Any]] = field(default_factory=list)

    def longest(self, kind: str) -> Task:
        """Return the task of a kind that took the most CPU."""
        tasks = (task for task in self.all() if task.kind == kind)
        return max(tasks, key=lambda task: task.cpu, default=Task(0, 0, kind))

    def all(self) -> Iterator[Task]:
        """Yield each task."""
        named = (one for one in self.events if one["name"] == "thread_name" and one["args"]["name"] == "CrRendererMain")
        threads = {(one["pid"], one["tid"]) for one in named}
        spans = [one for one in self.events if one["ph"] == "X" and (one["pid"], one["tid"]) in threads]
        spans.sort(key=lambda span: (span["pid"], span["tid"], span["ts"], -span["dur"]))
        task: dict[str, Any] = {}
        inside: list[dict[str, Any]] = []
        for span in [*spans, {"name": "RunTask"}]:
            if span["name"] != "RunTask":
                inside.append(span)
                continue
            if task:
                yield Task(task.get("tdur", 0) / 1000, task["dur"] / 1000, _kind(task, inside))
            task, inside = span, []


@contextmanager
def traced(page: Page) -> Iterator[Tasks]:
    """Trace a page within a ``with`` block."""
    tasks = Tasks()
    ended: list[object] = []
    session = page.context.new_cdp_session(page)
    session.on("Tracing.dataCollected", lambda sent: tasks.events.extend(sent["value"]))
    session.on("Tracing.tracingComplete", lambda sent: ended.append(sent))
    session.send("Tracing.start", {"transferMode": "ReportEvents", "traceConfig": {"includedCategories": _CATEGORIES}})
    try:
        yield tasks
    finally:
        session.send("Tracing.end")
        while not ended:
            page.wait_for_timeout(100)
        session.detach()


def _kind(task: dict[str, Any], inside: list[dict[str, Any]]) -> str:
    read = sum(span.get("tdur", 0) for span in inside if span["name"] == "ParseHTML")
    collected, end = 0, 0
    for span in inside:
        if span["name"].startswith("V8.GC") and span["ts"] >= end:  # in no other
            collected += span.get("tdur", 0)
            end = span["ts"] + span["dur"]
    if collected > _MOST * task.get("tdur", 0):
        return "garbage"
    return "swap" if read > _LARGE else "live"
