"""Streams to decode, built by hand, and ways to decode them."""

import json
import random
from collections.abc import Iterable
from itertools import accumulate, pairwise, takewhile
from typing import Any

from dsnb.client.decoder import StreamDecoder
from dsnb.client.dialects import DEEPSEEK, OPENAI_COMPATIBLE, Dialect

DONE = b"data: [DONE]\n\n"


def chunk(delta: Any = None, **others: Any) -> bytes:
    """Return the frame of a chunk; ``finish`` and ``index`` go to its choice, the rest to the chunk."""
    choice = {"index": others.pop("index", 0), "delta": delta, "finish_reason": others.pop("finish", None)}
    return frame({"id": "1", "model": "m", "created": 1, "choices": [choice], **others})


def frame(value: Any) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def decode(*pieces: bytes, dialect: Dialect = DEEPSEEK) -> StreamDecoder:
    decoder = StreamDecoder(dialect)
    for piece in pieces:
        decoder.feed(piece)
    decoder.finish()
    return decoder


def told(*pieces: bytes, dialect: Dialect = OPENAI_COMPATIBLE) -> list[tuple[str, str]]:
    """Return what the events say, neighbours of one kind joined."""
    decoder = StreamDecoder(dialect)
    events = [event for piece in pieces for event in decoder.feed(piece)] + decoder.finish()
    return joined((event.type, event.text) for event in events)


def joined(parts: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    for kind, text in parts:
        if out and out[-1][0] == kind:
            out[-1] = (kind, out[-1][1] + text)
        else:
            out.append((kind, text))
    return out


def cut(stream: bytes, seed: int) -> list[bytes]:
    """Return a stream in pieces of one to seven bytes."""
    source = random.Random(seed)  # noqa: S311 — a test's pieces are no secret
    ends = accumulate(source.choices(range(1, 8), k=len(stream)))
    within = takewhile(lambda end: end < len(stream), ends)
    return [stream[start:end] for start, end in pairwise((0, *within, len(stream)))]


def call(
    index: int | None = None, call_id: str | None = None, name: str | None = None, arguments: Any = None
) -> dict[str, Any]:
    entry: dict[str, Any] = {} if index is None else {"index": index}
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return entry | ({} if call_id is None else {"id": call_id}) | {"function": function}


def content(*texts: str) -> list[bytes]:
    """Return a chunk for each text."""
    return [chunk({"content": text}) for text in texts]
