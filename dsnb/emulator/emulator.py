"""The emulator: the DeepSeek API on loopback, importable in a cell."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Collection
from datetime import date, datetime
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from dsnb.contract import Contract, at
from dsnb.contract.history import PASSBACKS
from dsnb.emulator.account import Account
from dsnb.emulator.backend import Backend
from dsnb.emulator.clock import Clock
from dsnb.emulator.engines import Engine, EngineRequest, LiveEngine, Said
from dsnb.emulator.engines import engine as named
from dsnb.emulator.engines.live import is_live
from dsnb.emulator.faults import Faults, Schedule
from dsnb.emulator.ledger import Ledger, LedgerRow
from dsnb.emulator.referee import Verdict
from dsnb.errors import EmulatorError

if TYPE_CHECKING:
    from dsnb.emulator.server import Server

# A Monday at 12:00 UTC: within the newest contract that the catalogue's sources describe (2026-11-15), and off-peak
# (peak is 01:00-04:00 and 06:00-10:00 UTC on working days), so that prices in examples do not depend on the hour.
DEFAULT_AS_OF = "2026-11-16T12:00:00Z"

_RUNNING: dict[str, Emulator] = {}


class Emulator:
    """Serve the DeepSeek API on 127.0.0.1 from a thread of its own.

    A context manager; `start` and `close` do the same. ``base_url`` stands for ``https://api.deepseek.com``.

    An engine can be a function from the request (`EngineRequest`) to what the model says; it answers chats, and fills
    gaps in texts where ``request.prompt`` is not None::

        def digging(request):
            if len(request.results) < 3:
                return ToolCall("dig", '{"metres": 1}')
            return f"Dug: {request.results}"

        with Emulator(engine=digging) as emulator: ...

    A text is the answer, a `ToolCall` or a list of them calls tools, an `Answer` has all of it and reasoning too.

    ``as_of`` is the emulated date (00:00 UTC), datetime or ISO text at which its clock starts, by default one off-peak
    instant of the present contract. ``engine`` says what the model answers: ``"script"``, ``"echo"``, an object with
    an ``answer`` method, or such a function; one from outside is asked from worker threads. Real models answer behind
    the same contract with ``"llama"`` (a small one in this process; see `dsnb.emulator.engines.llama`) or the base URL
    of an OpenAI-compatible server (see `dsnb.emulator.engines.upstream`): text, pieces, waiting and counts are then
    theirs, ``pace`` slows nothing, and every reply names the engine in ``x-dsnb-engine``. ``faults`` is a list with
    one fault per request, or a mapping of faults to rates (see `dsnb.emulator.faults`), and can be set anew at any
    time. ``seed`` decides ids, logprobs and chance faults. ``pace`` is real seconds per emulated second: 0 never waits,
    1 is real time. ``balance`` is in USD. ``concurrency`` limits the requests at once, by default the model's
    documented ceiling. ``port`` 0 takes any free one. ``keys`` are the API keys accepted, by default any. ``passback``
    says how strictly missing ``reasoning_content`` is refused: ``"enforced"`` as measured, ``"documented"`` as the
    guide has it, ``"warm"`` as a server that remembers its own replies.

    Raises `EmulatorError` for settings that cannot be, and on start for an address or port that it cannot bind.
    """

    def __init__(
        self,
        as_of: datetime | date | str | None = None,
        *,
        engine: str | Engine | LiveEngine | Callable[[EngineRequest], Said] = "script",
        faults: Faults = None,
        seed: int = 0,
        pace: float = 0,
        balance: Decimal | str | float = "100.00",
        concurrency: int | None = None,
        port: int = 0,
        keys: Collection[str] | None = None,
        passback: str = "enforced",
        host: str = "127.0.0.1",
    ) -> None:
        if isinstance(pace, bool) or not isinstance(pace, int | float) or not 0 <= pace < float("inf"):
            raise EmulatorError(f"pace is real seconds per emulated second, 0 for no waiting, not {pace!r}.")
        if passback not in PASSBACKS:
            raise EmulatorError(f"passback is one of {', '.join(map(repr, PASSBACKS))}, not {passback!r}.")
        self.contract: Contract = at(DEFAULT_AS_OF if as_of is None else as_of)
        self.clock = Clock(self.contract.instant, pace)
        self._host = host
        self._port = port
        self._faults = faults
        self._server: Server | None = None
        self._backend = Backend(
            as_of=self.contract,
            clock=self.clock,
            account=Account(balance=balance, concurrency=concurrency, keys=keys),
            engine=named(engine),
            foreign=not isinstance(engine, str),
            seed=seed,
            passback=passback,
            faults=Schedule(faults, seed),
            ledger=Ledger(),
        )

    def __repr__(self) -> str:
        where = self._server.base_url if self._server else "not started"
        return f"Emulator({where}, as_of={self.contract.instant:%Y-%m-%dT%H:%M:%SZ})"

    @property
    def base_url(self) -> str:
        """Return the URL to use in place of ``https://api.deepseek.com``, without a trailing slash."""
        if self._server is None:
            raise EmulatorError("the emulator is not running: use `with Emulator() as emulator:` or call start().")
        return self._server.base_url

    @property
    def engine(self) -> Engine | LiveEngine:
        """Return what says the answers."""
        return self._backend.engine

    @property
    def faults(self) -> Faults:
        """Return the faults as they were set; setting them begins a new schedule with the next request."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._backend.faults = Schedule(faults, self._backend.seed)
        self._faults = faults

    @property
    def seed(self) -> int:
        """Return what ids, logprobs and chance faults are drawn from."""
        return self._backend.seed

    @property
    def balance(self) -> Decimal:
        """Return what is left on the account, in USD."""
        return self._backend.account.balance

    def ledger(self) -> list[LedgerRow]:
        """Return a row for every completion, of chat or of text, that ended, in the order of arrival."""
        return self._backend.ledger.rows()

    def requests(self) -> list[dict[str, Any]]:
        """Return the bodies of the completions asked for, in the order of arrival (those that were JSON objects)."""
        return self._backend.ledger.requests()

    def verdict(self) -> Verdict:
        """Return what the client did wrong so far, as a server sees it; ``verdict().fouls`` is empty if it did well.

        It looks for retry storms, a Retry-After that was ignored, requests sent again that cannot succeed, replies
        left in the middle, and requests beyond a concurrency limit that was told (see `dsnb.emulator.Foul`). Pauses
        count in emulated seconds, at ``pace`` 0 in real ones. Callers are told apart by what they ask: the same request
        that comes within a minute after it failed is taken for another try, so let many callers ask different things.
        Whether a client took a reply that was cut off for a whole one cannot be seen from here.
        """
        return self._backend.referee.verdict()

    def start(self) -> Self:
        """Start to serve; do nothing if already serving.

        Raises `EmulatorError` where the address or the port cannot be bound, or a real model cannot be loaded.
        """
        if self._server is None:
            # The web server takes a quarter of a second to import; whoever only imports dsnb does not pay for it.
            from dsnb.emulator.app import app
            from dsnb.emulator.headers import Headers
            from dsnb.emulator.server import Server

            engine = self._backend.engine
            name = engine.name if is_live(engine) else ""
            headers = Headers(self.clock, self._backend.seed, name)
            if is_live(engine):
                engine.start()
            try:
                server = Server(app(self._backend, headers), self._host, self._port)
            except EmulatorError:
                if is_live(engine):
                    engine.close()
                raise
            server.start()
            self._server = server
            _RUNNING[server.base_url] = self
            atexit.register(self.close)
        return self

    def close(self) -> None:
        """Stop serving and end open connections at once; the ledger stays readable."""
        server, self._server = self._server, None
        if server is not None:
            atexit.unregister(self.close)
            _RUNNING.pop(server.base_url, None)
            server.close()
            if is_live(self._backend.engine):
                self._backend.engine.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def running(base_url: str) -> Emulator | None:
    """Return the emulator of this process that serves at ``base_url`` (any path below it too), None without one."""
    return next((emulator for root, emulator in _RUNNING.items() if f"{base_url}/".startswith(f"{root}/")), None)
