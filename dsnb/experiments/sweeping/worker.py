"""Run one cell: with the session itself where that lives, with one rebuilt from its configuration elsewhere."""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from dsnb import display
from dsnb.client.credentials import KEY_VARIABLE, find_key
from dsnb.client.endpoint import Endpoint, Provider
from dsnb.client.records import Attempt, Turn, listening
from dsnb.client.reply import Reply
from dsnb.client.retry import Retry
from dsnb.client.timeouts import Timeouts
from dsnb.connection import connect, local
from dsnb.errors import BudgetSpent, ConfigurationError, DsnbError, MissingKey
from dsnb.experiments.sweeping.figures import Heard, row
from dsnb.session import Session
from dsnb.usage import UsageLog

BEGUN: Final = "dsnb sweeps"  # where Dask's scheduler remembers what was begun
_KEPT: Final = 8  # sessions that a worker keeps, one for each configuration
_building: Final = threading.Lock()  # of several threads one makes the session, and the others take it


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hold what a session was made from, but for its key; ``obstacle`` says what of it cannot leave its process."""

    providers: tuple[Provider, ...]
    model: str
    as_of: datetime | None
    timeouts: Timeouts
    retry: Retry
    obstacle: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """Hold one cell as it goes to a worker.

    ``session`` is the name under which `lend` has the session, ``number`` tells this try from all others of its store.
    """

    session: str
    number: int
    recipe: Recipe
    experiment: str
    function: Callable[..., Any]
    values: Mapping[str, Any]
    taken: Collection[str]
    texts: bool


@dataclass(slots=True)
class Outcome:
    """Hold what a cell came to.

    ``row`` is what is kept; ``error`` is what was raised instead, ``failed`` the name of its type and ``message`` what
    it says. ``told`` is what a ledger is to be told, ``elsewhere`` that it has not been told yet. ``in_doubt`` is a
    cell that another worker had begun, of whom nobody has heard since.
    """

    row: dict[str, Any]
    started: float
    ended: float
    told: list[tuple[Any, ...]] = field(default_factory=list)
    error: BaseException | None = None
    failed: str | None = None
    message: str | None = None
    emulated: bool = False
    elsewhere: bool = False
    in_doubt: bool = False

    @property
    def attempts(self) -> list[Attempt]:
        """The requests that were sent."""
        return [arguments[0] for kind, *arguments in self.told if kind == "attempted"]

    @property
    def unsent(self) -> bool:
        """Whether the budget had nothing left for the cell's first request."""
        return isinstance(self.error, BudgetSpent) and not self.attempts


_lent: Final[dict[str, tuple[int, Session]]] = {}  # by name; with the process, since a fork inherits this


def lend(name: str, session: Session) -> None:
    """Let tasks that run in this process use a session, by its name."""
    _lent[name] = (os.getpid(), session)


def take_back(name: str) -> None:
    """End what `lend` began."""
    _lent.pop(name, None)


def recipe(session: Session) -> Recipe:
    """Return what another process needs to ask as a session does. Keys are not in it: each process finds its own."""
    obstacle = None
    if session.http_client is not None:
        obstacle = "its http_client"
    elif not all(map(_travels, session.endpoints)):
        obstacle = "the api_key that was given to connect(...)"
    return Recipe(
        tuple(endpoint.provider for endpoint in session.endpoints),
        session.model,
        session.as_of,
        session.timeouts,
        session.retry,
        obstacle,
    )


def work(task: Task) -> Outcome:
    """Run one cell; return what it came to, whatever that is."""
    heard, started = Heard(), time.time()
    if _begun_before(task):
        return Outcome({}, started, time.time(), in_doubt=True)
    pid, session = _lent.get(task.session, (0, None))
    elsewhere = pid != os.getpid() or session is None
    kept: dict[str, Any] = {}
    error: BaseException | None = None
    emulated = False
    try:
        if session is None or elsewhere:
            with _building:
                session = _rebuilt(task.recipe)
        emulated = session.source == "emulator"
        # turns that run beside one another have no place to be shown in
        with session.run(task.experiment), listening(heard), display.render(None):
            returned = task.function(session, **task.values)
        kept = row(returned, heard, texts=task.texts, taken=task.taken)
    except BaseException as problem:
        error = problem
        kept = row({}, heard, texts=task.texts, taken=task.taken)
    kept |= heard.spent()
    emulated = emulated or any(attempt.reply.emulated for attempt in heard.attempts)
    outcome = Outcome(kept, started, time.time(), heard.told, emulated=emulated, elsewhere=elsewhere)
    if error is not None:
        outcome.error, outcome.failed, outcome.message = error, type(error).__name__, str(error)
    return _light(outcome) if elsewhere else outcome


