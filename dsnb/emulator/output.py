"""An answer as it is generated: cut by stop strings and ``max_tokens``, counted, and laid out token by token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from dsnb.contract import Model, Settings, tokens
from dsnb.emulator.engines.live import Counts, Piece
from dsnb.emulator.engines.protocol import ARGUMENTS, CALL, CONTENT, REASONING, Answer, ToolCall
from dsnb.emulator.tool_deltas import deltas
from dsnb.emulator.wire import Usage

BROKEN_OFF = "insufficient_system_resource"  # the API's word for an inference that did not come to its end


class Event(NamedTuple):
    """Hold one thing that a stream sends: a piece of text, or the opening of tool call number ``call`` (no ``text``).

    ``token`` is the ordinal, from 1, of the generated token that it comes with; some tokens send nothing. ``logprobs``
    are those that a real model gave, JSON objects with commas between them.
    """

    token: int
    kind: str
    text: str
    call: int = 0
    logprobs: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """Hold a reply as generated: what it sends, piece by piece, and what it counts.

    ``reasoning_tokens`` is None without thinking. ``ids`` are the tokens generated, for the prefix cache. ``calls`` are
    those opened, with the arguments that were written.
    """

    events: Sequence[Event]
    finish_reason: str
    reasoning_tokens: int | None
    calls: tuple[ToolCall, ...]
    ids: Sequence[int]

    @property
    def total(self) -> int:
        """Return how many tokens were generated."""
        return len(self.ids)

    def text(self, kind: str) -> str:
        """Return all that the reply says in its reasoning or its content."""
        return "".join(event.text for event in self.events if event.kind == kind)


class LiveOutput:
    """Hold a reply while a live engine makes it; it counts a token for each piece until the engine says better.

    ``opened`` says whether the model has begun, ``pieces`` how many it has made. ``finish_reason`` is that of a reply
    that broke off until the engine ends it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._told = Counts()
        self._thoughts = 0
        self.events: list[Event] = []
        self._begun: list[ToolCall] = []
        self.finish_reason = BROKEN_OFF
        self.opened = False
        self.pieces = 0

    def add(self, piece: Piece, call_id: Callable[[int], str]) -> Event | None:
        """Return what a piece sends: nothing where the request rules it out, as reasoning without thinking."""
        self.pieces += 1
        self._thoughts += piece.kind == REASONING
        if piece.kind in (CALL, ARGUMENTS):
            if not self._settings.tools:
                return None
            if piece.kind == CALL:
                self._begun.append(ToolCall(piece.name, "", call_id(piece.call)))
        elif piece.kind == REASONING and not self._settings.thinking:
            return None
        event = Event(self.pieces, piece.kind, piece.text, piece.call, piece.logprobs)
        self.events.append(event)
        return event

    def end(self, finish_reason: str) -> None:
        """Take the engine's finish reason, which must fit what it said: some name a stop after tool calls."""
        if finish_reason in ("stop", "tool_calls"):
            finish_reason = "tool_calls" if self._begun else "stop"
        self.finish_reason = finish_reason

    def count(self, counts: Counts) -> None:
        """Take what the engine has counted so far."""
        self._told = counts

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """Return the tool calls, with their arguments as far as they are written."""
        return _opened(self._begun, self.events)

    @property
    def total(self) -> int:
        """Return how many tokens were generated."""
        return self.pieces if self._told.completion is None else self._told.completion

    def text(self, kind: str) -> str:
        """Return all that the reply says in its reasoning or its content."""
        return "".join(event.text for event in self.events if event.kind == kind)

    def usage(self, prompt: int, *, details: bool) -> Usage:
        """Return the engine's counts; ``prompt`` is the contract's count, for an engine that tells none."""
        told, total = self._told, self.total
        prompt = prompt if told.prompt is None else told.prompt
        thought = min(self._thoughts if told.reasoning is None else told.reasoning, total)
        return Usage(
            prompt, min(told.cached or 0, prompt), total, thought if self._settings.thinking else None, details=details
        )


AnyOutput = Output | LiveOutput


