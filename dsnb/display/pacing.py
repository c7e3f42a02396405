"""What a turn has said so far, told in batches: what is new and where it belongs, a few times a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import copy_context
from io import StringIO
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Final

from dsnb.display.text import legible, line

if TYPE_CHECKING:
    from dsnb.client.events import Event
    from dsnb.client.tool_call import ToolCall

INTERVAL: Final = 0.05  # seconds: 20 batches a second read as one flow; each wraps its text in some 150 bytes

_NOTICE: Final = 500  # characters
_PHASES: Final = {"queued": "queued", "reasoning": "thinking", "answer": "answering", "tool": "calling"}


class Pacing:
    """Tell a turn by its events: the first at once, then what has gathered every ``interval`` seconds.

    ``tell`` takes each batch. A phase that the turn enters for the first time, a retry, and text that moved are told
    at once. What gathered before a silence does not wait for its end: a thread tells it, and ends when all is told,
    so ``tell`` must not mind being called from there (never twice at a time).
    """

    def __init__(
        self,
        tell: Callable[[dict[str, Any]], None],
        interval: float = INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.progress = Progress(clock)
        self._tell = tell
        self._interval = interval
        self._due = 0.0
        self._lock = Lock()
        self._teller: Thread | None = None

    def take(self, event: Event) -> None:
        """Take one event, and tell what is due."""
        progress = self.progress
        with self._lock:
            if progress.take(event) or (progress.untold and progress.now >= self._due):
                self._tell_now()
            elif progress.untold and self._teller is None:
                # in this context, so that the kernel knows which cell the messages belong to
                self._teller = Thread(target=copy_context().run, args=(self._tell_later,), daemon=True)
                self._teller.start()

    def end(self, ending: dict[str, Any]) -> None:
        """Tell all that is untold, and what came of the turn."""
        with self._lock:
            self.progress.end(ending)
            self._tell_now()

    def _tell_now(self) -> None:
        self._due = self.progress.now + self._interval
        self._tell(self.progress.batch())

    def _tell_later(self) -> None:
        while True:
            time.sleep(max(0.0, self._due - self.progress.now))
            with self._lock:
                if not self.progress.untold:
                    self._teller = None
                    return
                if self.progress.now >= self._due:
                    self._tell_now()


class Progress:
    """Follow a turn by its events, and know what of it has not been told.

    A batch is a small dict for JSON: ``at``, the seconds since the turn began, ``tokens`` so far, and only what has
    changed besides. ``untold`` says whether there is any.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.untold = False
        self._clock = clock
        self._began = clock()
        self._phase, self._since = "asking", 0.0
        self._entered = {"asking"}
        self._phase_told = True
        self._thought = 0.0
        self._tokens = 0
        self._first_token: float | None = None
        self._reasoning, self._answer = Passage(), Passage()
        self._moved = False
        self._calls: list[tuple[ToolCall, Passage]] = []
        self._calls_told = 0
        self._notices: list[str] = []
        self._notices_told = 0
        self._ending: dict[str, Any] | None = None

    @property
    def now(self) -> float:
        """The seconds since the turn began."""
        return self._clock() - self._began

    def take(self, event: Event) -> bool:
        """Take one event; return whether it should be told at once."""
        urgent = self._enter(_PHASES.get(event.type))
        if event.type == "retry":
            self._notices.append(line(event.text, _NOTICE))
            urgent = True
        elif event.moved:
            self._reasoning.add(event.text)
            self._answer = Passage()
            self._moved = urgent = True
        elif (passage := self._passage(event)) is not None:
            passage.add(event.text)
            self.untold = True
            self._tokens += 1
            if self._first_token is None:
                self._first_token = self.now
        self.untold |= urgent
        return urgent

    def end(self, ending: dict[str, Any]) -> None:
        """Note that the turn is over, and what came of it."""
        self._enter("done")
        self._ending = ending

    def batch(self) -> dict[str, Any]:
        """Return what has not been told, and take it as told."""
        self.untold = False
        batch: dict[str, Any] = {"at": round(self.now, 3), "tokens": self._tokens}
        if not self._phase_told:
            self._phase_told = True
            batch["phase"] = self._phase_times()
            if self._ending is not None:
                batch["end"] = self._ending
        if self._moved:
            self._moved = False
            batch["moved"] = True
        for name, passage in (("reasoning", self._reasoning), ("answer", self._answer)):
            if (piece := passage.take()) is not None:
                batch[name] = piece
        calls = []
        for place, (call, arguments) in enumerate(self._calls):
            piece = arguments.take()
            if piece is not None or place >= self._calls_told:  # a call opens with its name alone
                calls.append([place, line(call.name), *(piece or (0, ""))])
        if calls:
            self._calls_told = len(self._calls)
            batch["calls"] = calls
        if len(self._notices) > self._notices_told:
            batch["notices"] = self._notices[self._notices_told :]
            self._notices_told = len(self._notices)
        return batch

    def state(self) -> dict[str, Any]:
        """Return all there is, for a page that comes late; what it is told next may overlap with this."""
        return {
            "at": round(self.now, 3),
            "tokens": self._tokens,
            "first": self._first_token,
            "phase": self._phase_times(),
            "reasoning": self._reasoning.text,
            "answer": self._answer.text,
            "calls": [[line(call.name), arguments.text] for call, arguments in self._calls],
            "notices": list(self._notices),
            "end": self._ending,
        }

    def _phase_times(self) -> list[Any]:
        """Return the phase, when it began, and how long the turn has been thinking before it."""
        return [self._phase, round(self._since, 3), round(self._thought, 3)]

    def _enter(self, phase: str | None) -> bool:
        """Go over to a phase; return whether this turn has never been in it."""
        if phase is None or phase == self._phase or (phase == "queued" and self._tokens):
            return False  # a sign of life in mid-stream is no queue
        now = self.now
        if self._phase == "thinking":
            self._thought += now - self._since
        self._phase, self._since, self._phase_told = phase, now, False
        self.untold = True
        first_time = phase not in self._entered
        self._entered.add(phase)
        return first_time

    def _passage(self, event: Event) -> Passage | None:
        """Return the text that an event adds to."""
        if event.type == "answer":
            return self._answer
        if event.type == "reasoning":
            return self._reasoning
        if event.tool is None:
            return None
        for call, arguments in reversed(self._calls):
            if call is event.tool:
                return arguments
        self._calls.append((event.tool, Passage()))
        return self._calls[-1][1]


class Passage:
    """Hold a text that grows, and know how much of it has been told; what it tells is legible."""

    __slots__ = ("_fresh", "_told", "_whole")

    def __init__(self) -> None:
        self._whole = StringIO()
        self._fresh: list[str] = []
        self._told = 0

    @property
    def text(self) -> str:
        """The whole text so far, legible."""
        return legible(self._whole.getvalue())

    def add(self, text: str) -> None:
        """Add what comes next."""
        self._whole.write(text)
        self._fresh.append(text)

    def take(self) -> tuple[int, str] | None:
        """Return what has not been told and where it begins, counted in UTF-16 units as a page counts."""
        text = legible("".join(self._fresh))
        if not text:
            return None
        offset = self._told
        self._fresh.clear()
        self._told += len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
        return offset, text
