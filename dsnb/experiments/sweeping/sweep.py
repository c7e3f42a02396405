"""Run a function over a grid of cells, keep what each came to, and go on where a run before this one stopped."""

from __future__ import annotations

import hashlib
import inspect
import os
import pickle
import textwrap
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Any, Final

import dsnb
from dsnb import display
from dsnb.client.budget import Budget
from dsnb.emulator import running
from dsnb.errors import ConfigurationError, DsnbWarning
from dsnb.experiments.sweeping import store as stores
from dsnb.experiments.sweeping.cells import Cell, canonical, cells
from dsnb.experiments.sweeping.coordinator import Coordinator, Planned
from dsnb.experiments.sweeping.figures import COLUMNS
from dsnb.experiments.sweeping.outcomes import PROVENANCE, Sweep
from dsnb.experiments.sweeping.store import Run, Setting, Store
from dsnb.experiments.sweeping.worker import Outcome
from dsnb.session import Session
from dsnb.usage.totals import counted

_WORKERS: Final = 8  # as many as one can follow; an account's own limit is 500 or more (Rate Limit guide, 2026-11)
_IN_DOUBT: Final = ("keep", "again")


def sweep(
    fn: Callable[..., Any],
    grid: Mapping[str, Iterable[Any]] | Iterable[Mapping[str, Any]],
    *,
    ds: Session,
    repeats: int = 1,
    store: str | os.PathLike[str] | None = None,
    name: str | None = None,
    executor: Executor | None = None,
    workers: int = _WORKERS,
    budget: Budget | float | str | None = None,
    in_doubt: str = "keep",
    again: bool = False,
    order: Callable[[Mapping[str, Any]], Any] | None = None,
    texts: bool = False,
    progress: bool | None = None,
) -> Sweep:
    """Run ``fn(ds, **cell)`` for each cell of a grid, once, and return all that came of it.

    >>> def recall(ds, words, effort):
    ...     reply = ds.ask(f"... {words} ...", effort=effort)
    ...     return {"reply": reply, "right": "blue" in reply.answer}
    >>> found = dsnb.sweep(recall, {"words": [100, 1000], "effort": ["low", "high"]}, ds=ds, store="recall")
    >>> found.frame()

    ``fn`` returns a Reply, whose figures become columns, or a dict of what is to be kept, Replies among it. ``grid`` is
    a dict of lists, multiplied out with the first names varying slowest, so that put first what prompts begin with:
    cells that share a prefix run one after the other, and warm. A list of cells (dicts) runs as it is listed; ``order``
    is a sort key for cells. The first ``workers`` cells of a prefix start together, and so may all be cold:
    ``workers=1`` is for experiments on the cache itself, a ``user_id`` of its own for a cell that is to be cold.

    ``store`` keeps the results: a name (``data/NAME.sqlite`` in a checkout, else in the user's data folder), a path, or
    None for memory. Run the same sweep again, after whatever ended it, and only what is not done is run: failed cells
    and those that were left. A cell is the same if the experiment (``name``, by default the function's), its values,
    its repeat, the model, endpoint and contract of ``ds`` and the source (live or emulator) are; ``again`` runs all of
    them anew, and the newest result counts. A function that was changed since is warned of.

    Each cell is written down before it is sent, so that after a kill it is known which ones are *in doubt*: sent, maybe
    billed, and without a result. By default these are kept as such, and nothing is ever paid for twice;
    ``in_doubt="again"`` runs them once more.

    ``executor`` is any of ``concurrent.futures``, or ``client.get_executor()`` of Dask; None is a pool of threads.
    Workers in other processes make a session of their own from what ``ds`` was made from, and find the key in their own
    environment; it never travels. ``workers`` cells at most are under way at once, over all of them. A cell whose
    worker dies is in doubt; that Dask would run it again is seen to.

    ``budget`` is what this call may spend, as in `dsnb.connect`: cells under way finish, the rest is left for the next
    run. An error of dsnb is a row and is tried again next time. Any other error in ``fn`` ends the sweep, as do those
    that every cell would meet (no key, no money, a wrong set-up): what was under way is kept, then the error is raised,
    with the Sweep so far as its ``.sweep``. So does Ctrl-C; pressed twice, it does not wait for what is under way.
    ``texts`` keeps answers and reasoning too, of what is run now. ``progress`` shows a bar, by default unless outputs
    are ``final`` or ``plain``.

    Raises ConfigurationError, before anything is sent, for what cannot work.
    """
    planned = cells(grid, repeats=repeats, order=order, taken=(*COLUMNS, *PROVENANCE))
    _check(fn, planned, ds, executor)
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ConfigurationError(f"workers={workers!r}: give a whole number of cells to run at once, from 1 up.")
    if in_doubt not in _IN_DOUBT:
        raise ConfigurationError(f'in_doubt={in_doubt!r}: "keep" leaves such cells alone, "again" runs them once more.')
    if name is not None and (not isinstance(name, str) or not name.strip()):
        raise ConfigurationError(f"name={name!r}: an experiment is named by a text.")
    limit = _limit(budget, ds)
    setting = _setting(ds, name or _named(fn))
    kept = Store(stores.place(store), careful=setting.source == "live")
    with kept.claimed():
        numbers = kept.plan(setting, planned)
        states = kept.states()
        wanted = {stores.LEFT, stores.FAILED, *([stores.IN_DOUBT] if in_doubt == "again" else [])}
        chosen = [
            Planned(number, cell)
            for number, cell in zip(numbers, planned, strict=True)
            if again or states[number] in wanted
        ]
        made = Run(time.time(), dsnb.__version__, _source_hash(fn), _seed(ds))
        names = list({name: None for cell in planned for name in cell.values})
        result = Sweep(kept, setting.experiment, numbers, names)
        _tell_of_changes(result, made)
        if chosen:
            with _bar(progress, len(planned), len(planned) - len(chosen), setting.experiment) as tell:
                coordinator = Coordinator(
                    ds,
                    fn,
                    experiment=setting.experiment,
                    store=kept,
                    run=kept.run(made),
                    names=names,
                    limit=workers,
                    budget=limit,
                    texts=texts,
                    tell=tell,
                )
                try:
                    coordinator.course(chosen, executor)
                except BaseException as error:
                    error.sweep = result  # type: ignore[attr-defined] # what is only in memory is at hand there
                    error.add_note(_kept(result))
                    raise
                finally:
                    kept.close()
                result.stopped = coordinator.stopped
    return result


