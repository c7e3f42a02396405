"""A relay on loopback that knows when the last of an answer went through, whoever asked for it."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit


class Relay:
    """Carry connections to a server; ``ended`` is when the last answer's end went through, ``chunks`` its events."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "", parts.port or 80)
        self._door = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        self.ended = 0.0
        self.chunks = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._door.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                server = socket.create_connection(self._server)
                for source, target, answers in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._carry, args=(source, target, answers), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if answers:
                    self.chunks += data.count(b"data: {")
                    if b"data: [DONE]" in data:
                        self.ended = time.time()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
