"""What the emulator billed: one row for every completion, of chat or of text, in the order of arrival."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from dsnb.contract import Cost

NOTHING = Cost(Decimal(0), Decimal(0))


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """Hold what one request was billed.

    ``outcome`` is the finish reason of a whole reply; otherwise ``rejected`` (an error status), ``aborted by client``,
    or the name of the fault that ended it. Tokens are those billed: ``completion_tokens`` of a broken reply are those
    generated until then, and all are 0 where ``billed`` is False. ``id`` is the reply's, None where there was none.
    ``started`` is the emulated instant that decided the price.
    """

    id: str | None
    model: str | None
    status: int | None
    outcome: str
    prompt_tokens: int = 0
    cache_hit_tokens: int = 0
    completion_tokens: int = 0
    billed: bool = False
    cost: Cost = NOTHING
    started: datetime | None = None


class Ledger:
    """Collect rows and request bodies; safe to read while the server writes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[int, LedgerRow] = {}
        self._requests: dict[int, dict[str, object]] = {}
        self._arrivals = 0

    def arrive(self) -> int:
        """Return the ordinal of a new request, from 0."""
        with self._lock:
            self._arrivals += 1
            return self._arrivals - 1

    def received(self, ordinal: int, body: dict[str, object]) -> None:
        """Keep the body of a request."""
        with self._lock:
            self._requests[ordinal] = body

    def enter(self, ordinal: int, row: LedgerRow) -> None:
        """Keep the row of a request that ended."""
        with self._lock:
            self._rows[ordinal] = row

    def rows(self) -> list[LedgerRow]:
        """Return the rows of the requests that ended, in the order of arrival."""
        with self._lock:
            return [self._rows[ordinal] for ordinal in sorted(self._rows)]

    def requests(self) -> list[dict[str, object]]:
        """Return the bodies received, in the order of arrival."""
        with self._lock:
            return [self._requests[ordinal] for ordinal in sorted(self._requests)]
