"""What the client tells about turns and attempts, to whoever keeps account of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Protocol

from dsnb.client.reply import Reply
from dsnb.errors import DsnbError


@dataclass(frozen=True, slots=True)
class Turn:
    """Describe one question before it is sent.

    ``started`` is in seconds since 1970 (UTC), ``source`` is ``live`` or ``emulator``, ``prompt_hash`` tells equal
    requests apart from others without keeping their text, ``messages`` counts those of the history.
    """

    id: str
    started: float
    provider: str
    source: str
    asked_model: str
    streamed: bool
    thinking: bool | None
    effort: str | None
    prompt_hash: str
    messages: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """Describe one request of a turn, once it has ended; ``status`` is None where no answer came."""

    turn: Turn
    number: int
    started: float
    status: int | None
    reply: Reply
    error: DsnbError | None


class Sinks:
    """Tell several sinks the same."""

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = sinks

    def began(self, turn: Turn) -> None:
        """Tell all of them."""
        for sink in self._sinks:
            sink.began(turn)

    def attempted(self, attempt: Attempt) -> None:
        """Tell all of them."""
        for sink in self._sinks:
            sink.attempted(attempt)

    def ended(self, turn: Turn, reply: Reply, error: DsnbError | None) -> None:
        """Tell all of them."""
        for sink in self._sinks:
            sink.ended(turn, reply, error)


class Sink(Protocol):
    """Keep account of turns; a ledger is one. None of these may raise."""

    def began(self, turn: Turn) -> None:
        """Note a turn that is about to be sent."""

    def attempted(self, attempt: Attempt) -> None:
        """Note an attempt that has ended, well or not."""

    def ended(self, turn: Turn, reply: Reply, error: DsnbError | None) -> None:
        """Note how a turn ended."""


_LISTENERS: Final[ContextVar[tuple[Sink, ...]]] = ContextVar("dsnb listeners", default=())


@contextmanager
def listening(sink: Sink) -> Iterator[None]:
    """Tell ``sink`` too of the turns that begin inside, in this thread or task and the tasks that it starts."""
    token = _LISTENERS.set((*_LISTENERS.get(), sink))
    try:
        yield
    finally:
        _LISTENERS.reset(token)


def audience(sink: Sink) -> Sink:
    """Return a sink that tells ``sink`` and all who listen here."""
    listeners = _LISTENERS.get()
    return Sinks(sink, *listeners) if listeners else sink
