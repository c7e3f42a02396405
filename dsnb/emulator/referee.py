"""What a server would hold against its client: requests that it should not have sent, and replies that it left.

What no server can see is not here: whether a client took a reply that was cut off for a whole one.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from dsnb.emulator.ledger import LedgerRow

ABORTED: Final = "aborted by client"
_WHOLE: Final = {"stop", "length", "tool_calls", "content_filter"}  # outcomes after which nobody asks again
_FINAL: Final = {400, 401, 402, 415, 422}  # the same request fails again (page 'Error Codes')
_MOST: Final = 8  # requests for one thing; DeepSeek's own harness sends 6 at most, the SDK 3, and nested they are 18
_WITHIN: Final = 60.0  # seconds; who asks the same again later has thought about it
_PUNCTUAL: Final = 0.99  # of a Retry-After: clocks differ a little
_AGAIN: Final = 3  # requests beyond a limit that was told, before they are more than chance


@dataclass(slots=True, eq=False)
class Visit:
    """Hold one request as the referee saw it; times are real seconds, ``pace`` makes emulated ones of them."""

    asked: bytes
    arrived: float
    pace: float
    ended: float | None = None
    row: LedgerRow | None = None
    retry_after: int | None = None
    limit: int | None = None  # the limit of requests at once that this one went beyond


@dataclass(frozen=True, slots=True)
class Foul:
    """Hold one kind of thing that the client did wrong, ``count`` times.

    ``rule`` is ``storm`` (the same was asked again and again although it failed), ``retry_after`` (asked again before
    the time that was named), ``final`` (asked again after a 400, 401, 402, 415 or 422), ``abandoned`` (the connection
    was left in the middle of a reply, which is billed) or ``concurrency`` (asked again and again beyond the limit of
    requests at once).
    """

    rule: str
    count: int
    text: str


@dataclass(frozen=True, slots=True, repr=False)
class Verdict:
    """Say what the client did wrong: ``fouls``, none if it did well. ``str(verdict)`` is the whole text."""

    requests: int
    fouls: tuple[Foul, ...]

    def __repr__(self) -> str:
        found = [f"{foul.rule} ×{foul.count}" for foul in self.fouls] or ["no fouls"]
        return f"<Verdict {' · '.join([_counted(self.requests, 'request'), *found])}>"

    def __str__(self) -> str:
        if not self.fouls:
            return f"{_counted(self.requests, 'request')}: nothing to object to."
        return "\n".join([f"{_counted(self.requests, 'request')}:", *(f"- {foul.text}" for foul in self.fouls)])


class Referee:
    """Watch the requests for completions; safe to ask while the server works."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._visits: list[Visit] = []

    def arrive(self, key: str, path: str, raw: bytes, pace: float) -> Visit:
        """Note a request that has come; only a digest of it is kept."""
        asked = blake2b(b"\0".join((key.encode(), path.encode(), raw)), digest_size=16).digest()
        visit = Visit(asked, time.monotonic(), pace or 1.0)  # who does not wait for the emulator lives in real time
        with self._lock:
            self._visits.append(visit)
        return visit

    def leave(self, visit: Visit, row: LedgerRow) -> None:
        """Note how a request ended."""
        with self._lock:
            visit.ended, visit.row = time.monotonic(), row

    def verdict(self) -> Verdict:
        """Return what there is to say about the requests so far."""
        with self._lock:
            chains = [_chain(visits) for visits in _by_question(self._visits)]
            fouls = [*_storms(chains), *_hasty(chains), *_final(chains), *_abandoned(self._visits), *_beyond(chains)]
            return Verdict(len(self._visits), tuple(fouls))


@dataclass(frozen=True, slots=True)
class _Link:
    """A request, the one before it that had failed, and how many there have been in a row."""

    visit: Visit
    before: Visit | None
    number: int

    @property
    def ended(self) -> float:
        """When it was over; never, as long as it is not."""
        return math.inf if self.visit.ended is None else self.visit.ended

    @property
    def pause(self) -> float:
        """The emulated seconds from that failure to this request; without one, for ever."""
        if self.before is None or self.before.ended is None:
            return math.inf
        return (self.visit.arrived - self.before.ended) / self.visit.pace