def _check(fn: Callable[..., Any], planned: Sequence[Cell], ds: Session, executor: Executor | None) -> None:
    """Raise ConfigurationError for what would fail in each cell."""
    if not isinstance(ds, Session):
        raise ConfigurationError(f"ds is {type(ds).__name__}: give what dsnb.connect() returned.")
    if not callable(fn):
        raise ConfigurationError(f"fn is {type(fn).__name__}: give a function that takes ds and a cell's values.")
    if inspect.iscoroutinefunction(fn):
        raise ConfigurationError("fn is async, and cells run in threads: let a plain function call asyncio.run(...).")
    for cell in {frozenset(cell.values): cell for cell in planned}.values():
        try:
            inspect.signature(fn).bind(ds, **cell.values)
        except ValueError:  # some builtins tell nobody
            break
        except TypeError as error:
            names = ", ".join(cell.values)
            raise ConfigurationError(
                f"fn cannot be called with this grid ({error}): it is called as fn(ds, {names})."
            ) from None
    if executor is not None and not isinstance(executor, Executor):
        raise ConfigurationError(
            f"executor is {type(executor).__name__}: give one of concurrent.futures, or client.get_executor() of Dask."
        )
    if isinstance(executor, ProcessPoolExecutor):
        try:
            pickle.dumps(fn)
        except Exception as error:  # whatever pickling it meets
            raise ConfigurationError(
                f"fn cannot be sent to other processes ({error}): define it at the top level of a module, or use "
                "threads (executor=None) or Dask, which sends functions whole."
            ) from None


def _limit(budget: Budget | float | str | None, ds: Session) -> Budget | None:
    limit = budget if budget is None or isinstance(budget, Budget) else Budget(budget)
    if limit is not None and limit.unit != "tokens" and not ds.endpoint.provider.contract:
        raise ConfigurationError(
            f"The budget is in {limit.unit}, and nobody here knows what {ds.endpoint.provider.name} charges. "
            'Give it in tokens: budget="200000 tokens".'
        )
    return limit


def _setting(ds: Session, experiment: str) -> Setting:
    endpoint = "emulator" if ds.source == "emulator" else ds.endpoint.base_url
    contract = "" if ds.as_of is None else f"{ds.as_of:%Y-%m-%dT%H:%M:%SZ}"
    return Setting(experiment, ds.source, endpoint, ds.model, contract)


def _named(fn: Callable[..., Any]) -> str:
    """Return what an experiment is called by itself; a partial function's arguments belong to its name."""
    if isinstance(fn, partial):
        arguments = canonical([list(fn.args), fn.keywords])
        return f"{_named(fn.func)} {arguments}"
    name = getattr(fn, "__qualname__", "")
    if not name or name.endswith("<lambda>"):
        raise ConfigurationError('The function has no name to know its results by: give one with name="...".')
    return str(name)


def _source_hash(fn: Callable[..., Any]) -> str | None:
    """Return a digest of the function's own source, None where that cannot be read; what it calls is not in it."""
    while isinstance(fn, partial):
        fn = fn.func
    try:
        source = textwrap.dedent(inspect.getsource(fn))
    except (OSError, TypeError):
        return None
    return hashlib.sha256(source.encode()).hexdigest()[:12]


def _seed(ds: Session) -> int | None:
    emulator = ds.emulator or (running(ds.endpoint.base_url) if ds.source == "emulator" else None)
    return None if emulator is None else emulator.seed


def _kept(result: Sweep) -> str:
    if result.store is None:
        return "What is done is in the .sweep of this error."
    done = f"{result.done:,} of {counted(len(result), 'cell')} are done and kept"
    return f"{done}: run the same sweep again to go on."


def _tell_of_changes(result: Sweep, made: Run) -> None:
    others = result.made_by_others(made.fn_hash)
    if others:
        warnings.warn(
            f"{counted(others, 'cell')} of this sweep {'was' if others == 1 else 'were'} made by another version of "
            "its function (see the column fn_hash). again=True runs all of them anew; name=... keeps versions apart.",
            DsnbWarning,
            stacklevel=3,
        )


@contextmanager
def _bar(progress: bool | None, total: int, done: int, name: str) -> Iterator[Callable[[Outcome], None]]:
    """Show how far a sweep is and what it has cost; nothing where outputs are kept and compared."""
    shown = display.chosen() not in {"final", "plain"} if progress is None else progress
    if not shown:
        yield lambda _outcome: None
        return
    from tqdm.auto import tqdm

    cost, failed = Decimal(0), 0
    with tqdm(total=total, initial=done, desc=name, unit="cell", dynamic_ncols=True) as bar:

        def tell(outcome: Outcome) -> None:
            nonlocal cost, failed
            cost += Decimal(outcome.row.get("spent_usd") or 0)
            failed += outcome.failed is not None
            errors = f", {counted(failed, 'error')}" if failed else ""
            bar.set_postfix_str(f"${cost:.4f}{errors}", refresh=False)
            bar.update(not outcome.unsent)

        yield tell
