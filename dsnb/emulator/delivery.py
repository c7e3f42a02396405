"""How a reply is sent: as a stream of chunks, or as one JSON body."""

from __future__ import annotations

from collections.abc import Sequence

from dsnb.contract import Settings
from dsnb.emulator import logprobs, wire
from dsnb.emulator.connection import Connection
from dsnb.emulator.headers import Headers
from dsnb.emulator.output import ARGUMENTS, CALL, CONTENT, REASONING, Event, Output
from dsnb.emulator.wire import Chunks, Head, Usage

_BATCH = 200  # chunks; some 60 kB, so that what is due at once goes out in few writes


class Delivery:
    """Send one reply; the status line goes out with the first byte, so that a broken exchange may have none."""

    content_type: str
    keep_alive: str

    def __init__(self, connection: Connection, headers: Headers) -> None:
        self._connection = connection
        self._headers = headers
        self._waiting: list[str] = []
        self._begun = False

    @property
    def full(self) -> bool:
        """Return whether enough is waiting to be sent."""
        return len(self._waiting) >= _BATCH

    def put(self, text: str) -> None:
        """Add text to what waits."""
        self._waiting.append(text)

    async def flush(self) -> None:
        """Send what waits."""
        if self._waiting:
            await self._begin()
            await self._connection.write(self._taken())

    async def end(self) -> None:
        """Send what waits, and the end of the body."""
        await self._begin()
        await self._connection.end(self._taken())

    async def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            await self._connection.start(200, self._headers.open(self.content_type))

    def _taken(self) -> bytes:
        text = "".join(self._waiting)
        self._waiting.clear()
        return text.encode("utf-8", "replace")


class StreamDelivery(Delivery):
    """Send chunks as their tokens come."""

    content_type = "text/event-stream; charset=utf-8"
    keep_alive = ": keep-alive\n\n"

    def __init__(
        self,
        connection: Connection,
        headers: Headers,
        head: Head,
        settings: Settings,
        output: Output,
        usage: Usage,
        seed: int,
    ) -> None:
        super().__init__(connection, headers)
        self._chunks = Chunks(head, thinking=settings.thinking, include_usage=settings.include_usage)
        self._settings = settings
        self._output = output
        self._usage = usage
        self._seed = seed
        self.events: Sequence[Event] = output.events

    def open(self) -> None:
        """Put the chunk that opens the stream."""
        self.put(self._chunks.first())

    def add(self, event: Event) -> None:
        """Put the chunk of one event."""
        if event.kind == CONTENT:
            self.put(self._chunks.content(event.text, self._logprobs("content", event)))
        elif event.kind == REASONING:
            self.put(self._chunks.reasoning(event.text, self._logprobs("reasoning_content", event)))
        elif event.kind == CALL:
            self.put(self._chunks.call(event.call, self._output.calls[event.call]))
        elif event.kind == ARGUMENTS:
            self.put(self._chunks.arguments(event.call, event.text))

    def rest(self) -> str:
        """Return the finish chunk and the end mark."""
        return self._chunks.last(self._output.finish_reason, self._usage) + wire.DONE

    def part(self, token: int) -> str:
        """Return what of the rest is sent when the reply breaks after ``token``: nothing, the chunks were it."""
        del token
        return ""

    def malformed(self) -> str:
        """Return a frame that is not JSON."""
        return self._chunks.malformed()

    def _logprobs(self, channel: str, event: Event) -> str:
        if not self._settings.logprobs:
            return "null"
        entries = logprobs.entries(self._seed, channel, [event], self._settings.top_logprobs)
        return f'{{"{channel}":{entries}}}'


class PlainDelivery(Delivery):
    """Send one JSON body when everything is generated."""

    content_type = "application/json"
    keep_alive = "\n"
    events: Sequence[Event] = ()

    def __init__(
        self,
        connection: Connection,
        headers: Headers,
        head: Head,
        settings: Settings,
        output: Output,
        usage: Usage,
        seed: int,
    ) -> None:
        super().__init__(connection, headers)
        self._total = output.total
        self._body = wire.completion(
            head,
            content=output.text(CONTENT),
            reasoning=output.text(REASONING) if settings.thinking else None,
            tool_calls=output.calls,
            logprobs=_all_logprobs(output, settings, seed),
            finish_reason=output.finish_reason,
            usage=usage,
        )

    def open(self) -> None:
        """Do nothing: the body comes whole."""

    def add(self, event: Event) -> None:
        """Do nothing: the body comes whole."""

    def rest(self) -> str:
        """Return the body."""
        return self._body

    def part(self, token: int) -> str:
        """Return what of the body is sent when the reply breaks after ``token``."""
        return self._body[: len(self._body) * token // (self._total + 1)]

    def malformed(self) -> str:
        """Return a body that is not JSON, as a proxy might put in its place."""
        return "<html><body>upstream error</body></html>"


def _all_logprobs(output: Output, settings: Settings, seed: int) -> str:
    """Return the logprobs of a whole reply: an array for each channel that said something."""
    if not settings.logprobs:
        return "null"
    parts = []
    for name, kind in (("content", CONTENT), ("reasoning_content", REASONING)):
        said = [event for event in output.events if event.kind == kind]
        if said:
            parts.append(f'"{name}":{logprobs.entries(seed, name, said, settings.top_logprobs)}')
    return f"{{{','.join(parts)}}}"
