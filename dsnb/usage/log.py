"""The ledger as the session and the researcher use it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import uuid4

from dsnb.client.pricing import price_of
from dsnb.client.records import Attempt, Turn
from dsnb.client.reply import Reply
from dsnb.contract import at
from dsnb.errors import ConfigurationError, DsnbError
from dsnb.usage import parquet, rows, totals
from dsnb.usage.card import card
from dsnb.usage.ledger import Ledger, warn
from dsnb.usage.location import notebook
from dsnb.usage.responses import read
from dsnb.usage.totals import Amount, counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_RUNS: Final[ContextVar[tuple[tuple[UsageLog, str], ...]]] = ContextVar("dsnb runs", default=())
_SOURCES: Final = ("live", "emulator")
_PRICED: Final = ("deepseek", "emulator")  # whose prices the contract knows


class UsageLog:
    """Keep account of every call: tokens, seconds, money; one row a turn, one row an attempt.

    ``path`` is an SQLite file, made when the first row comes; many processes may write to it at once. None keeps the
    rows in memory. Texts are never stored, keys neither. ``source`` (``live`` or ``emulator``) says what `add` logs.

    A file that cannot be used (read-only, full, locked, damaged, of a newer version) costs one DsnbWarning; the rows
    are kept in memory then, and go into the file as soon as that can be done.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, source: str = "live") -> None:
        if path is not None and not isinstance(path, str | os.PathLike):
            raise ConfigurationError(f"A usage ledger is a path or a UsageLog, not {type(path).__name__}.")
        self.path = None if path is None else Path(path).expanduser().absolute()
        self.source = _checked(source)
        self._ledger = Ledger(self.path)
        self._turns: dict[str, rows.Begun] = {}

    def began(self, turn: Turn) -> None:
        """Note a turn that is about to be sent; never raises."""
        try:
            self._turns[turn.id] = record = self._begun(turn)
            self._ledger.write(record)
        except Exception as error:  # whatever it is, the call matters more
            _excuse(error)

    def attempted(self, attempt: Attempt) -> None:
        """Note an attempt that has ended; never raises."""
        try:
            record = self._turns.get(attempt.turn.id) or self._begun(attempt.turn)
            self._ledger.write(rows.tried(record, attempt))
        except Exception as error:  # as above
            _excuse(error)

    def ended(self, turn: Turn, reply: Reply, error: DsnbError | None) -> None:
        """Note how a turn ended; never raises."""
        try:
            record = self._turns.pop(turn.id, None) or self._begun(turn)
            self._ledger.write(rows.ended(record, turn, reply, error))
        except Exception as fault:  # as above
            _excuse(fault)

    @contextmanager
    def run(self, name: str) -> Iterator[UsageLog]:
        """Name the turns that are logged inside; of nested runs the innermost names them.

        The name holds for the code inside and the tasks that it starts. A thread does not see it, by the rule of
        ``contextvars``, unless it is handed the context, a copy each:

        >>> with ds.run("many"), ThreadPoolExecutor() as pool:
        ...     replies = [pool.submit(copy_context().run, ds.ask, prompt) for prompt in prompts]

        Raises DsnbError for a name that is not a text.
        """
        if not isinstance(name, str) or not name.strip():
            raise DsnbError(f'A run is named by a text, not by {name!r}: with ds.run("my experiment"): ...')
        token = _RUNS.set((*_RUNS.get(), (self, name)))
        try:
            yield self
        finally:
            _RUNS.reset(token)

    def add(
        self,
        response: object,
        *,
        asked_model: str | None = None,
        provider: str = "deepseek",
        source: str | None = None,
        seconds: float | None = None,
        began: float | None = None,
    ) -> None:
        """Log a call that was made with the raw SDK.

        ``response`` is a ChatCompletion or Completion, the chunks of a stream (or the last of them, which has the
        usage), the JSON of either as a dict, or a Reply. ``seconds`` is how long it took, where that is known, and
        ``began`` when that was, in seconds since 1970; by default a live reply's own ``created``, else now. The cost is
        that of the contract at ``created``; it stays unknown for another ``provider`` than DeepSeek. Raises DsnbError
        for anything else.
        """
        reply, streamed = read(response, seconds)
        source = "emulator" if reply.emulated else _checked(source or self.source)
        if reply.cost is None and provider in _PRICED:
            reply = replace(reply, cost=price_of(at(datetime.now(UTC)))(reply))
        now = time.time()
        if began is None:  # an emulator lives in a time of its own
            began = float(reply.created or now) if source == "live" else now
        turn = Turn(
            id=uuid4().hex,
            started=began,
            provider=provider,
            source=source,
            asked_model=asked_model or reply.asked_model or reply.model or "",
            streamed=streamed,  # type: ignore[arg-type] # None where nobody knows
            thinking=None,
            effort=None,
            prompt_hash="",
            messages=0,
        )
        self.began(turn)
        self.attempted(Attempt(turn, 1, turn.started, 200, reply, None))
        self.ended(turn, reply, None)

    def frame(self, rows: Literal["turns", "attempts"] = "turns") -> pd.DataFrame:
        """Return one row a turn, or ``"attempts"``: one row a request.

        A turn's tokens and cost are the sums over its attempts as far as they are known; ``unknown`` counts the
        others. What is not known is NA, never 0. A turn that never ended has the outcome ``unfinished``. Times are
        UTC, durations seconds, costs floats (`cost` is exact). Raises DsnbError for other ``rows``.
        """
        from dsnb.usage import frames

        questions = {"turns": frames.turns, "attempts": frames.attempts}
        if rows not in questions:
            raise DsnbError(f"A frame has 'turns' or 'attempts' as its rows, not {rows!r}.")
        return self._ledger.read(questions[rows])

    def summary(self, by: str | Sequence[str] = "model") -> pd.DataFrame:
        """Return sums over attempts by one label or several, always apart for ``source`` (live or emulator).

        Labels are ``run, notebook, provider, asked_model, model, fingerprint, streamed, thinking, effort, status,
        outcome, finish_reason, error, price_period, peak`` and ``day``. ``unknown`` counts the attempts whose usage
        never came, ``unpriced`` those whose cost is not known, ``unfinished`` turns without an end; ``hit_rate`` is
        the part of the prompt tokens that came from the cache. Raises DsnbError for other labels.
        """
        from dsnb.usage import frames

        labels = totals.group(by)
        return frames.summary(self._ledger.read(lambda connection: totals.totals(connection, labels)), len(labels))

    def cost(self, currency: str = "USD", *, source: str | None = None) -> Amount:
        """Return the exact cost of all attempts, a Decimal that also knows how many attempts it leaves out.

        ``source`` is needed where the ledger holds both live and emulated calls: those are never added up. Raises
        DsnbError without it, and for other currencies than USD and CNY.
        """
        if source is not None:
            _checked(source)
        return self._ledger.read(lambda connection: totals.cost(connection, currency, source))

    def spend(self, by: str = "model", currency: str = "USD") -> pd.DataFrame:
        """Return what was spent by one label (see `summary`), and for what: cache hits, misses, reasoning, answers.

        A row a value, the most expensive first, live and emulated calls apart; ``saved`` is what the cache spared.
        Raises DsnbError for other labels, and for other currencies than USD and CNY.
        """
        from dsnb.usage.money import spend

        return spend(self.frame("attempts"), by, currency)

    def plot(self, currency: str = "USD", *, by: str | None = None) -> Figure:
        """Draw tokens by kind and the cost as it grows, over the turns; return the matplotlib Figure.

        With ``by`` draw where the money went, a bar for each value of that label (see `summary`), and the hit rate as
        time passes. Raises DsnbError for other labels and currencies.
        """
        currency = totals.known_currency(currency)
        if by is not None:
            from dsnb.usage import dashboard

            return dashboard.draw(self.frame("attempts"), by, currency)
        from dsnb.usage.figure import draw

        return draw(self.frame(), currency)

    def to_parquet(self, path: str | os.PathLike[str], rows: Literal["turns", "attempts"] = "turns") -> None:
        """Write a frame to a Parquet file; raise ConfigurationError where no package for it is installed."""
        parquet.write(self.frame(rows), path)

    def close(self) -> None:
        """Close the file, after writing what had to wait in memory; the next call opens it again."""
        self._ledger.close()

    def __repr__(self) -> str:
        turns, attempts, found = self._ledger.read(_sizes)
        return f"<UsageLog {self._place()} · {counted(turns, 'turn')} · {counted(attempts, 'attempt')}{found}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        labels = totals.group("asked_model")
        return card(repr(self)[1:-1], self._ledger.read(lambda connection: totals.totals(connection, labels)))

    def _place(self) -> str:
        if self.path is None:
            return "in memory"
        home = Path.home()  # whose name need not stand in every notebook
        return str("~" / self.path.relative_to(home) if self.path.is_relative_to(home) else self.path)

    def _begun(self, turn: Turn) -> rows.Begun:
        run = next((name for log, name in reversed(_RUNS.get()) if log is self), None)
        return rows.begun(turn, run, notebook())


def _excuse(fault: Exception) -> None:
    warn(f"A call could not be logged ({type(fault).__name__}). Its reply is whole; please report this.")


def _checked(source: str) -> str:
    if source not in _SOURCES:
        raise DsnbError(f"A source is 'live' or 'emulator', not {source!r}.")
    return source


def _sizes(connection: Any) -> tuple[int, int, str]:
    ((turns,),) = connection.execute("SELECT count(*) FROM turns")
    ((attempts,),) = connection.execute("SELECT count(*) FROM attempts")
    found = totals.sources(connection)
    return turns, attempts, f" · {' and '.join(found)}" if found else ""
