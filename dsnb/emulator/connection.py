"""One HTTP exchange as the emulator sees it: read the body, write bytes, wait, or break the connection."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Iterable
from typing import Any, cast

from dsnb.emulator.server import TRANSPORT, Receive, Scope, Send

Headers = Iterable[tuple[bytes, bytes]]

SHORTEST_SLEEP = 0.001  # event loops cannot sleep more finely; shorter waits are added up instead
# Linger on, for 0 s: closing then sends RST instead of FIN. Windows has shorter fields.
_RESET = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class Connection:
    """Wrap one ASGI exchange."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self._transport: asyncio.Transport = scope["extensions"][TRANSPORT]
        self._receive = receive
        self._send = send
        self._gone: asyncio.Task[None] | None = None

    @property
    def gone(self) -> bool:
        """Return whether the client has left."""
        return self._gone is not None and self._gone.done()

    async def body(self) -> bytes | None:
        """Return the whole request body, None if the client left before; from then on watch for its leaving."""
        parts = []
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return None
            more = message.get("more_body", False)
            parts.append(message.get("body", b""))
        self._gone = asyncio.create_task(self._watch())
        return b"".join(parts)

    async def start(self, status: int, headers: Headers) -> None:
        """Send the status line and the headers."""
        await self._send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def write(self, data: bytes) -> None:
        """Send part of the body."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        # Sending to a fast reader never waits; other exchanges and the news of a lost client need a turn too.
        await asyncio.sleep(0)

    async def end(self, data: bytes = b"") -> None:
        """Send the rest of the body and its end."""
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def pause(self, seconds: float) -> bool:
        """Wait real seconds or until the client leaves; return whether it is still there."""
        if seconds >= SHORTEST_SLEEP and self._gone is not None:
            await asyncio.wait({self._gone}, timeout=seconds)
        return not self.gone

    async def until(self, done: asyncio.Future[Any], seconds: float) -> bool:
        """Wait for a future, for real seconds at most, or until the client leaves; return whether it is still there."""
        waited = {done} if self._gone is None else {done, self._gone}
        await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return not self.gone

    async def cut(self) -> None:
        """Close the connection after what was sent, without ending the body."""
        self._transport.close()
        await self.left()

    async def reset(self) -> None:
        """Close the connection with RST."""
        sock = cast("socket.socket", self._transport.get_extra_info("socket"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()
        await self.left()

    async def left(self) -> None:
        """Wait until the connection is closed; before that the server would report an unfinished reply."""
        if self._gone is not None:
            await self._gone

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
