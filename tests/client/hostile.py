"""What has to hold for any bytes that an endpoint sends. Tests hold a corpus to it, a fuzzer whatever it thinks of.

Imports nothing but dsnb, since the fuzzer runs in an environment of its own.
"""

from __future__ import annotations

from dsnb.client.body import decode_body
from dsnb.client.decoder import StreamDecoder
from dsnb.client.dialects import DEEPSEEK, OPENAI_COMPATIBLE
from dsnb.client.events import Event
from dsnb.client.failures import failure
from dsnb.client.transcript import Transcript
from dsnb.errors import ApiError, DsnbError

DIALECTS = (DEEPSEEK, OPENAI_COMPATIBLE)
ECHOES = ("", "def area(r):\n")
STATUSES = (400, 401, 402, 404, 422, 429, 500, 503, 302, 418)
LONGEST = 20_000  # characters of an error's message: far more than what is quoted


def check(data: bytes) -> None:
    """Feed bytes to the reader that the first of them chooses; raise AssertionError where a rule is broken."""
    head, data = (data[0] if data else 0), data[1:]
    if head % 3 == 0:
        check_stream(data, head // 3)
    elif head % 3 == 1:
        check_body(data, head // 3)
    else:
        check_failure(data, head // 3)


def check_stream(data: bytes, choice: int) -> None:
    """However a stream is cut into pieces it says the same, and only one with its end is whole."""
    dialect, echo = DIALECTS[choice % 2], ECHOES[choice // 2 % 2]
    whole = _read([data], dialect, echo)
    step = 1 + choice % 41  # bytes
    pieces = _read([data[place : place + step] for place in range(0, len(data), step)], dialect, echo)
    assert whole == pieces
    events, decoder, _ = whole
    if decoder["outcome"] not in {"truncated", "empty"}:
        assert decoder["finish_reason"] is not None
        assert decoder["done"] or dialect is not DEEPSEEK
    told = "".join(text for kind, text, moved in events if kind == "answer" and not moved)
    if not any(moved for _, _, moved in events):
        assert told == decoder["answer"]


def check_body(data: bytes, choice: int) -> None:
    """A plain reply is read or refused."""
    problem = None
    try:
        _state(decode_body(data, DIALECTS[choice % 2], ECHOES[choice // 2 % 2]))
    except DsnbError as error:
        problem = error
    assert len(str(problem)) < LONGEST


def check_failure(data: bytes, choice: int) -> None:
    """Whatever an error says, it becomes a typed one with a message of bounded length."""
    wait, _, body = data.partition(b"\n")
    error = failure(
        STATUSES[choice % len(STATUSES)],
        {"Retry-After": wait.decode("latin-1"), "x-ds-trace-id": "t"},
        body,
        contract=choice % 2 == 0,
    )
    assert isinstance(error, ApiError)
    assert len(str(error)) < LONGEST
    assert error.retry_after is None or 0 <= error.retry_after < float("inf")


def _read(pieces: list[bytes], dialect: object, echo: str) -> tuple[list[tuple[str, str, bool]], dict, type | None]:
    decoder, events = StreamDecoder(dialect, echo), []  # type: ignore[arg-type]
    problem = None
    try:
        for piece in pieces:
            decoder.feed(piece, events)
        decoder.finish(events)
    except DsnbError as error:
        problem = error
    assert len(str(problem)) < LONGEST
    return _joined(events), _state(decoder), problem and type(problem)


def _joined(events: list[Event]) -> list[tuple[str, str, bool]]:
    """Return events with neighbours of one kind joined, since pieces may cut them anywhere."""
    joined: list[tuple[str, str, bool]] = []
    for event in events:
        if event.type == "queued":
            continue
        if joined and joined[-1][0] == event.type and joined[-1][2] == event.moved and event.tool is None:
            joined[-1] = (event.type, joined[-1][1] + event.text, event.moved)
        else:
            joined.append((event.type, event.text, event.moved))
    return joined


def _state(transcript: Transcript) -> dict:
    names = ("id", "model", "created", "fingerprint", "finish_reason", "done", "usage", "logprobs")
    state = {name: getattr(transcript, name) for name in names}
    calls = [(call.id, call.name, call.arguments) for call in transcript.tool_calls]
    for text in (transcript.answer, transcript.reasoning or "", *(part or "" for call in calls for part in call)):
        text.encode()  # no lone surrogate gets out
    return state | {
        "answer": transcript.answer,
        "reasoning": transcript.reasoning,
        "calls": calls,
        "outcome": transcript.outcome,
        "logprobs": repr(transcript.logprobs),  # NaN equals nothing
    }
