"""What a live engine is: a model that says its answer while it makes it, and counts its own tokens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dsnb.contract.error_bodies import ErrorBody, error
from dsnb.emulator.engines.protocol import Engine, EngineRequest

if TYPE_CHECKING:
    from typing_extensions import TypeIs


@dataclass(frozen=True, slots=True)
class Piece:
    """Hold what the model has just made: text, the opening of a tool call, or a part of its arguments.

    ``kind`` is ``reasoning``, ``content``, ``call`` (``name`` is the function's) or ``arguments``. ``call`` numbers the
    calls from 0, in the order in which they are opened. ``logprobs`` are those of its tokens, JSON objects of the
    API's form with commas between them, ``""`` for none.
    """

    kind: str
    text: str = ""
    call: int = 0
    name: str = ""
    logprobs: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """Hold what the model has counted so far, in its own tokens; None for what it does not tell.

    ``cached`` are the prompt's tokens that were not computed again; ``reasoning`` are part of ``completion``.
    """

    prompt: int | None = None
    cached: int | None = None
    completion: int | None = None
    reasoning: int | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """Hold the finish reason of a whole answer, in the API's words."""

    finish_reason: str


Told = Piece | Counts | Ending


class LiveEngine(Protocol):
    """Put a real model behind the emulator; ``name`` goes into the header ``x-dsnb-engine`` of every reply.

    The emulator starts it before it serves and closes it after. It is asked on the emulator's event loop and must not
    block that.
    """

    name: str

    def start(self) -> None:
        """Get ready to answer."""
        ...

    def close(self) -> None:
        """Let go of what ``start`` took."""
        ...

    def pieces(self, request: EngineRequest) -> AsyncGenerator[Told]:
        """Yield the answer as it is made, and at the end an `Ending`; of several `Counts` the last one holds.

        Closing the generator ends the work: nobody listens any more. Raises `EngineFailure`.
        """
        ...


class EngineFailure(Exception):
    """Tell why a live engine gave no answer, or not all of it.

    ``answer`` is what the client gets for it while nothing was sent: the API's own words. ``reason`` is for whoever
    runs the emulator, in its log and in the header ``x-dsnb-reason``.
    """

    def __init__(self, reason: str, answer: ErrorBody) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answer = answer


def broken(reason: str) -> EngineFailure:
    """Return the failure that the API answers with 500: asking again may not help."""
    return EngineFailure(reason, error("internal"))


def overloaded(reason: str) -> EngineFailure:
    """Return the failure that the API answers with 503: it may be over soon."""
    return EngineFailure(reason, error("overloaded"))


def is_live(engine: Engine | LiveEngine) -> TypeIs[LiveEngine]:
    """Return whether an engine says its answer in pieces."""
    return callable(getattr(engine, "pieces", None))
