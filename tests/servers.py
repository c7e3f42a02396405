"""A server of bytes: it answers every request with what a test scripted, at the pace that the test scripted."""

import json
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
KEEP_ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"


def chunk(data: bytes) -> bytes:
    """Frame data as one piece of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


END = b"0\r\n\r\n"


def delta(text=None, *, finish=None, usage=None, **delta):
    """Return one event of a stream, as DeepSeek writes it."""
    if text is not None:
        delta["content"] = text
    body = {
        "id": "0123",
        "object": "chat.completion.chunk",
        "created": 1794830400,
        "model": "deepseek-flash",
        "system_fingerprint": "fp",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        "usage": usage,
    }
    return f"data: {json.dumps(body)}\n\n".encode()


USAGE = {
    "prompt_tokens": 5,
    "completion_tokens": 2,
    "total_tokens": 7,
    "prompt_cache_hit_tokens": 0,
    "prompt_cache_miss_tokens": 5,
}


class Connection:
    """What a script may do to the client it talks with."""

    def __init__(self, sock: socket.socket, gone: threading.Event) -> None:
        self._socket = sock
        self.gone = gone

    def send(self, *parts: bytes) -> None:
        self._socket.sendall(b"".join(parts))

    def wait(self, seconds: float) -> bool:
        """Wait, but no longer than the client and the test live; return whether they still do."""
        return not self.gone.wait(seconds)

    def hold(self) -> None:
        """Say nothing more until the client hangs up."""
        with suppress(OSError):
            while self._socket.recv(4096):
                pass
        self.gone.set()

    def reset(self) -> None:
        """End the connection as a crashing machine does (RST)."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()


class ScriptedServer:
    """Serve on loopback; ``script(connection)`` answers each request after its body has been read.

    A script that returns leaves the connection open for the next request; ``requests`` holds the bodies.
    """

    def __init__(self, *scripts: Callable[[Connection], None]) -> None:
        self._scripts = list(scripts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self.closed_by_client = threading.Event()
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # closing alone would not wake the thread that accepts
        self._acceptor.join(5)
        self._listener.close()
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                self._sockets.append(sock)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with suppress(OSError, ValueError):
            while (body := self._read(sock)) is not None:
                self.requests.append(body)
                script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
                gone = threading.Event()
                script(Connection(sock, gone))
        self.closed_by_client.set()

    def _read(self, sock: socket.socket) -> bytes | None:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = sock.recv(65536)
            if not piece:
                return None
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        ]
        while len(body) < sum(lengths):
            body += sock.recv(65536)
        return body