class _Nothing(UsageLog):
    """Stand for a ledger where the coordinator keeps it."""

    def began(self, turn: Turn) -> None:
        """Note nothing."""

    def attempted(self, attempt: Attempt) -> None:
        """Note nothing."""

    def ended(self, turn: Turn, reply: Reply, error: DsnbError | None) -> None:
        """Note nothing."""


def _begun_before(task: Task) -> bool:
    """Tell whether a worker of the same cluster has begun this task; note that one has.

    Dask runs a task again whose worker died, whatever that had sent and been billed for. Its scheduler remembers.
    """
    if "distributed" not in sys.modules:
        return False
    from distributed import get_client, get_worker

    try:
        get_worker()
    except ValueError:  # this is no worker of Dask's
        return False
    scheduler: Any = get_client()
    place = [BEGUN, task.session, task.number]
    before = scheduler.get_metadata(place, default=False)
    scheduler.set_metadata(place, True)
    return bool(before)


@lru_cache(_KEPT)
def _rebuilt(recipe: Recipe) -> Session:
    if recipe.obstacle is not None:
        raise ConfigurationError(
            f"The session cannot be rebuilt in another process: {recipe.obstacle} stays where it is. Threads can use "
            f"it (executor=None); for other processes put the key into {KEY_VARIABLE} or into a .env file, where the "
            "workers find it too, and leave api_key and http_client out."
        )
    first, *others = recipe.providers
    try:
        session = connect(
            first,
            model=recipe.model,
            as_of=recipe.as_of,
            timeouts=recipe.timeouts,
            retry=recipe.retry,
            fallback=others,
            usage=_Nothing(),
            quiet=True,
        )
    except MissingKey as error:
        raise MissingKey(
            f"A worker has no key: {error} Keys do not travel with a sweep: the workers' own environment or folder "
            "must have them."
        ) from None
    session.budget = None  # the coordinator's alone, whatever the environment says here
    return session


def _travels(endpoint: Endpoint) -> bool:
    """Whether another process would find the same key by itself."""
    if local(endpoint.provider):
        return endpoint.key.reveal() == "local"
    found = find_key(endpoint.provider.key_variable)
    return found is not None and found.reveal() == endpoint.key.reveal()


def _light(outcome: Outcome) -> Outcome:
    """Return an outcome that can be pickled, and without the texts that nobody asked for."""
    outcome.told = [tuple(map(_bare, told)) for told in outcome.told]
    if outcome.error is not None:
        outcome.error = _portable(outcome.error)
    return outcome


def _bare(told: Any) -> Any:
    if isinstance(told, Attempt):
        return replace(told, reply=_bare(told.reply), error=_bare(told.error))
    if isinstance(told, Reply):
        return replace(
            told, answer="", reasoning=None, tool_calls=[], logprobs=None, notes=(), rounds=(), parsed=None, start=""
        )
    if isinstance(told, DsnbError):
        told = copy(told)
        told.reply = None
    return told


def _portable(error: BaseException) -> BaseException:
    """Return an error that comes through a pickle, with where it was raised."""
    where = "".join(traceback.format_exception(error))
    bare = _bare(error)
    try:
        copied = pickle.loads(pickle.dumps(bare))  # noqa: S301 — our own bytes
    except Exception:  # an error of anybody's, which may fail at anything
        copied = RuntimeError(f"{type(error).__name__}: {error}")
    copied.add_note(f"In a worker:\n{where}")
    return copied  # type: ignore[no-any-return] # a copy of an error is one
