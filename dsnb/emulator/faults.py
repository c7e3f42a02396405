"""What can go wrong on purpose: a schedule with one fault per request, or seeded rates.

| fault           | what the client sees                                                                  |
|-----------------|---------------------------------------------------------------------------------------|
| `"ok"`          | nothing unusual                                                                       |
| `503`, `"503@5"`| that error status with the API's body; `@5` adds `Retry-After: 5` (the API sends none) |
| `"refuse"`      | the connection is reset before any answer                                             |
| `"reset@N"`     | the connection is reset (RST) after N generated tokens                                |
| `"cut@N"`       | the connection is closed after N tokens, without the end of the body                  |
| `"eof@N"`       | the body ends properly after N tokens, without `[DONE]`                               |
| `"stall@N"`     | nothing more comes after N tokens, and the connection stays open                      |
| `"malformed@N"` | after N tokens comes a frame that is not JSON, and the body ends                      |
| `"empty"`       | a reply that stops without any text                                                   |
| `"queue@S"`     | keep-alives for S emulated seconds, then the reply                                    |
| `"think@S"`     | the reasoning takes S emulated seconds (no effect without thinking)                   |

A server that listens cannot refuse one request, so `"refuse"` accepts it and resets: the nearest there is.
Without `@N` the token is drawn from the seed. A reply of fewer than N tokens is broken just before its finish chunk.
On a real engine's reply N counts the pieces that came, is drawn among the first 64, and `"think@S"` has no effect.

They can be changed while the emulator runs, from the next request on:

>>> emulator.faults = [503, "cut@20", "ok"]       # one for each request in turn, then none
>>> emulator.faults = {503: 0.1, "stall": 0.05}   # rates: three requests in twenty
>>> emulator.faults = None                        # the storm is over
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dsnb.emulator import draw
from dsnb.errors import EmulatorError

STATUSES = (400, 401, 402, 429, 500, 502, 503, 504)
BREAKS = ("reset", "cut", "eof", "stall", "malformed")
WAITS = ("queue", "think")
WHOLE = ("ok", "refuse", "empty")

Spec = str | int
Faults = Sequence[Spec] | Mapping[Spec, float] | None


@dataclass(frozen=True, slots=True)
class Fault:
    """Hold one fault: ``kind`` is its name or ``"status"``.

    ``at`` counts tokens, None for a drawn one; ``seconds`` is emulated; ``share`` is where a drawn token falls.
    """

    kind: str
    status: int | None = None
    at: int | None = None
    seconds: float = 0.0
    retry_after: int | None = None
    share: float = 0.5

    def token(self, total: int) -> int:
        """Return after how many of ``total`` tokens this fault strikes, at least one where there is one."""
        at = 1 + int(self.share * max(total - 1, 0)) if self.at is None else self.at
        return min(at, total)


OK = Fault("ok")


def parse(spec: Spec) -> Fault:
    """Return the fault that ``spec`` names.

    Raises `EmulatorError` for a name that does not exist, with those that do.
    """
    name, placed, number = str(spec).partition("@")
    if placed and not number:
        raise _unknown(spec)
    if name.isdecimal() and int(name) in STATUSES:
        return Fault("status", status=int(name), retry_after=_whole(spec, number) if number else None)
    if name in BREAKS:
        return Fault(name, at=_whole(spec, number) if number else None)
    if name in WAITS and number:
        return Fault(name, seconds=_seconds(spec, number))
    if name in WHOLE and not number:
        return Fault(name)
    raise _unknown(spec)


def written(words: Sequence[str]) -> Faults:
    """Return the faults that a command line names: one for each request, or rates such as ``503:0.1``.

    Raises `EmulatorError` for a mixture of both, and for a rate that is no number.
    """
    pairs = [word.rpartition(":") for word in words]
    if not any(colon for _, colon, _ in pairs):
        return list(words) or None
    if not all(colon for _, colon, _ in pairs):
        raise EmulatorError("faults are either one for each request, or all of them rates such as 503:0.1 cut:0.05.")
    try:
        return {name: float(rate) for name, _, rate in pairs}
    except ValueError:
        raise EmulatorError(f"a fault's rate is a number from 0 to 1, as in 503:0.1; got {' '.join(words)}.") from None


class Schedule:
    """Say which fault meets which request: a list (one each, then none) or rates drawn from the seed."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self._seed = seed
        self._used = 0
        self._listed: list[Fault] = []
        self._rates: list[tuple[Fault, float]] = []
        if isinstance(faults, Mapping):
            self._rates = [(parse(spec), _rate(spec, rate)) for spec, rate in faults.items()]
            if sum(rate for _, rate in self._rates) > 1 + 1e-9:
                message = "the rates of the faults add up to more than 1: each is the share of requests that meet it."
                raise EmulatorError(message)
        elif isinstance(faults, str | int):
            message = f"faults are a list, one per request, or a mapping of rates: write [{faults!r}]."
            raise EmulatorError(message)
        else:
            self._listed = [parse(spec) for spec in faults or ()]

    def draw(self, ordinal: int) -> Fault:
        """Return the fault of the next request, the ``ordinal``-th of all."""
        share = draw.fraction(self._seed, "break", ordinal)
        if self._rates:
            chance = draw.fraction(self._seed, "fault", ordinal)
            for fault, rate in self._rates:
                if chance < rate:
                    return replace(fault, share=share)
                chance -= rate
            return OK
        position, self._used = self._used, self._used + 1
        return replace(self._listed[position], share=share) if position < len(self._listed) else OK


def _whole(spec: Spec, number: str) -> int:
    if not number.isdecimal():
        raise _unknown(spec)
    return int(number)


def _seconds(spec: Spec, number: str) -> float:
    try:
        seconds = float(number)
    except ValueError:
        raise _unknown(spec) from None
    if not 0 <= seconds < 1e9:
        raise _unknown(spec)
    return seconds


def _rate(spec: Spec, rate: float) -> float:
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        message = f"the rate of the fault {spec!r} is a share of requests between 0 and 1, not {rate!r}."
        raise EmulatorError(message)
    return float(rate)


def _unknown(spec: Spec) -> EmulatorError:
    names = [
        *map(str, STATUSES),
        "503@5",
        *WHOLE,
        *(f"{name}@20" for name in BREAKS),
        *(f"{name}@90" for name in WAITS),
    ]
    return EmulatorError(f"{spec!r} is not a fault of the emulator: choose from {', '.join(names)}.")
