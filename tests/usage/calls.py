"""Calls to log: turns, attempts and replies as the client tells them."""

from datetime import UTC, datetime
from itertools import count

from dsnb.client.pricing import price_of
from dsnb.client.records import Attempt, Turn
from dsnb.client.reply import Reply, Timing
from dsnb.client.usage import Usage
from dsnb.contract import at
from dsnb.errors import ServerFailed

STARTED = datetime(2026, 11, 16, 12, 0, 0, 250_000, UTC)  # off-peak
price = price_of(at(STARTED))
_ordinals = count(1)


def turn(**changes) -> Turn:
    fields = {
        "id": f"turn-{next(_ordinals)}",
        "started": STARTED.timestamp(),
        "provider": "deepseek",
        "source": "live",
        "asked_model": "deepseek-flash",
        "streamed": True,
        "thinking": None,
        "effort": "high",
        "prompt_hash": "8d777f385d3dfec8",
        "messages": 3,
    }
    return Turn(**fields | changes)


def reply(**changes) -> Reply:
    """A reply of 1,000 + 200 tokens, 512 of them cached and 150 reasoning."""
    fields = {
        "answer": "an answer",
        "outcome": "stop",
        "finish_reason": "stop",
        "usage": Usage(1000, 200, 1200, 512, 488, 150),
        "timing": Timing(queued=0.0, first_token=0.3, first_answer=2.5, total=4.125),
        "id": f"{next(_ordinals):032x}",
        "model": "deepseek-flash",
        "asked_model": "deepseek-flash",
        "served_by": "deepseek",
        "created": int(STARTED.timestamp()),
        "fingerprint": "fp_1",
        "trace_id": "0123456789abcdef0123456789abcdef",
    }
    made = Reply(**fields | changes)
    if "cost" not in changes:
        made.cost = price(made)
    return made


def refusal() -> Reply:
    """What is left of an attempt that was answered with an error status."""
    return Reply(timing=Timing(total=0.05), asked_model="deepseek-flash", served_by="deepseek")


def log_call(log, *, refused: int = 0, **changes) -> Turn:
    """Log one turn: some refused attempts, then one that goes well."""
    named = {name: changes.pop(name) for name in tuple(changes) if name in Turn.__slots__ and name != "id"}
    begun, good = turn(**named), reply(**changes)
    log.began(begun)
    for number in range(1, refused + 1):
        failed = ServerFailed("HTTP 503: busy", status=503)
        log.attempted(Attempt(begun, number, begun.started, 503, refusal(), failed))
    log.attempted(Attempt(begun, refused + 1, begun.started, 200, good, None))
    log.ended(begun, good, None)
    return begun
