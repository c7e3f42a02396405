"""The prefix cache: which part of a prompt the API reads from its cache.

Up to V3.2 any whole number of 64-token units can be hit that an earlier call, prompt and reply together, began with.
From V4 an earlier call leaves two units only: its prompt and its prompt with the reply, each rounded down to 128
tokens; the longest one that the new prompt begins with is hit (39 of 40 recorded follow-ups exact).

The reply counts as it was generated. A next prompt that leaves its reasoning out, or spells a tool call otherwise,
no longer begins with it, and hits the earlier prompt's unit at best. Not modelled: units that the guide says the API
makes out of prefixes it finds in common, and at fixed steps in long texts; no recording shows them.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from dsnb.contract.catalogue import CacheRule


@dataclass(slots=True)
class _Entry:
    ready: float
    used: float


class PrefixCache:
    """Imitate the cache of one account, user and model; the caller keeps one for each.

    Times are seconds on any clock. What it stores of a prompt is 16 bytes for a unit, and both methods cost one pass
    over the tokens. Not safe for use by several threads at once.
    """

    def __init__(self, rule: CacheRule) -> None:
        self._rule = rule
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()  # the one used longest ago first

    def lookup(self, prompt: Sequence[int], now: float = 0.0) -> int:
        """Return how many of the prompt's first tokens are in the cache at ``now``; a hit keeps them there."""
        hit, touched = 0, []
        for number, digest in enumerate(units(prompt, self._rule.unit), start=1):
            entry = self._entries.get(digest)
            if entry and entry.ready <= now and now - entry.used <= self._rule.expiry_seconds:
                hit = number * self._rule.unit
                touched.append(digest)
        for digest in touched:
            self._entries[digest].used = now
            self._entries.move_to_end(digest)
        return hit if hit >= self._rule.minimum else 0

    def store(self, prompt: Sequence[int], completion: Sequence[int], now: float = 0.0) -> None:
        """Remember a call that ended at ``now``: its prompt and the tokens generated after it."""
        unit = self._rule.unit
        ids = _array(prompt) + _array(completion)
        ends = {len(prompt) // unit, len(ids) // unit}
        for number, digest in enumerate(units(ids, unit), start=1):
            if number in ends or not self._rule.whole_units_at_ends:
                entry = self._entries.get(digest)
                alive = entry is not None and now - entry.used <= self._rule.expiry_seconds
                ready = entry.ready if entry and alive else now + self._rule.build_seconds
                self._entries[digest] = _Entry(ready, now)
                self._entries.move_to_end(digest)
        while self._entries and now - next(iter(self._entries.values())).used > self._rule.expiry_seconds:
            self._entries.popitem(last=False)


def expected_hit(earlier: Iterable[tuple[Sequence[int], Sequence[int]]], prompt: Sequence[int], rule: CacheRule) -> int:
    """Return how many tokens of ``prompt`` an empty cache would hold after the ``earlier`` calls.

    Each is its prompt's ids and its reply's ids (``()`` if unknown). All had time to be built and none to expire.
    """
    cache = PrefixCache(rule)
    for asked, answered in earlier:
        cache.store(asked, answered)
    return cache.lookup(prompt, rule.build_seconds)


@dataclass(frozen=True, slots=True)
class Prefixes:
    """Hold the whole units that a token sequence of ``length`` begins with, as `units` makes them."""

    length: int
    units: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Left:
    """Hold what one earlier call left in the cache: its prompt, and its prompt with its reply (None if unknown)."""

    prompt: Prefixes
    whole: Prefixes | None = None

    def hit(self, prompt: Prefixes, rule: CacheRule) -> tuple[int, str]:
        """Return how many tokens of ``prompt`` this call alone gives, and by what.

        That is ``"reply"`` (the end of its reply), ``"prompt"`` (the end of its prompt), ``"units"`` (any whole units,
        to V3.2) or ``""`` for nothing. `expected_hit` over one call says the same number.
        """
        ends = [("reply", self.whole), ("prompt", self.prompt)]
        if not rule.whole_units_at_ends:
            hit, by = _common((self.whole or self.prompt).units, prompt.units) * rule.unit, "units"
        else:
            found = [(len(end.units), by) for by, end in ends if end and _begins(prompt, end)]
            number, by = max(found, key=lambda pair: pair[0], default=(0, ""))
            hit = number * rule.unit
        return (hit, by) if hit and hit >= rule.minimum else (0, "")


def units(ids: Sequence[int], unit: int, before: bytes = b"") -> list[bytes]:
    """Return a digest for each whole unit of ``ids``, of all tokens up to its end, hashing every token once.

    Each is made from the one before it; ``before`` is the one that precedes these tokens, so that a text which grew is
    not hashed again.
    """
    tokens = memoryview(_array(ids))
    found = []
    for end in range(unit, len(ids) + 1, unit):
        chain = blake2b(before, digest_size=16)
        chain.update(tokens[end - unit : end])
        before = chain.digest()
        found.append(before)
    return found


def _begins(prompt: Prefixes, end: Prefixes) -> bool:
    number = len(end.units)
    return 0 < number <= len(prompt.units) and prompt.units[number - 1] == end.units[-1]


def _common(one: Sequence[bytes], other: Sequence[bytes]) -> int:
    """Return how many units two sequences have in common: where one differs, so do all after it."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[middle - 1] == other[middle - 1] else (low, middle - 1)
    return low


def _array(ids: Sequence[int]) -> array[int]:
    return ids if isinstance(ids, array) and ids.typecode == "I" else array("I", ids)
