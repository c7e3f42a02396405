"""The live panel: one widget that shows a turn while it runs, and a static bundle in its place when it has ended."""

from __future__ import annotations

import re
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import resources
from typing import Any, ClassVar, Final
from uuid import uuid4

import anywidget
import traitlets
from comm import DummyComm
from IPython.display import DisplayHandle

from dsnb.client.events import Event
from dsnb.client.reply import Reply
from dsnb.display import hearing, seams, summary, text
from dsnb.display.bundle import bundle
from dsnb.display.final import FinalView
from dsnb.display.pacing import Pacing
from dsnb.display.parts import Part
from dsnb.display.stop_button import StopButton
from dsnb.display.styles import style
from dsnb.errors import DsnbError, DsnbWarning

_LINGERING: Final = 8  # panels: more than one cell is likely to have had in sight when its page was loaded again


class LiveView:
    """Show a turn in one panel while it runs, and leave its static bundle when it ends.

    A view: called with every event, from the thread that asks, and closed once. The kernel sends only what is new
    (see `dsnb.display.pacing`); clocks tick in the page. At the end the panel gives way to plain html, markdown and
    text, since a widget that is left in the outputs is an error message in every notebook that is opened again.

    ``model``, ``thinking`` and ``effort`` are what was asked for; ``prose`` says whether the answer is Markdown;
    ``asked`` is the question, where it is one of a conversation, and ``stop`` what the panel's button does. Nothing
    that goes wrong in here reaches the caller: the view warns once, shows nothing more until the end, and then the
    whole reply. So it does, without a warning, where no kernel runs that could talk to a page.
    """

    def __init__(
        self,
        *,
        model: str,
        thinking: bool | None = None,
        effort: str | None = None,
        prose: bool = True,
        asked: Part | None = None,
        stop: StopButton | None = None,
    ) -> None:
        self._pacing = Pacing(self._send, prose=prose)
        self._model = model
        self._asked = asked
        self._stop = stop
        self._title: dict[str, Any] = {
            "model": text.line(model) or "the model",
            "detail": _detail(thinking, effort),
            "question": "" if asked is None else asked.html,
            "stoppable": stop is not None,
            "word": uuid4().hex,  # by which the page's interrupt is known for the reader's
        }
        self._panel: _Panel | None = None
        self._handle = DisplayHandle()  # type: ignore[no-untyped-call] # IPython has no types here
        self._shown = False
        self._failed = False
        self._closed = False
        with self._surviving():
            self._open()

    def __call__(self, event: Event) -> None:
        """Take the next event."""
        if self._panel is None or self._failed:
            return
        with self._surviving():
            self._pacing.take(event)

    def close(self, reply: Reply | None, error: DsnbError | None) -> None:
        """Put the static bundle in the panel's place; ``reply`` may be partial, and ``error`` says why."""
        if self._closed:
            return
        self._closed = True
        reply = reply or (error.reply if error is not None else None) or Reply(asked_model=self._model)
        with self._surviving():
            self._pacing.end(_ending(reply, error))
        with self._surviving():
            if self._shown:
                self._handle.update(bundle(reply, error, self._asked), raw=True)  # type: ignore[no-untyped-call]
            else:
                FinalView(asked=self._asked).close(reply, error)
        with self._surviving():
            if self._panel is not None:
                self._panel.retire()

    def _open(self) -> None:
        panel = _Panel(turn=self._state, stop=self._stop)
        if self._stop is not None:
            self._stop.heard = partial(hearing.told, self._title["word"])
        if isinstance(panel.comm, DummyComm):  # no kernel, so no page
            panel.close()
            return
        self._panel = panel
        data, metadata = panel._repr_mimebundle_() or ({}, {})
        model = self._title["model"]
        data["text/plain"] = f"Asking {model}. Where widgets cannot be shown, its whole reply will stand here."
        self._handle.display(data, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]
        self._shown = True

    def _send(self, batch: dict[str, Any]) -> None:
        if self._panel is None or self._failed:
            return
        with self._surviving():  # here too, since it may be a thread of its own that sends
            self._panel.send(batch)

    def _state(self) -> dict[str, Any]:
        return {**self._title, **self._pacing.progress.state()}

    @contextmanager
    def _surviving(self) -> Iterator[None]:
        """Keep what fails in here from the turn, and say so once."""
        try:
            yield
        except Exception as problem:  # whatever it is, the reply matters more
            if not self._failed:
                self._failed = True
                what = f"{type(problem).__name__}: {problem}".rstrip(": ")
                warnings.warn(f"The live panel failed ({what}); the reply is not affected.", DsnbWarning, stacklevel=4)


