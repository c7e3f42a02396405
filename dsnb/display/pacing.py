"""What a turn has said so far, told in batches: what is new and where it belongs, a few times a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import copy_context
from threading import Lock, Thread
from typing import Any, Final

from dsnb.client.events import Event
from dsnb.client.tool_call import ToolCall
from dsnb.display.round import Round
from dsnb.display.text import line

INTERVAL: Final = 0.05  # seconds: 20 batches a second read as one flow; each wraps its text in some 150 bytes

_NOTICE: Final = 500  # characters
_PHASES: Final = {"queued": "queued", "reasoning": "thinking", "answer": "answering", "tool": "calling"}
_SILENT: Final = frozenset({"asking", "waiting", "queued"})  # phases in which no token comes


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
        *,
        prose: bool = True,
    ) -> None:
        self.progress = Progress(clock, prose=prose)
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
    changed besides. ``rounds`` has the news of each round, by its place; ``kept`` comes before them and says how many
    rounds are left where those after it are void. ``untold`` says whether there is any news, ``prose`` whether
    answers are read as Markdown.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, prose: bool = True) -> None:
        self.untold = False
        self._prose = prose
        self._clock = clock
        self._began = clock()
        self._phase, self._since = "asking", 0.0
        self._entered = {"asking"}
        self._phase_told = True
        self._tokens = 0
        self._first_token: float | None = None
        self._rounds: list[Round] = []
        self._news: set[int] = set()  # the places of rounds that have some
        self._again = False  # the next reasoning is another round's
        self._lasting = (0, 0)  # rounds and tokens that there were when the last tool ended
        self._kept: int | None = None
        self._notices: list[str] = []
        self._notices_told = 0
        self._ending: dict[str, Any] | None = None

    @property
    def now(self) -> float:
        """The seconds since the turn began."""
        return self._clock() - self._began

    def take(self, event: Event) -> bool:
        """Take one event; return whether it should be told at once."""
        if event.type == "retry":
            self._retry(event)
            return True
        if event.tool is not None and event.tool.result is not None and not event.text:
            self._finish(event.tool)
            return False
        if event.type == "reasoning" and event.text == "\n\n" and self._phase == "answering":
            self._again = True  # how the next request begins to think, where there were no tools to wait for
            return False
        first_time = self._enter(_PHASES.get(event.type))
        if event.type in {"reasoning", "answer"} or event.tool is not None:
            self._say(event)
        return first_time or event.moved

    def end(self, ending: dict[str, Any]) -> None:
        """Note that the turn is over, and what came of it."""
        for place, each in enumerate(self._rounds):
            each.end()
            self._news.add(place)
            for call in each.calls:
                if call.tool.result is not None and not call.ended:  # it was refused, and no tool has run
                    self._finish(call.tool)
        self._enter("done")
        self._ending = ending

    def batch(self) -> dict[str, Any]:
        """Return what has not been told, and take it as told."""
        self.untold = False
        batch: dict[str, Any] = {"at": round(self.now, 3), "tokens": self._tokens}
        if not self._phase_told:
            self._phase_told = True
            batch["phase"] = self._phase_times
            if self._ending is not None:
                batch["end"] = self._ending
        if self._kept is not None:
            batch["kept"], self._kept = self._kept, None
        if self._news:
            batch["rounds"] = [[place, self._rounds[place].news()] for place in sorted(self._news)]
            self._news.clear()
        if len(self._notices) > self._notices_told:
            batch["notices"] = self._notices[self._notices_told :]
            self._notices_told = len(self._notices)
        return batch

    def state(self) -> dict[str, Any]:
        """Return all there is as one batch, for a page that comes late; what is told next may overlap with it."""
        return {
            "at": round(self.now, 3),
            "tokens": self._tokens,
            "first": self._first_token,
            "phase": self._phase_times,
            "rounds": [[place, each.whole()] for place, each in enumerate(list(self._rounds))],
            "notices": list(self._notices),
            "end": self._ending,
        }

    @property
    def _phase_times(self) -> tuple[str, float]:
        """The phase, and when it began."""
        return self._phase, round(self._since, 3)

    def _enter(self, phase: str | None) -> bool:
        """Go over to a phase; return whether this turn has never been in it."""
        if phase is None or phase == self._phase or (phase == "queued" and self._phase not in _SILENT):
            return False  # a sign of life in mid-stream is no queue
        now = self.now
        if self._phase == "thinking":
            self._rounds[-1].thought += now - self._since
            self._news.add(len(self._rounds) - 1)
        self._phase, self._since, self._phase_told = phase, now, False
        self.untold = True
        first_time = phase not in self._entered
        self._entered.add(phase)
        return first_time

    def _say(self, event: Event) -> None:
        """Add an event's text to where it belongs."""
        current = self._current(begins=self._again and event.type == "reasoning" and not event.moved)
        self._again = False
        self.untold = True
        if event.moved:
            current.move(event.text)
            return
        if event.tool is not None:
            current.call(event.tool).arguments.add(event.text)
        else:
            (current.answer if event.type == "answer" else current.reasoning).add(event.text)
        self._tokens += 1
        if self._first_token is None:
            self._first_token = self.now

    def _current(self, *, begins: bool = False) -> Round:
        """Return the round that speaks: the next one where it begins, or where the tools of the last have ended."""
        if begins or len(self._rounds) == self._lasting[0]:
            if self._rounds:
                self._rounds[-1].end()
                self._news.add(len(self._rounds) - 1)
            self._rounds.append(Round(prose=self._prose))
        self._news.add(len(self._rounds) - 1)
        return self._rounds[-1]

    def _finish(self, tool: ToolCall) -> None:
        """Note that a tool has ended."""
        for place, each in enumerate(self._rounds):
            if (call := each.find(tool)) is not None:
                self._news.add(place)
                break
        else:
            call = self._current().call(tool)
            call.arguments.add(tool.arguments)
        call.ended = True
        self._lasting = len(self._rounds), self._tokens
        self._enter("calling" if self._rounds[-1].calling else "asking")
        self.untold = True

    def _retry(self, event: Event) -> None:
        """Note why the turn waits; what was said since the last tool ended may be void."""
        self._enter("waiting")
        self._notices.append(line(event.text, _NOTICE))
        self.untold = True
        if not event.anew:
            return
        kept, self._tokens = self._lasting
        del self._rounds[kept:]
        self._news = {place for place in self._news if place < kept}
        self._kept = kept if self._kept is None else min(self._kept, kept)
        self._again = False
