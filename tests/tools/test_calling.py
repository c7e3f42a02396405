"""Tools at work: at once, within their time, with their own context, whatever they raise. Nothing here is timed."""

from __future__ import annotations

import asyncio
import contextvars
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator

import dsnb
from dsnb.client.tool_call import ToolCall
from dsnb.tools import Toolbox, tool
from tests.patience import PATIENCE
from tests.tools.shapes import Dog

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


def calls(name: str, count: int = 1, **arguments: Any) -> list[ToolCall]:
    return [ToolCall(place, f"call_{place:02}_x", name, json.dumps(arguments)) for place in range(count)]


def sync(box: Toolbox, given: list[ToolCall], **options: Any) -> list[ToolCall]:
    return list(box.run(given, **options))


def in_a_loop(box: Toolbox, given: list[ToolCall], **options: Any) -> list[ToolCall]:
    async def gather() -> list[ToolCall]:
        return [call async for call in box.arun(given, **options)]

    return asyncio.run(gather())


def sync_inside_a_running_loop(box: Toolbox, given: list[ToolCall], **options: Any) -> list[ToolCall]:
    async def cell() -> list[ToolCall]:  # a notebook's cell runs inside the kernel's loop
        return sync(box, given, **options)

    return asyncio.run(cell())


ways = pytest.mark.parametrize("run", [sync, in_a_loop, sync_inside_a_running_loop])


@pytest.fixture
def released():
    """Give what holds a tool up until the test is over, so that no thread outlives it for long."""
    gate = threading.Event()
    yield gate
    gate.set()
    for thread in threading.enumerate():
        if thread.name.startswith("dsnb-tool"):
            thread.join(PATIENCE)
            assert not thread.is_alive()


@ways
def test_plain_tools_run_at_once(run):
    barrier = threading.Barrier(3)

    @tool
    def meet() -> str:
        barrier.wait(PATIENCE)  # nobody passes before all three are here
        return "met"

    done = run(Toolbox([meet]), calls("meet", 3))
    assert [(call.result, call.failed) for call in done] == [("met", False)] * 3
    assert sorted(call.index for call in done) == [0, 1, 2]
    assert all(call.seconds >= 0 for call in done)


@ways
def test_async_tools_run_at_once_and_share_a_loop(run):
    parties: list[asyncio.Event] = []

    @tool
    async def meet() -> str:
        mine = asyncio.Event()
        parties.append(mine)
        if len(parties) == 3:
            for party in parties:
                party.set()
        async with asyncio.timeout(PATIENCE):
            await mine.wait()
        return "met"

    assert [call.result for call in run(Toolbox([meet]), calls("meet", 3))] == ["met"] * 3


@ways
def test_plain_and_async_tools_run_at_once(run):
    plain, other = threading.Event(), threading.Event()

    @tool
    def first() -> bool:
        plain.set()
        return other.wait(PATIENCE)

    @tool
    async def second() -> bool:
        other.set()
        return await asyncio.to_thread(plain.wait, PATIENCE)

    done = run(Toolbox([first, second]), [*calls("first"), *calls("second")])
    assert [call.result for call in done] == ["true", "true"]


@ways
def test_each_call_is_handed_on_when_it_is_done(run):
    gate = threading.Event()

    @tool
    def slow() -> str:
        assert gate.wait(PATIENCE)
        return "slow"

    @tool
    def quick() -> str:
        return "quick"

    given = [*calls("slow"), *calls("quick")]
    if run is sync:
        done = Toolbox([slow, quick]).run(given)
        assert next(done).result == "quick"
        assert given[0].result is None
        gate.set()
        assert [call.result for call in done] == ["slow"]
    else:
        gate.set()
        assert {call.result for call in run(Toolbox([slow, quick]), given)} == {"slow", "quick"}


@ways
def test_many_calls_are_all_answered(run):
    @tool
    def square(a: int) -> int:
        return a * a

    given = [ToolCall(place, "", "square", f'{{"a": {place}}}') for place in range(200)]
    run(Toolbox([square]), given)
    assert [call.result for call in given] == [str(place * place) for place in range(200)]


@ways
def test_tools_see_the_caller_s_context_and_cannot_change_it(run):
    @tool
    def plain() -> str:
        seen = WHO.get()
        WHO.set("plain")
        return seen

    @tool
    async def later() -> str:
        seen = WHO.get()
        WHO.set("later")
        return seen

    token = WHO.set("me")
    try:
        done = run(Toolbox([plain, later]), [*calls("plain", 2), *calls("later", 2)])
        assert [call.result for call in done] == ["me"] * 4
        assert WHO.get() == "me"
    finally:
        WHO.reset(token)


@ways
def test_what_a_tool_raises_is_an_answer(run):
    @tool
    def broken() -> str:
        raise FileNotFoundError(2, "No such file or directory", "/home/ada/keys/sk-0123456789abcdef")

    @tool
    async def later() -> str:
        raise ValueError("no such day")

    @tool
    def done() -> str:
        raise StopIteration

    @tool
    async def cancelled() -> str:
        raise asyncio.CancelledError

    @tool
    def odd() -> object:
        return object()

    given = [
        ToolCall(place, "", name, "{}") for place, name in enumerate(["broken", "later", "done", "cancelled", "odd"])
    ]
    assert len(run(Toolbox([broken, later, done, cancelled, odd]), given)) == 5
    assert all(call.failed for call in given)
    errors = [json.loads(call.result)["error"] for call in given]
    assert errors[0] == "FileNotFoundError: [Errno 2] No such file or directory: '…/[hidden]'"
    assert errors[1] == "ValueError: no such day"
    assert "StopIteration" in errors[2]
    assert errors[3] == "CancelledError"
    assert errors[4].startswith("The tool did its work, but gave a object that")
    assert not any("Traceback" in error or "home" in error for error in errors)


