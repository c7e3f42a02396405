"""From what the client tells to the rows that are kept: numbers that are numbers, labels that are short, no texts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Final

from dsnb.client.records import Attempt, Turn
from dsnb.client.reply import Reply, Timing
from dsnb.client.text import quote, well_formed
from dsnb.client.usage import Usage
from dsnb.contract import Cost
from dsnb.errors import DsnbError

Value = str | int | float | None

_LONGEST: Final = 200  # characters of a label; the ids and names that were recorded have 70 at most
_MOST: Final = 2**53  # what JSON numbers hold exactly
_LONG: Final = 4e9  # seconds, of a duration or since 1970: till the year 2096, in microseconds exact
_ID: Final = re.compile(r"[0-9a-f-]{1,64}")  # DeepSeek's own ids


@dataclass(frozen=True, slots=True)
class Begun:
    """A turn that has begun: ``setting`` is how it was asked, ``row`` the columns time, messages, prompt_hash."""

    key: str
    setting: tuple[Value, ...]
    row: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Tried:
    """An attempt that has ended: ``result`` is who answered and how, ``row`` all else."""

    turn: Begun
    result: tuple[Value, ...]
    row: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """A turn that has ended: ``result`` is who answered and how, ``row`` where its seconds went."""

    turn: Begun
    result: tuple[Value, ...]
    row: tuple[Value, ...]


Record = Begun | Tried | Ended


def begun(turn: Turn, run: str | None, notebook: str | None) -> Begun:
    """Return the rows of a turn that is about to be sent."""
    asked = (turn.source, turn.provider, turn.asked_model, turn.streamed, turn.thinking, turn.effort)
    row = (_seconds(turn.started) or 0.0, _count(turn.messages) or None, _name(turn.prompt_hash))
    return Begun(turn.id, _setting(run, notebook, *asked), row)


def tried(turn: Begun, attempt: Attempt) -> Tried:
    """Return the rows of an attempt."""
    reply, cost = attempt.reply, attempt.reply.cost or _NO_COST
    row = (
        _count(attempt.number) or 0,
        _seconds(attempt.started) or 0.0,
        *_tokens(reply.usage or _NO_USAGE),
        *_timing(reply.timing),
        _money(cost.usd),
        _money(cost.cny),
        _count(reply.created),
        _said(reply.id),
        _said(reply.trace_id),
    )
    return Tried(turn, _outcome(attempt.turn, reply, attempt.error, attempt.status), row)


def ended(record: Begun, turn: Turn, reply: Reply, error: DsnbError | None) -> Ended:
    """Return the rows of a turn that has ended."""
    return Ended(record, _outcome(turn, reply, error, None), _timing(reply.timing))


_NO_USAGE: Final = Usage()
_NO_COST: Final = Cost(None, None)


def _outcome(turn: Turn, reply: Reply, error: DsnbError | None, status: int | None) -> tuple[Value, ...]:
    price = reply.cost.price if reply.cost else None
    return _result(
        # an emulator says so in its headers, also where nobody knew that it was one
        "emulator" if reply.emulated else turn.source,
        reply.served_by or turn.provider,
        *(reply.model, reply.fingerprint, status, reply.outcome, reply.finish_reason),
        type(error).__name__ if error is not None else None,  # its text might quote anything
        *((price.period, int(price.peak)) if price else (None, None)),
    )


# The same few again and again: to clean them each time would take longer than to write the row.
@lru_cache(1000)
def _setting(
    run: str | None,
    notebook: str | None,
    source: str,
    provider: str,
    model: str,
    streamed: bool | None,
    thinking: bool | None,
    effort: str | None,
) -> tuple[Value, ...]:
    asked = (_name(provider), _name(model), _flag(streamed), _flag(thinking), _name(effort))
    return (_name(run), _name(notebook), source, *asked)


@lru_cache(1000)
def _result(
    source: str,
    provider: str,
    model: str | None,
    fingerprint: str | None,
    status: int | None,
    outcome: str,
    finish_reason: str | None,
    error: str | None,
    price_period: str | None,
    peak: int | None,
) -> tuple[Value, ...]:
    said = (_said(model), _said(fingerprint), _count(status), _said(outcome), _said(finish_reason))
    return (source, _name(provider), *said, error, price_period, peak)


def _tokens(usage: Usage) -> tuple[Value, ...]:
    return (
        *(_count(usage.prompt_tokens), _count(usage.completion_tokens), _count(usage.total_tokens)),
        *(_count(usage.cache_hit_tokens), _count(usage.cache_miss_tokens), _count(usage.reasoning_tokens)),
    )


def _timing(timing: Timing) -> tuple[Value, ...]:
    return (
        *(_seconds(timing.queued), _seconds(timing.first_token)),
        *(_seconds(timing.first_answer), _seconds(timing.total)),
    )


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST else None


def _seconds(value: object) -> float | None:
    # as whole microseconds, which is how frames read them; NaN is in no range
    return round(float(value), 6) if isinstance(value, (float, int)) and 0 <= value < _LONG else None


def _flag(value: object) -> int | None:
    return int(value) if isinstance(value, bool) else None


def _money(amount: Decimal | None) -> str | None:
    return f"{amount:f}" if isinstance(amount, Decimal) and amount.is_finite() else None


def _name(value: object) -> str | None:
    """Return a text that this side chose, on one line and not too long."""
    if type(value) is not str or not value:
        return None
    if len(value) > _LONGEST or not value.isprintable():
        value = "".join(c if c.isprintable() else " " for c in well_formed(value))
    return value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"


def _said(value: object) -> str | None:
    """Return a text that the endpoint chose; what looks like a key in it is hidden."""
    if type(value) is not str or not value:
        return None
    return value if _ID.fullmatch(value) else quote(value, _LONGEST) or None
