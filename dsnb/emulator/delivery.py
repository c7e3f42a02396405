"""How a reply is sent: as a stream of chunks, or as one JSON body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dsnb.emulator import wire
from dsnb.emulator.connection import Connection
from dsnb.emulator.headers import Headers
from dsnb.emulator.output import AnyOutput, Event
from dsnb.emulator.wire import Usage

_BATCH = 200  # chunks; some 60 kB, so that what is due at once goes out in few writes


class Reply(Protocol):
    """Write a reply in the form of its endpoint: as the chunks of a stream, or as a whole body.

    ``usage`` must be right by the time of the finish chunk or the body; a live engine counts as it goes.
    """

    usage: Usage

    def first(self) -> str:
        """Return the chunk that opens a stream."""
        ...

    def chunk(self, event: Event) -> str:
        """Return the chunk of one event."""
        ...

    def last(self) -> str:
        """Return the finish chunk."""
        ...

    def malformed(self) -> str:
        """Return a chunk that breaks off in the middle of its JSON."""
        ...

    def body(self) -> str:
        """Return the body of a plain reply."""
        ...


class Delivery:
    """Send one reply; the status line goes out with the first byte, so that a broken exchange may have none.

    ``begun`` says whether it went out.
    """

    content_type: str
    keep_alive: str

    def __init__(self, connection: Connection, headers: Headers) -> None:
        self._connection = connection
        self._headers = headers
        self._waiting: list[str] = []
        self.begun = False

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
        if not self.begun:
            self.begun = True
            await self._connection.start(200, self._headers.open(self.content_type))

    def _taken(self) -> bytes:
        text = "".join(self._waiting)
        self._waiting.clear()
        return text.encode("utf-8", "replace")


class StreamDelivery(Delivery):
    """Send chunks as their tokens come."""

    content_type = "text/event-stream; charset=utf-8"
    keep_alive = ": keep-alive\n\n"

    def __init__(self, connection: Connection, headers: Headers, reply: Reply, output: AnyOutput) -> None:
        super().__init__(connection, headers)
        self._reply = reply
        self.events: Sequence[Event] = output.events

    def open(self) -> None:
        """Put the chunk that opens the stream."""
        self.put(self._reply.first())

    def add(self, event: Event) -> None:
        """Put the chunk of one event."""
        self.put(self._reply.chunk(event))

    def rest(self) -> str:
        """Return the finish chunk and the end mark."""
        return self._reply.last() + wire.DONE

    def part(self, token: int) -> str:
        """Return what of the rest is sent when the reply breaks after ``token``: nothing, the chunks were it."""
        del token
        return ""

    def malformed(self) -> str:
        """Return a frame that is not JSON."""
        return self._reply.malformed()


class PlainDelivery(Delivery):
    """Send one JSON body when everything is generated."""

    content_type = "application/json"
    keep_alive = "\n"
    events: Sequence[Event] = ()

    def __init__(self, connection: Connection, headers: Headers, reply: Reply, output: AnyOutput) -> None:
        super().__init__(connection, headers)
        self._reply = reply
        self._output = output

    def open(self) -> None:
        """Do nothing: the body comes whole."""

    def add(self, event: Event) -> None:
        """Do nothing: the body comes whole."""

    def rest(self) -> str:
        """Return the body."""
        return self._reply.body()

    def part(self, token: int) -> str:
        """Return what of the body is sent when the reply breaks after ``token``."""
        body = self._reply.body()
        return body[: len(body) * token // (self._output.total + 1)]

    def malformed(self) -> str:
        """Return a body that is not JSON, as a proxy might put in its place."""
        return "<html><body>upstream error</body></html>"


AnyDelivery = StreamDelivery | PlainDelivery
