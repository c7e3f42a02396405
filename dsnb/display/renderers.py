"""Which view shows a turn: the one asked for, else the one in force, else the one that fits where this runs."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol

from dsnb.client.events import Event
from dsnb.client.reply import Reply
from dsnb.client.request import Messages
from dsnb.display import formatters
from dsnb.errors import ConfigurationError, DsnbError, DsnbWarning

if TYPE_CHECKING:
    from dsnb.display.stop_button import StopButton

VARIABLE: Final = "DSNB_RENDER"
NAMES: Final = ("auto", "live", "final", "plain", "none")

_chosen: ContextVar[str] = ContextVar("renderer", default="auto")


class View(Protocol):
    """Watch one turn: called with each of its events, and closed once, however it ended."""

    def __call__(self, event: Event) -> None:
        """Show what happened."""

    def close(self, reply: Reply | None, error: DsnbError | None) -> None:
        """Show how the turn ended: with a reply, maybe a partial one, or with the error that will be raised."""


@contextmanager
def render(name: str | None) -> Iterator[None]:
    """Choose how turns are shown within a ``with`` block.

    ``live`` is the panel that streams, ``final`` one static output when the turn has ended, ``plain`` text that
    streams, ``none`` (or None) nothing, ``auto`` what fits: live in a notebook, plain in a terminal where somebody
    types, nothing in scripts. ``DSNB_RENDER`` chooses for a whole process, ``ask(render=...)`` for one turn. Raises
    ConfigurationError for any other name.
    """
    token = _chosen.set(_known(name))
    try:
        yield
    finally:
        _chosen.reset(token)


def view(
    name: str | None = "auto",
    *,
    model: str = "",
    thinking: bool | None = None,
    effort: str | None = None,
    prose: bool = True,
    messages: Messages = (),
    stop: StopButton | None = None,
) -> View:
    """Return a view for one turn, by the name of its renderer; ``model``, ``thinking`` and ``effort`` are asked for.

    ``prose`` says whether the answer is Markdown, and not the half of a text that was begun by somebody else;
    ``messages`` are those of a conversation up to its question, which is shown then with the number of its turn;
    ``stop`` is what a reader may end the turn with, where the view has a place for it.

    ``auto`` leaves the choice to the innermost `render` block, then to ``DSNB_RENDER``, then to where this runs.
    Raises ConfigurationError for a name that is none.
    """
    formatters.install()
    name = chosen(name)
    if name == "none":
        return _Nothing()
    asked = {"model": model, "thinking": thinking, "effort": effort, "prose": prose, "messages": messages, "stop": stop}
    return _Guarded(name, _MAKERS[name](**asked))


def chosen(name: str | None = "auto") -> str:
    """Return the renderer that `view` would take: ``live``, ``final``, ``plain`` or ``none``."""
    return next(choice for choice in _choices(name) if choice != "auto")


class _Nothing:
    """Show nothing."""

    def __call__(self, event: Event) -> None:
        pass

    def close(self, reply: Reply | None, error: DsnbError | None) -> None:
        pass


class _Guarded:
    """Let a view show a turn, such that nothing that fails in it costs the reply; remember what this cell has shown."""

    def __init__(self, name: str, inner: View) -> None:
        self._name = name
        self._inner = inner
        self._failed = False

    def __call__(self, event: Event) -> None:
        if not self._failed:
            with self._surviving():
                self._inner(event)

    def close(self, reply: Reply | None, error: DsnbError | None) -> None:
        with self._surviving():
            self._inner.close(reply, error)
        if reply is not None and not self._failed:
            formatters.remember(reply)

    @contextmanager
    def _surviving(self) -> Iterator[None]:
        try:
            yield
        except Exception as problem:  # a closed pipe, a frontend gone: whatever it is, the reply matters more
            if not self._failed:
                self._failed = True
                what = f"{type(problem).__name__}: {problem}".rstrip(": ")
                warnings.warn(
                    f"The {self._name} view failed ({what}); the reply is not affected.", DsnbWarning, stacklevel=4
                )


def _choices(name: str | None) -> Iterator[str]:
    """Yield what is chosen at each place, the most particular first."""
    yield _known(name)
    yield _chosen.get()
    yield _known(os.environ.get(VARIABLE, "").strip().lower() or "auto", f"{VARIABLE}=")
    yield _fitting()


def _known(name: str | None, where: str = "render=") -> str:
    if name is None:
        return "none"
    if name not in NAMES:
        raise ConfigurationError(f"{where}{name!r} is no renderer: choose one of {', '.join(NAMES)}.")
    return name


def _fitting() -> str:
    shell = formatters.shell()
    if shell is not None:
        return "live" if hasattr(shell, "kernel") else "plain"
    somebody_types = hasattr(sys, "ps1") and sys.stdout is not None and sys.stdout.isatty()
    return "plain" if somebody_types else "none"


def _live(*, messages: Messages, **asked: Any) -> View:
    try:
        from dsnb.display.panel import LiveView
    except ImportError:  # widgets are not installed, or do not work here
        return _final(messages=messages, **asked)
    from dsnb.display import dialogue

    return LiveView(asked=dialogue.asked(messages), **asked)


def _final(*, model: str, messages: Messages, **_asked: Any) -> View:
    from dsnb.display import dialogue
    from dsnb.display.final import FinalView

    return FinalView(model=model, asked=dialogue.asked(messages))


def _plain(**_asked: Any) -> View:
    from dsnb.display.plain import PlainView

    return PlainView()


_MAKERS: Final[dict[str, Callable[..., View]]] = {"live": _live, "final": _final, "plain": _plain}
