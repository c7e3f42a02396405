"""How fast the emulator serves a stream, read by a bare socket."""

import json
import socket
import statistics
import time

from dsnb import Emulator
from dsnb.emulator import Answer

CHUNKS = 20_000
RUNS = 5


def seconds(emulator: Emulator) -> float:
    """Return the seconds from the request to the last byte."""
    body = json.dumps(
        {
            "model": "deepseek-flash",
            "messages": [{"role": "user", "content": "hello"}],
            "thinking": {"type": "disabled"},
            "max_tokens": 2 * CHUNKS,
            "stream": True,
        }
    ).encode()
    host, port = emulator.base_url.removeprefix("http://").split(":")
    head = f"POST /chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer any\r\nconnection: close\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    start = time.perf_counter()
    received = 0
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + body)
        while data := connection.recv(2**20):
            received += data.count(b"data: {")
    assert received > CHUNKS
    return time.perf_counter() - start


def main() -> None:
    with Emulator(engine=lambda _: Answer("word " * CHUNKS)) as emulator:
        seconds(emulator)
        rate = CHUNKS / statistics.median(seconds(emulator) for _ in range(RUNS))
    print(f"  {rate:,.0f} chunks a second (median of {RUNS} streams of {CHUNKS:,}; goal: 20,000)")
