"""Send cells to workers, a few at a time, and keep what comes back. Store, ledger and budget are written only here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from queue import SimpleQueue
from typing import Any, Final
from uuid import uuid4

from dsnb.client.budget import Budget
from dsnb.client.text import quote
from dsnb.errors import AuthenticationFailed, BudgetSpent, ConfigurationError, DsnbError, InsufficientBalance
from dsnb.experiments.sweeping import figures, worker
from dsnb.experiments.sweeping.cells import Cell
from dsnb.experiments.sweeping.store import Ended, Store
from dsnb.experiments.sweeping.worker import Outcome, Task
from dsnb.session import Session

# what a cell fails with and every other would too: going on would only make more such rows
_FATAL: Final = (ConfigurationError, AuthenticationFailed, InsufficientBalance)


@dataclass(frozen=True, slots=True)
class Planned:
    """Hold a cell that is to be run, and its id in the store."""

    number: int
    cell: Cell


@dataclass(frozen=True, slots=True)
class _Landed:
    """Tell the coordinator's own thread that a cell is back: with an outcome, or with what went wrong on the way."""

    future: Future[Outcome]
    planned: Planned
    outcome: Outcome | None
    problem: BaseException | None


class Coordinator:
    """Run cells of one function, at most ``limit`` of them at once over all workers.

    ``experiment`` names what the ledger is told, ``names`` are those of the cells' values. `stopped` says why cells
    were left, if they were. What a worker finished is in the store before anything else is done with it.
    """

    def __init__(
        self,
        session: Session,
        function: Callable[..., Any],
        *,
        experiment: str,
        store: Store,
        run: int,
        names: Sequence[str],
        limit: int,
        budget: Budget | None,
        texts: bool,
        tell: Callable[[Outcome], None],
    ) -> None:
        self.stopped: str | None = None
        self._session = session
        self._function = function
        self._experiment = experiment
        self._store, self._run = store, run
        self._names = frozenset(names)
        self._limit = limit
        self._own = budget
        self._budgets = [(each, each.spent) for each in (budget, session.budget) if each is not None]
        self._texts = texts
        self._tell = tell
        self._recipe = worker.recipe(session)
        self._name = uuid4().hex
        self._executor: Executor | None = None
        self._under_way: dict[Future[Outcome], int] = {}
        self._landed: SimpleQueue[_Landed] = SimpleQueue()
        self._returned = 0
        self._problem: BaseException | None = None

    def course(self, todo: Sequence[Planned], executor: Executor | None) -> None:
        """Run the cells; raise what ended the sweep before its end, after all that was under way is back."""
        with self._workers(executor) as self._executor:
            try:
                for planned in todo:
                    if not self._room():
                        break
                    self._send(planned)
                self._wait(until=0)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    self._call_back()
                self._wait(until=0)  # what was sent is paid for; a second Ctrl-C leaves it in doubt
                raise
        if self._problem is not None:
            raise self._problem

    @contextmanager
    def _workers(self, executor: Executor | None) -> Iterator[Executor]:
        worker.lend(self._name, self._session)
        chosen = executor or ThreadPoolExecutor(self._limit, thread_name_prefix="dsnb sweep")
        try:
            yield chosen
        finally:
            if executor is None:
                chosen.shutdown(wait=not self._under_way, cancel_futures=True)
            worker.take_back(self._name)

    def _room(self) -> bool:
        """Wait until one more cell may be sent; return whether it may."""
        # Under a budget the first cell goes alone: nobody knows yet what a cell takes.
        self._wait(until=self._limit - 1 if self._returned or not self._budgets else 0)
        while self._under_way and not self._affordable():
            self._wait(until=len(self._under_way) - 1)
        if not self._over and not self._affordable():
            self.stopped = "The budget has not enough left for another cell."
        return not self._over

    @property
    def _over(self) -> bool:
        return self.stopped is not None or self._problem is not None

    def _affordable(self) -> bool:
        """Whether each budget has what one more cell takes, beside those under way, if they take the mean."""
        for budget, before in self._budgets:
            mean = (budget.spent - before) / self._returned if self._returned else Decimal(0)
            if budget.left <= 0 or mean * (len(self._under_way) + 1) > budget.left:
                return False
        return True

    def _send(self, planned: Planned) -> None:
        assert self._executor is not None  # noqa: S101 — `course` has set it
        number = self._store.begin(planned.number, self._run, time.time())
        task = Task(
            self._name,
            number,
            self._recipe,
            self._experiment,
            self._function,
            planned.cell.values,
            self._names,
            self._texts,
        )
        try:
            future = self._executor.submit(worker.work, task)
        except Exception as error:  # each executor has its own
            self._store.withdraw(number)
            raise ConfigurationError(
                f"The executor takes no cells ({_said(error)}). What is done is kept: run the sweep again with an "
                "executor that runs."
            ) from error
        self._under_way[future] = number
        future.add_done_callback(partial(self._land, planned, number))

    def _land(self, planned: Planned, number: int, future: Future[Outcome]) -> None:
        """Keep what came of a cell; called by whichever thread learns of it."""
        outcome: Outcome | None = None
        problem: BaseException | None = None
        try:
            outcome = future.result()
            if outcome.unsent:
                self._store.withdraw(number)
            elif not outcome.in_doubt:
                self._store.finish(number, self._ended(outcome))
            self._account(outcome)
        except BaseException as error:
            problem = error
        self._landed.put(_Landed(future, planned, outcome, problem))

    def _ended(self, outcome: Outcome) -> Ended:
        row, changed = figures.written(outcome.row)
        if changed and self._problem is None:
            self._problem = ConfigurationError(
                f"The function returned what JSON cannot hold, as {', '.join(map(repr, changed))}: the store has "
                "its text instead. Return numbers, texts, lists and dicts."
            )
        return Ended(
            outcome.ended,
            outcome.failed,
            None if outcome.message is None else quote(outcome.message),
            "emulator" if outcome.emulated else self._session.source,
            f"{self._session.contract.instant:%Y-%m-%d}",
            row,
        )

    def _account(self, outcome: Outcome) -> None:
        """Tell the budgets and the ledger what a worker did; one in this process has told all but our own budget."""
        if self._own is not None and (outcome.elsewhere or self._own is not self._session.budget):
            for attempt in outcome.attempts:
                self._own.attempted(attempt)
        if not outcome.elsewhere:
            return
        shared = self._session.budget
        with self._session.run(self._experiment):
            for kind, *arguments in outcome.told:
                getattr(self._session.usage, kind)(*arguments)
                if kind == "attempted" and shared is not None and shared is not self._own:
                    shared.attempted(*arguments)

    def _wait(self, *, until: int) -> None:
        """Wait until no more than so many cells are under way."""
        while len(self._under_way) > until:
            landed = self._landed.get()
            self._under_way.pop(landed.future, None)
            self._returned += 1
            self._judge(landed)
            if landed.outcome is not None:
                self._tell(landed.outcome)

    def _judge(self, landed: _Landed) -> None:
        """Decide whether the sweep goes on."""
        if landed.problem is not None:
            self._stop(_on_the_way(landed.problem))
            return
        error = landed.outcome.error if landed.outcome is not None else None
        if isinstance(error, BudgetSpent):
            self.stopped = self.stopped or "The session's budget has not enough left for another cell."
        elif isinstance(error, _FATAL) or not isinstance(error, DsnbError | None):
            error.add_note(f"The sweep stopped at the cell {landed.planned.cell}.")
            self._stop(error)

    def _stop(self, problem: BaseException) -> None:
        self._problem = self._problem or problem

    def _call_back(self) -> None:
        """Take back what no worker has begun, where the executor can tell."""
        if isinstance(self._executor, ThreadPoolExecutor | ProcessPoolExecutor):
            for future, number in list(self._under_way.items()):
                if future.cancel():
                    self._store.withdraw(number)


def _on_the_way(problem: BaseException) -> BaseException:
    """Return an error of the executor as one that says what to do; one of the store is that already."""
    if isinstance(problem, DsnbError) or not isinstance(problem, Exception):
        return problem
    hint = ""
    if isinstance(problem, CancelledError):
        what = "cancelled a cell"
    elif isinstance(problem, BrokenExecutor):
        what = "broke while cells were under way"
        hint = (
            " A function that is defined in a notebook does not reach the processes of a ProcessPoolExecutor: put it "
            "into a module, or use threads or Dask."
        )
    else:
        what = "could not run a cell"
    error = ConfigurationError(
        f"The executor {what} ({_said(problem)}); those under way are in doubt. What is done is kept: mend it and run "
        f"the sweep again.{hint}"
    )
    error.__cause__ = problem
    return error


def _said(error: BaseException) -> str:
    return quote(f"{type(error).__name__}: {error}".rstrip(": "), 300)
