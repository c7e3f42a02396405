"""Leave a request that is not answered yet: whoever waits for the first byte can be woken from any thread.

httpx shows the connection of a request together with the headers of its answer, and a thread that is blocked before
that is woken by nothing but its socket. So the streams of our own clients say on whose behalf they are written to. An
event loop needs no socket for that: what waits there is cancelled.

What is not covered is a thread that still connects, which the transport's connect timeout ends.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TypeVar

import httpx2

from dsnb.client.watchdog import Watch

T = TypeVar("T")

_sending: ContextVar[Watch | None] = ContextVar("_sending", default=None)


def watched(client: httpx2.Client) -> httpx2.Client:
    """Return a client whose connections `sending` can cut; one that holds them otherwise stays as it is."""
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 — there is no public way
        pool: Any = getattr(transport, "_pool", None)
        if hasattr(pool, "_network_backend"):
            pool._network_backend = _Backend(pool._network_backend)  # noqa: SLF001 — as above
    return client


@contextmanager
def sending(watch: Watch) -> Iterator[None]:
    """Send a request in this thread inside the block, and leave it when ``watch`` fires."""
    token = _sending.set(watch)
    try:
        yield
    finally:
        _sending.reset(token)
        watch.attach(None)  # before the connection can be another turn's


async def answered(watch: Watch, work: Coroutine[Any, Any, T]) -> T:
    """Send a request in the running event loop; raise httpx2.ReadError as soon as ``watch`` fires."""
    task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()

    def leave() -> None:
        loop.call_soon_threadsafe(task.cancel)

    watch.attach(leave)
    try:
        return await task
    except asyncio.CancelledError:
        caller = asyncio.current_task()
        if watch.fired is None or (caller is not None and caller.cancelling()):
            raise
        raise httpx2.ReadError("the turn was stopped before an answer began") from None
    finally:
        watch.attach(None)


def cutter(stream: Any) -> Callable[[], None]:
    """Return what wakes a read that is blocked on a network stream of httpcore, from any thread."""
    connection = stream.get_extra_info("socket") if stream is not None else None

    def cut() -> None:
        if connection is None:  # a mock transport: the reader sees `fired` after its next piece
            return
        with suppress(OSError):  # the other side was faster
            if isinstance(connection, socket.socket):
                # past ssl.SSLSocket.shutdown, which takes the TLS state away from under the reader
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            else:
                connection.shutdown(socket.SHUT_RDWR)

    return cut


class _Backend:
    """Open connections as another backend of httpcore does."""

    def __init__(self, backend: Any) -> None:
        self.sleep = backend.sleep
        self._backend = backend

    def connect_tcp(self, *where: Any, **how: Any) -> _Stream:
        return _Stream(self._backend.connect_tcp(*where, **how))

    def connect_unix_socket(self, *where: Any, **how: Any) -> _Stream:
        return _Stream(self._backend.connect_unix_socket(*where, **how))


class _Stream:
    """A connection that names itself to the watch on whose behalf it is written to."""

    def __init__(self, stream: Any) -> None:
        self.read, self.close, self.get_extra_info = stream.read, stream.close, stream.get_extra_info
        self._stream = stream
        self._cut = cutter(stream)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        watch = _sending.get()
        if watch is not None:
            watch.attach(self._cut)
        self._stream.write(buffer, timeout)

    def start_tls(self, *how: Any, **more: Any) -> _Stream:
        return _Stream(self._stream.start_tls(*how, **more))