def generate(answer: Answer, settings: Settings, model: Model) -> Output:
    """Return what becomes of ``answer`` under the request's settings.

    A stop string ends the content before it, and is billed. ``max_tokens`` covers reasoning and answer together (R1:
    the answer alone, with a budget of its own for the reasoning). A reply that fills its budget ends by ``length``:
    the end itself would have been one token more. An engine that names a finish reason is not cut.
    """
    reasoning = (answer.reasoning or "") if settings.thinking else None
    content, stop = _stopped(answer.content, settings.stop)
    calls = () if stop else answer.tool_calls
    forced = settings.forced and bool(calls)
    # An answer that was begun in the request has its thinking behind it, in the prompt.
    thinks = reasoning is not None and (bool(reasoning) or not settings.prefix)
    ids = tokens.completion_ids(
        model,
        content=content,
        reasoning=reasoning if thinks else None,
        tool_calls=[{"function": {"name": call.name, "arguments": call.arguments}} for call in calls],
        forced=forced,
        stop=stop,
    )
    thought = None if reasoning is None else tokens.count(reasoning)
    # The end of the thinking is a token that sends nothing (R1: with the line breaks around it).
    begin = len(tokens.completion_ids(model, content="", reasoning=reasoning)) if thinks else 0
    events = list(_events(reasoning or "", begin, content, calls, model, forced=forced))
    if events and events[-1].token > len(ids):  # tokens of text and calls that were generated as one
        events = [event._replace(token=min(event.token, len(ids))) for event in events]
    limit = settings.max_tokens if model.max_reasoning is None else _limit_of_r1(begin, thought, settings, model)
    if answer.finish_reason is not None or len(ids) < limit:
        finish = answer.finish_reason or ("tool_calls" if calls else "stop")
        return Output(events, finish, thought, calls, ids)
    kept = [event for event in events if event.token <= limit]
    thought = None if thought is None else min(thought, limit)
    return Output(kept, "length", thought, _opened(calls, kept), ids[:limit])


def _stopped(content: str, stops: Sequence[str]) -> tuple[str, str]:
    """Return the content up to the first stop string, and that string (``""`` where none occurs)."""
    found = [(content.index(stop), stop) for stop in stops if stop and stop in content]
    if not found:
        return content, ""
    place, stop = min(found)
    return content[:place], stop


def _limit_of_r1(begin: int, thought: int | None, settings: Settings, model: Model) -> int:
    """Return how many tokens may be generated in all, where the reasoning has a budget of its own."""
    most = model.max_reasoning
    return most if most is not None and (thought or 0) >= most else begin + settings.max_tokens


def _events(
    reasoning: str, begin: int, content: str, calls: Sequence[ToolCall], model: Model, *, forced: bool
) -> Iterator[Event]:
    """Yield what a reply sends; the answer's first token follows token number ``begin``."""
    for token, piece in _placed(reasoning, 0):
        yield Event(token, REASONING, piece)
    token = begin
    for token, piece in _placed(content, begin):
        yield Event(token, CONTENT, piece)
    if calls:
        for delta in deltas(calls, model, forced=forced):
            kind = CALL if delta.text is None else ARGUMENTS
            yield Event(token + delta.token, kind, delta.text or "", delta.index)


def _placed(text: str, token: int) -> Iterator[tuple[int, str]]:
    """Yield the pieces of a text with the ordinal of the token that completes each, counting on from ``token``."""
    pieces = tokens.pieces(text)
    plain = len(pieces) == tokens.count(text)
    for piece in pieces:
        # A character of several tokens is one piece.
        token += 1 if plain or piece.isascii() else tokens.count(piece)
        yield token, piece


def _opened(calls: Sequence[ToolCall], events: Sequence[Event]) -> tuple[ToolCall, ...]:
    """Return the calls that the events open, with the arguments that they write."""
    opened = []
    for index, call in enumerate(calls):
        own = [event for event in events if event.call == index and event.kind in (CALL, ARGUMENTS)]
        if own:
            opened.append(replace(call, arguments="".join(event.text for event in own)))
    return tuple(opened)
