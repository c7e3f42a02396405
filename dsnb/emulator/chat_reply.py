"""A reply of chat completions, as a stream and as a body."""

from __future__ import annotations

from dsnb.contract import Settings
from dsnb.emulator import logprobs, wire
from dsnb.emulator.engines.protocol import ARGUMENTS, CALL, CONTENT, REASONING
from dsnb.emulator.output import AnyOutput, Event
from dsnb.emulator.wire import Chunks, Head, Usage


class ChatReply:
    """Write one chat reply; ``seed`` is that of made-up logprobs, None where a real model gives its own."""

    def __init__(self, head: Head, settings: Settings, output: AnyOutput, usage: Usage, seed: int | None) -> None:
        self._head = head
        self._chunks = Chunks(head, thinking=settings.thinking, include_usage=settings.include_usage)
        self._settings = settings
        self._output = output
        self.usage = usage
        self._seed = seed

    def first(self) -> str:
        """Return the chunk that opens the stream."""
        return self._chunks.first()

    def chunk(self, event: Event) -> str:
        """Return the chunk of one event."""
        if event.kind == REASONING:
            return self._chunks.reasoning(event.text, self._logprobs("reasoning_content", event))
        if event.kind == CALL:
            return self._chunks.call(event.call, self._output.calls[event.call])
        if event.kind == ARGUMENTS:
            return self._chunks.arguments(event.call, event.text)
        return self._chunks.content(event.text, self._logprobs("content", event))

    def last(self) -> str:
        """Return the finish chunk."""
        return self._chunks.last(self._output.finish_reason, self.usage)

    def malformed(self) -> str:
        """Return a chunk that breaks off in the middle of its JSON."""
        return self._chunks.malformed()

    def body(self) -> str:
        """Return the body of a plain reply."""
        return wire.completion(
            self._head,
            content=self._output.text(CONTENT),
            reasoning=self._output.text(REASONING) if self._settings.thinking else None,
            tool_calls=self._output.calls,
            logprobs=self._all_logprobs(),
            finish_reason=self._output.finish_reason,
            usage=self.usage,
        )

    def _logprobs(self, channel: str, event: Event) -> str:
        entries = self._entries(channel, [event]) if self._settings.logprobs else ""
        return f'{{"{channel}":{entries}}}' if entries else "null"

    def _all_logprobs(self) -> str:
        """Return the logprobs of the whole reply: an array for each channel that said something."""
        if not self._settings.logprobs:
            return "null"
        parts = []
        for name, kind in (("content", CONTENT), ("reasoning_content", REASONING)):
            said = [event for event in self._output.events if event.kind == kind]
            if entries := self._entries(name, said) if said else "":
                parts.append(f'"{name}":{entries}')
        return f"{{{','.join(parts)}}}" if parts or self._seed is not None else "null"

    def _entries(self, channel: str, events: list[Event]) -> str:
        """Return the array of some events' logprobs, ``""`` where a real model gave none."""
        if self._seed is None:
            return logprobs.given(events)
        return logprobs.entries(self._seed, channel, events, self._settings.top_logprobs)
