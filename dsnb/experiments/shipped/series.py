"""Calls one after the other by a user whose cache is empty: what each of them hit, and what was expected of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from dsnb.emulator import running
from dsnb.emulator.engines.live import is_live
from dsnb.experiments.planning.plan import plan

if TYPE_CHECKING:
    from dsnb.client.reply import Reply
    from dsnb.client.request import Messages
    from dsnb.session import Session

SETTLE: Final = 10.0  # seconds between live calls: the cache "takes seconds to build" (guide 'Context Caching')


class Series:
    """Ask one request after another and keep a row for each.

    Every series is a user of its own (``user_id``), since users share no cache: so each starts cold, whatever ran
    before. Thinking is off and one token is asked for, unless a call says otherwise.
    """

    def __init__(self, ds: Session) -> None:
        self.user = f"dsnb-{uuid4().hex}"
        self.rows: list[dict[str, Any]] = []
        self._ds = ds
        self._earlier: list[Any] = []
        self._emulator = ds.emulator or running(ds.endpoint.base_url)
        # a real model behind the emulator has a cache of its own, which no contract describes
        self._ruled = self._emulator is None or not is_live(self._emulator.engine)

    @property
    def calls(self) -> dict[str, Any]:
        """What a cell returns: the rows so far."""
        return {"calls": self.rows}

    def ask(self, messages: str | Messages, label: str = "", **options: Any) -> Reply:
        """Ask, and note what was hit and what was expected after the calls before; return the reply."""
        if self.rows:
            self.wait(0.0 if self._ds.source == "emulator" else SETTLE)
        given: dict[str, Any] = {
            "model": self._ds.model,
            "thinking": False,
            "max_tokens": 1,
            "user_id": self.user,
        } | options
        expected = None
        if self._ruled:
            expected = plan(messages, after=self._earlier, at=self._ds.contract.instant, **given).cache_hit_tokens
        reply = self._ds.ask(messages, render=None, **given)
        self._earlier += [{"messages": messages, **given}, reply]
        usage, cost = reply.usage, reply.cost
        self.rows.append(
            {
                "call": len(self.rows) + 1,
                "label": label,
                "prompt_tokens": usage and usage.prompt_tokens,
                "hit": usage and usage.cache_hit_tokens,
                "expected": expected,
                "first_token": reply.timing.first_token,
                "cost_usd": None if cost is None or cost.usd is None else str(cost.usd),
            }
        )
        return reply

    def wait(self, seconds: float) -> None:
        """Let time pass: the emulator's own where one answers from this process, else the real one.

        What the contract lets the cache forget meanwhile is not expected any more.
        """
        if seconds > self._ds.contract.model(self._ds.model).generation.cache.expiry_seconds:
            self._earlier.clear()
        if self._emulator is not None:
            self._emulator.clock.advance(seconds)
        else:
            time.sleep(seconds)


def user(text: str) -> list[dict[str, Any]]:
    """Return a message list of one user message."""
    return [{"role": "user", "content": text}]


def shares(rows: Sequence[dict[str, Any]]) -> list[float]:
    """Return which part of each prompt was hit."""
    return [row["hit"] / row["prompt_tokens"] for row in rows]
