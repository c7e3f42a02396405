"""Engines say what the emulated model answers: a script, an echo, or anything with an ``answer`` method."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from dsnb.emulator.engines.protocol import Answer, Engine, EngineRequest, ToolCall
from dsnb.errors import EmulatorError

__all__ = ["Answer", "Engine", "EngineRequest", "ToolCall", "engine"]


class _Function:
    def __init__(self, function: Callable[[EngineRequest], Answer]) -> None:
        self._function = function

    def answer(self, request: EngineRequest) -> Answer:
        return self._function(request)


def engine(spec: str | Engine | Callable[[EngineRequest], Answer]) -> Engine:
    """Return the engine that ``spec`` names or is.

    Takes ``"script"``, ``"echo"``, an object with an ``answer`` method, or a function from a request to an `Answer`.
    Raises `EmulatorError` for anything else.
    """
    if spec == "script":
        from dsnb.emulator.engines.script import ScriptEngine

        return ScriptEngine()
    if spec == "echo":
        from dsnb.emulator.engines.echo import EchoEngine

        return EchoEngine()
    if callable(getattr(spec, "answer", None)):
        return cast("Engine", spec)
    if callable(spec):
        return _Function(spec)
    message = f"{spec!r} is not an engine: choose 'script' or 'echo', or give an object with an answer method."
    raise EmulatorError(message)