def _by_question(visits: Iterable[Visit]) -> list[list[Visit]]:
    found: dict[bytes, list[Visit]] = {}
    for visit in visits:
        found.setdefault(visit.asked, []).append(visit)
    return list(found.values())


def _chain(visits: Sequence[Visit]) -> list[_Link]:
    """Say which request came after which failure, for requests that ask the same.

    Callers that ask the same cannot be told apart. Each request is taken to follow the failure that is longest ago and
    that nobody has followed yet, which is the reading that speaks for the client.
    """
    links: list[_Link] = []
    under_way: list[_Link] = []
    failed: deque[_Link] = deque()
    for visit in visits:
        over = [link for link in under_way if link.ended <= visit.arrived]
        under_way = [link for link in under_way if link.ended > visit.arrived]
        failed.extend(sorted((link for link in over if _failed(link.visit)), key=lambda link: link.ended))
        while failed and (visit.arrived - failed[0].ended) / visit.pace > _WITHIN:
            failed.popleft()
        before = failed.popleft() if failed else None
        links.append(_Link(visit, before.visit if before else None, before.number + 1 if before else 1))
        under_way.append(links[-1])
    return links


def _failed(visit: Visit) -> bool:
    return visit.row is not None and visit.row.outcome not in _WHOLE


def _status(visit: Visit | None) -> int | None:
    return visit.row.status if visit is not None and visit.row is not None else None


def _storms(chains: Sequence[Sequence[_Link]]) -> Iterable[Foul]:
    longest = [max(link.number for link in chain) for chain in chains]
    storms = [number for number in longest if number > _MOST]
    if storms:
        yield Foul(
            "storm",
            len(storms),
            f"Asked the same up to {max(storms)} times in a row although it failed each time "
            f"({_counted(len(storms), 'such request')}). Retry in one place only (the SDK does so by itself: "
            "max_retries=0), a few times, with random pauses that grow.",
        )


def _hasty(chains: Sequence[Sequence[_Link]]) -> Iterable[Foul]:
    hasty = [
        (link.pause, link.before.retry_after)
        for chain in chains
        for link in chain
        if link.before is not None and link.before.retry_after and link.pause < link.before.retry_after * _PUNCTUAL
    ]
    if hasty:
        pause, named = min(hasty)
        yield Foul(
            "retry_after",
            len(hasty),
            f"Asked again too early {_times(len(hasty))}: after {pause:.2g} s where Retry-After named {named} s. "
            "Wait for as long as it says.",
        )


def _final(chains: Sequence[Sequence[_Link]]) -> Iterable[Foul]:
    again = [_status(link.before) for chain in chains for link in chain if _status(link.before) in _FINAL]
    if again:
        statuses = ", ".join(map(str, sorted({status for status in again if status})))
        yield Foul(
            "final",
            len(again),
            f"Sent the same request again {_times(len(again))} after an answer that says that it will not do "
            f"({statuses}). Change the request, the key or the balance instead.",
        )


def _abandoned(visits: Iterable[Visit]) -> Iterable[Foul]:
    left = [v.row for v in visits if v.row is not None and v.row.status == 200 and v.row.outcome == ABORTED]
    if left:
        tokens = sum(row.completion_tokens for row in left)
        yield Foul(
            "abandoned",
            len(left),
            f"Left the connection in the middle of a reply {_times(len(left))}; what was generated until then "
            f"({_counted(tokens, 'token')}) is billed all the same. Ask for less (max_tokens), or wait for longer.",
        )


def _beyond(chains: Sequence[Sequence[_Link]]) -> Iterable[Foul]:
    told = [link for chain in chains for link in chain if link.before is not None and link.before.limit is not None]
    again = [link.visit.limit for link in told if link.visit.limit is not None]
    if len(again) >= _AGAIN and 2 * len(again) > len(told):
        yield Foul(
            "concurrency",
            len(again),
            f"Went on with more requests at once than the {again[-1]} allowed: {_times(len(again))} a request that had "
            "been told so met the limit again. Send fewer at a time after a 429.",
        )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
