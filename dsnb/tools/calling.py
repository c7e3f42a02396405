"""Tools at work: all calls of a message at once, each with an answer at the end, however it ends.

Async tools share an event loop: the running one, or for synchronous code one in a thread of its own, so that it makes
no difference whether a notebook's loop is running. Any other tool has a thread. All see the caller's context
variables. The threads are daemons: one that never ends does not keep the interpreter, as those of an executor would.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import math
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Final

from dsnb.client.stopping import Stop, Stopped
from dsnb.client.tool_call import ToolCall
from dsnb.tools.results import excuse, failure, told

_THREADS: Final = 64  # at once: a model that calls a thousand tools gets its answers a few at a time
_LATE: Final = "The time for this turn ran out before the tool had ended."
_INTERRUPTED: Final = "The turn was interrupted before the tool had ended."


@dataclass(frozen=True, slots=True)
class Job:
    """Hold a call together with what does its work; ``asynchronous`` work gives a coroutine."""

    call: ToolCall
    work: Callable[[], Any]
    asynchronous: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold what a call came to; ``stop`` is what the user has to see: KeyboardInterrupt, SystemExit and their like."""

    text: str
    failed: bool
    seconds: float
    stop: BaseException | None = None


def run(jobs: Sequence[Job], seconds: float, stop: Stop) -> Iterator[ToolCall]:
    """Do all jobs at once and yield each call when it is answered; after ``seconds`` the rest is abandoned.

    Raises Stopped as soon as ``stop`` is asked.
    """
    until = time.monotonic() + seconds
    background = _Background(jobs)
    try:
        background.start()
        with stop.waking(lambda: background.done.put(None)):
            for _ in jobs:
                left = until - time.monotonic()
                limit = None if left == math.inf else min(max(left, 0.0), threading.TIMEOUT_MAX)
                if (done := background.done.get(timeout=limit)) is None:
                    raise Stopped
                yield _settled(*done)
    except Empty:
        yield from _abandoned(jobs, _LATE)
    finally:
        background.stop()
        _abandoned(jobs, _INTERRUPTED)


async def arun(jobs: Sequence[Job], seconds: float, stop: Stop) -> AsyncGenerator[ToolCall]:
    """Do as `run` does, in the running event loop."""
    until = time.monotonic() + seconds
    tasks = _begun(jobs)
    waiting = set(tasks)
    try:
        while waiting:
            left = until - time.monotonic()
            limit = None if left == math.inf else max(left, 0.0)
            next_done = asyncio.wait(waiting, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            done, waiting = await stop.until(next_done)
            for task in sorted(done, key=list(tasks).index):
                yield _settled(tasks[task], task.result())
            if not done:
                break
        for task in waiting:
            task.cancel()
        for call in _abandoned(jobs, _LATE):
            yield call
    finally:
        for task in tasks:
            task.cancel()
        _abandoned(jobs, _INTERRUPTED)


def _settled(job: Job, outcome: Outcome) -> ToolCall:
    """Write down what a call came to, and let the user have what is theirs."""
    job.call.result, job.call.failed, job.call.seconds = outcome.text, outcome.failed, outcome.seconds
    if outcome.stop is not None:
        raise outcome.stop
    return job.call


def _abandoned(jobs: Sequence[Job], why: str) -> list[ToolCall]:
    """Answer the calls that nobody waits for any more, and return them."""
    calls = [job.call for job in jobs if job.call.result is None]
    for call in calls:
        call.refuse(why)
    return calls


class _Background:
    """Do jobs in an event loop that runs in a thread of its own; ``done`` has each outcome as it comes."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.done: SimpleQueue[tuple[Job, Outcome] | None] = SimpleQueue()  # None: the turn is to end
        self._jobs = jobs
        self._tasks: dict[asyncio.Task[Outcome], Job] = {}
        self._loop = asyncio.new_event_loop()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin, with the context variables of the caller."""
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._run,), name="dsnb-tools", daemon=True).start()

    def stop(self) -> None:
        """Cancel what is not done; threads go on, with nobody to wait for them."""
        self._stopped.set()
        with suppress(RuntimeError):  # the loop is closed: all is done
            self._loop.call_soon_threadsafe(self._cancel)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._work())

    async def _work(self) -> None:
        if self._stopped.is_set():
            return
        self._tasks = _begun(self._jobs)
        for task in self._tasks:
            task.add_done_callback(self._tell)
        await asyncio.wait(self._tasks)

    def _tell(self, task: asyncio.Task[Outcome]) -> None:
        if not task.cancelled():
            self.done.put((self._tasks[task], task.result()))

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()


def _begun(jobs: Sequence[Job]) -> dict[asyncio.Task[Outcome], Job]:
    threads = asyncio.Semaphore(_THREADS)
    return {asyncio.create_task(_perform(job, threads)): job for job in jobs}


async def _perform(job: Job, threads: asyncio.Semaphore) -> Outcome:
    """Do one job; whatever it raises becomes its outcome, since an event loop would stop at some of it."""
    began = time.monotonic()
    text, failed, stop = "", True, None
    try:
        if job.asynchronous:
            value = await job.work()
        else:
            async with threads:
                began = time.monotonic()
                value = await _in_thread(job.work)
        if inspect.isawaitable(value):  # a plain function that returns a coroutine
            value = await value
        text, failed = value.text if isinstance(value, _Told) else told(value), False
    except Exception as error:
        text = failure(excuse(error))
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        text = failure(excuse(error))  # the tool cancelled itself
    except BaseException as error:
        text, stop = failure(_INTERRUPTED), error
    return Outcome(text, failed, time.monotonic() - began, stop)


@dataclass(frozen=True, slots=True)
class _Told:
    """Mark a text as the finished result, written in the thread that made it."""

    text: str


async def _in_thread(work: Callable[[], Any]) -> Any:
    """Do plain work in a daemon thread; return the told result, or what has still to be awaited."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

    def settle(found: Any, error: BaseException | None) -> None:
        if not done.done():
            done.set_result((found, error))  # not set_exception, which refuses StopIteration

    def target() -> None:
        found, problem = None, None
        try:
            found = work()
            if not inspect.isawaitable(found):
                found = _Told(told(found))
        except BaseException as error:
            problem = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, found, problem)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(target,), name="dsnb-tool", daemon=True).start()
    found, problem = await done
    if problem is not None:
        raise problem
    return found
