"""How long a turn may take, in four names that are not the same thing."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from dsnb.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limit a turn, in seconds; None switches a limit off.

    ``connect``, ``read``, ``write`` and ``pool`` are the transport's: ``read`` counts from one byte to the next, so
    every keep-alive resets it. ``stall`` counts from one token to the next (before the first token, keep-alives
    count as progress), and ``deadline`` is the whole turn, whatever arrives.

    >>> Timeouts(deadline=60)                # give up after a minute, queue or no queue
    >>> Timeouts(read=0.3, stall=0.2)        # scaled down, for tests against an emulator
    """

    connect: float | None = 10.0
    read: float | None = (
        300.0  # above the longest silence reported in mid-stream (201 s, deepseek-ai/DeepSeek-V3 #1608)
    )
    write: float | None = 30.0
    pool: float | None = 10.0
    stall: float | None = 120.0  # people give up on a stalled stream after 15-60 s; a long prefill may take that long
    deadline: float | None = 3600.0  # 64K tokens of thinking at 20 tokens a second, the longest default turn

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value <= 0:
                raise ConfigurationError(
                    f"Timeouts({field.name}={value!r}) is not a time limit: give seconds above 0, or None for no limit."
                )