@ways
@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_is_meant_for_the_user_reaches_them(run, stop, asynchronous, released):
    def plain():
        raise stop("enough")

    async def later():
        raise stop("enough")

    def waits():
        released.wait(PATIENCE)

    box = Toolbox([tool(later if asynchronous else plain, name="stops"), tool(waits)])
    given = [*calls("waits"), *calls("stops")]
    with pytest.raises(stop, match="enough"):
        run(box, given)
    assert all(call.failed and "interrupted" in call.result for call in given)  # so that the history stays whole


@ways
def test_what_is_not_done_in_time_is_abandoned_and_says_so(run, released):
    @tool
    def waits() -> str:
        released.wait(PATIENCE)
        return "too late"

    @tool
    async def sleeps() -> str:
        await asyncio.sleep(PATIENCE)
        return "too late"

    given = [*calls("waits"), *calls("sleeps")]
    assert run(Toolbox([waits, sleeps]), given, seconds=0.02) == given
    released.set()
    assert all(call.failed and "ran out" in call.result and call.seconds is None for call in given)


@ways
def test_without_time_nothing_begins(run):
    def never():
        pytest.fail("executed")

    given = calls("never", 2)
    assert run(Toolbox([never]), given, seconds=0) == given
    assert all("could begin" in call.result for call in given)


@ways
def test_endless_time_is_no_limit(run):
    def noon() -> str:
        return "noon"

    for seconds in (None, float("inf"), 1e12):
        assert [call.result for call in run(Toolbox([noon]), calls("noon"), seconds=seconds)] == ["noon"]


@ways
def test_a_plain_function_may_give_a_coroutine(run):
    async def inner() -> str:
        return threading.current_thread().name

    @tool
    def outer() -> Any:
        return inner()

    (call,) = run(Toolbox([outer]), calls("outer"))
    assert not call.failed


@ways
def test_models_answer_with_what_they_were_given(run):
    (call,) = run(Toolbox([Dog]), calls("Dog", kind="dog", title="Rex"))
    assert json.loads(call.result) == {"kind": "dog", "title": "Rex"}


def test_whoever_stops_listening_leaves_every_call_answered(released):
    @tool
    def waits(first: bool) -> str:
        if not first:
            released.wait(PATIENCE)
        return "done"

    given = [ToolCall(0, "", "waits", '{"first": true}'), ToolCall(1, "", "waits", '{"first": false}')]
    done = Toolbox([waits]).run(given)
    assert next(done) is given[0]
    done.close()
    assert "interrupted" in given[1].result

    async def leave() -> ToolCall:
        async with aclosing(Toolbox([waits]).arun(again)) as answers:
            return await anext(answers)

    again = [ToolCall(0, "", "waits", '{"first": true}'), ToolCall(1, "", "waits", '{"first": false}')]
    assert asyncio.run(leave()) is again[0]
    assert "interrupted" in again[1].result


def test_an_abandoned_async_tool_is_cancelled():
    began, cancelled = threading.Event(), threading.Event()

    @tool
    async def sleeps() -> None:
        began.set()
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            cancelled.set()

    @tool
    def watches() -> bool:
        return began.wait(PATIENCE)

    given = [*calls("sleeps"), *calls("watches")]
    done = Toolbox([sleeps, watches]).run(given)
    assert next(done).result == "true"
    done.close()
    assert cancelled.wait(PATIENCE)
    assert "interrupted" in given[0].result


def test_a_cancelled_turn_cancels_its_tools_and_answers_them():
    began, cancelled = asyncio.Event(), []

    @tool
    async def sleeps() -> None:
        began.set()
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    given = calls("sleeps")

    async def turn() -> None:
        async for _ in Toolbox([sleeps]).arun(given):
            pass

    async def main() -> None:
        task = asyncio.create_task(turn())
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert cancelled == [True]
    assert "interrupted" in given[0].result


@pytest.mark.usefixtures("heeding")
@pytest.mark.skipif(sys.platform == "win32", reason="signals reach no thread there")
def test_stopping_the_cell_does_not_wait_for_the_tools(released):
    main = threading.main_thread()

    @tool
    def waits() -> None:
        signal.pthread_kill(main.ident, signal.SIGINT)  # as the notebook's stop button does
        released.wait(PATIENCE)

    (given,) = calls("waits")
    with pytest.raises(KeyboardInterrupt):
        list(Toolbox([waits]).run([given]))
    assert "interrupted" in given.result


def test_an_answered_call_is_not_run_again():
    def never():
        pytest.fail("executed")

    (call,) = calls("never")
    call.result = "known"
    assert list(Toolbox([never]).run([call])) == [call]
    assert (call.result, call.failed) == ("known", None)


def test_a_tool_that_never_ends_does_not_keep_the_interpreter():
    code = """
import threading
from dsnb.client.tool_call import ToolCall
from dsnb.tools import Toolbox
def hangs(): threading.Event().wait()
call = ToolCall(0, "", "hangs", "{}")
print([done.failed for done in Toolbox([hangs]).run([call], seconds=0.05)])
"""
    environment = os.environ | {"PYTHONPATH": str(Path(dsnb.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=environment
    )
    assert done.stdout == "[True]\n"
    assert done.stderr == ""


def test_a_validator_of_the_user_s_own_may_fail_as_it_likes():
    def check(value: str) -> str:
        raise LookupError(f"no {value}")

    def f(a: str): ...

    f.__annotations__ = {"a": Annotated[str, AfterValidator(check)]}
    (call,) = Toolbox([f]).run(calls("f", a="x"))
    assert json.loads(call.result)["error"] == "LookupError: no x"