def _module() -> str:
    """Return the page's side; it crosses with every turn, so without comments and indentation."""
    written = resources.files("dsnb.display").joinpath("panel.js").read_text("utf-8")
    return re.sub(r"(?m)^\s*(?://.*\n)?| // .*$", "", written)


class _Panel(anywidget.AnyWidget):
    """Carry batches to the page, and the whole turn so far to a page that comes late or has missed some.

    A page that is loaded again in mid-stream asks for its widgets when the kernel is next free, in a sync cell after
    the end. It still shows the panel, for it has missed the update of its output: so `retire` keeps the last few
    panels open, and those that such a page has taken up (``taken_up``), which would vanish from it.
    """

    _esm = traitlets.Unicode(_module()).tag(sync=True)
    _css = traitlets.Unicode("".join(map(style, ("static", "portions", "question", "panel")))).tag(sync=True)
    layout = None  # the default is a widget of its own, which nobody would close; the panel's layout is in its style
    # Read when somebody asks: who comes late gets all there is by then, and nobody else pays for it.
    turn = traitlets.Callable().tag(sync=True, to_json=lambda turn, panel: panel.read(turn))
    _retired: ClassVar[deque[_Panel]] = deque()

    def __init__(self, turn: Callable[[], dict[str, Any]], stop: StopButton | None = None) -> None:
        self.taken_up = False
        self._stop = stop
        super().__init__(turn=turn)
        self.on_msg(self._answer)
        hearing.open_for(self.comm)

    def retire(self) -> None:
        """Stay open for pages that come late, and close the oldest that does."""
        self._retired.append(self)
        if len(self._retired) > _LINGERING:
            oldest = self._retired.popleft()
            if not oldest.taken_up:
                oldest.close()

    def read(self, turn: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        self.taken_up = self.comm is not None  # at first, the state is read to open the comm
        return turn()

    def _answer(self, _panel: anywidget.AnyWidget, content: Any, _buffers: Any) -> None:
        match content:
            case "whole":
                self.send({"whole": self.turn()})
            case "here":  # that it is heard while the turn runs says that a stop would be
                self.send({"hears": True})
            case "stop" if self._stop is not None:
                self._stop.ask()


def _detail(thinking: bool | None, effort: str | None) -> str:
    """Say how the model was asked to think."""
    if thinking is False or effort == "none":
        return "thinking off"
    if effort:
        return text.line(f"effort {effort}")
    return "thinking on" if thinking else ""


def _ending(reply: Reply, error: DsnbError | None) -> dict[str, Any]:
    """Return what a page needs to know of a turn that is over."""
    return {
        "who": summary.who(reply)[1:],
        "ending": "failed" if error is not None else summary.ending(reply) or "done",
        "error": "" if error is None else text.legible(str(error)),
        "notes": [text.legible(note) for note in _notes(reply)],
        "figures": list(summary.figures(reply)),
        "share": round(summary.cached_share(reply.usage), 3),
        "total": summary.seconds(reply.timing.total),
    }


def _notes(reply: Reply) -> Iterator[str]:
    yield from (seams.line(each) for each in reply.rounds or (reply,) if each.seams)
    yield from (f"{note.message} {note.mend}" for note in reply.notes)
