"""Engines say what the emulated model answers: a script, an echo, a function, or a real model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from dsnb.emulator.engines.live import LiveEngine
from dsnb.emulator.engines.protocol import Answer, Engine, EngineRequest, ToolCall, rest
from dsnb.errors import EmulatorError

__all__ = ["Answer", "Engine", "EngineRequest", "LiveEngine", "Said", "ToolCall", "engine"]


# What a function may say for an answer: a text, one tool call or several, or an Answer with all of it.
Said = str | Answer | ToolCall | Sequence[ToolCall]


class _Function:
    def __init__(self, function: Callable[[EngineRequest], Said]) -> None:
        self._function = function

    def answer(self, request: EngineRequest) -> Answer:
        return rest(_answer(self._function(request)), request)


def engine(spec: str | Engine | LiveEngine | Callable[[EngineRequest], Said]) -> Engine | LiveEngine:
    """Return the engine that ``spec`` names or is.

    Takes ``"script"``, ``"echo"``, an object with an ``answer`` method, or a function from a request to a text, to one
    or several tool calls or to an `Answer`; of a text that begins with the prefix of a prefix request the rest is
    said. A real model answers with ``"llama"``, ``"llama:/path/to/model.gguf"``, the base URL of an OpenAI-compatible
    server, or an object with a ``pieces`` method. Raises `EmulatorError` for anything else.
    """
    if spec == "script":
        from dsnb.emulator.engines.script import ScriptEngine

        return ScriptEngine()
    if spec == "echo":
        from dsnb.emulator.engines.echo import EchoEngine

        return EchoEngine()
    if isinstance(spec, str) and (spec == "llama" or spec.startswith("llama:")):
        from dsnb.emulator.engines.llama import LlamaEngine

        return LlamaEngine(spec.partition(":")[2] or None)
    if isinstance(spec, str) and spec.startswith(("http://", "https://")):
        from dsnb.emulator.engines.upstream import UpstreamEngine

        return UpstreamEngine(spec)
    if callable(getattr(spec, "answer", None)) or callable(getattr(spec, "pieces", None)):
        return cast("Engine | LiveEngine", spec)
    if callable(spec):
        return _Function(spec)
    message = (
        f"{spec!r} is not an engine: choose 'script', 'echo' or 'llama', or give the base URL of an OpenAI-compatible "
        "server, a function, or an object with an answer method."
    )
    raise EmulatorError(message)


def _answer(said: object) -> Answer:
    """Return what a function said as an answer."""
    if isinstance(said, Answer):
        return said
    if isinstance(said, str):
        return Answer(said)
    calls = (said,) if isinstance(said, ToolCall) else said
    if isinstance(calls, Sequence) and calls and all(isinstance(call, ToolCall) for call in calls):
        return Answer(tool_calls=tuple(calls))
    raise EmulatorError(f"an engine answers with a text, an Answer or tool calls, not {type(said).__name__}.")
