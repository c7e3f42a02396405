"""The web server: uvicorn's HTTP protocol on a loopback socket, with a thread and an event loop of its own.

uvicorn's own `Server` ticks every tenth of a second and logs; running its protocol directly starts and closes in a
few milliseconds and says nothing.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from dsnb.errors import EmulatorError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

TRANSPORT = "dsnb.transport"  # the ASGI extension through which a fault reaches the connection
LOOPBACK = {"127.0.0.1": socket.AF_INET, "localhost": socket.AF_INET, "::1": socket.AF_INET6}
_KEEP_ALIVE_SECONDS = 75  # an idle connection outlives a reader's pause between two cells' requests
_CLOSE_SECONDS = 0.3  # enough for handlers to notice; what still computes after that is left behind


class _Protocol(H11Protocol):
    """Put the transport into the scope: ASGI has no way to cut or reset a connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = cast("App", self.app)

        async def reaching(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "extensions": {TRANSPORT: transport}}, receive, send)

        self.app = cast("Any", reaching)


class Server:
    """Serve one ASGI app on a loopback port until closed."""

    def __init__(self, app: App, host: str, port: int) -> None:
        self._socket = _bound(host, port)
        number = self._socket.getsockname()[1]
        self.base_url = f"http://[::1]:{number}" if host == "::1" else f"http://127.0.0.1:{number}"
        self._state = ServerState()
        self._config = uvicorn.Config(
            cast("Any", app),
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
        self._loop = asyncio.new_event_loop()
        self._workers = ThreadPoolExecutor(thread_name_prefix=f"dsnb emulator {number} worker")
        self._loop.set_default_executor(self._workers)
        self._listening = threading.Event()
        self._closing = asyncio.Event()
        # A daemon: an emulator that nobody closed must not keep the interpreter from ending.
        self._thread = threading.Thread(target=self._run, name=f"dsnb emulator {number}", daemon=True)

    def start(self) -> None:
        """Return once the server accepts connections."""
        self._thread.start()
        self._listening.wait()

    def close(self) -> None:
        """End every connection at once and wait for the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._workers.shutdown(wait=False, cancel_futures=True)
            self._loop.close()
            self._listening.set()

    async def _serve(self) -> None:
        def protocol() -> asyncio.Protocol:
            return _Protocol(config=self._config, server_state=self._state, app_state={})

        listener = await self._loop.create_server(protocol, sock=self._socket, backlog=self._config.backlog)
        self._listening.set()
        await self._closing.wait()
        listener.close()
        deadline = self._loop.time() + _CLOSE_SECONDS
        # Handlers see their client gone and end by themselves, but for one that waits for a computation. A connection
        # that was just being accepted shows up a turn later.
        while (self._state.connections or self._state.tasks) and self._loop.time() < deadline:
            for connection in list(self._state.connections):
                cast("_Protocol", connection).transport.abort()
            await asyncio.sleep(0.001)
        for task in list(self._state.tasks):
            task.cancel()
        await asyncio.sleep(0)


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket bound to a loopback address.

    Raises `EmulatorError` for any other address, a port that is taken, or a machine without loopback.
    """
    if host not in LOOPBACK:
        message = (
            f"the emulator answers nothing but loopback, so it does not bind {host!r}: anyone who reached it would "
            f"find an API without real keys. Use host='127.0.0.1', and a tunnel to reach it from elsewhere."
        )
        raise EmulatorError(message)
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise EmulatorError(f"port must be a number from 0 (any free one) to 65535, not {port!r}.")
    address = "::1" if host == "::1" else "127.0.0.1"
    try:
        # asyncio turns Nagle's algorithm off only where the protocol is named; with it each reply takes 40 ms.
        bound = socket.socket(LOOPBACK[host], socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise _no_loopback(address, error) from error
    if os.name == "posix":  # elsewhere this option would let two servers share a port
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((address, port))
        bound.listen()
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            message = f"port {port} on {address} is taken: choose another, or port=0 for any free one."
            raise EmulatorError(message) from error
        if error.errno == errno.EACCES:
            message = f"port {port} on {address} needs rights that this user lacks: use port=0 for any free one."
            raise EmulatorError(message) from error
        raise _no_loopback(address, error) from error
    return bound


def _no_loopback(address: str, error: OSError) -> EmulatorError:
    reason = error.strerror or str(error)
    return EmulatorError(
        f"no loopback address {address} on this machine ({reason}): the emulator needs one to serve on."
    )
