"""A turn can be stopped from another thread whatever it waits for, and comes back as interrupted."""

import asyncio
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import pytest

import dsnb
from dsnb.client import stopping
from dsnb.client.stopping import Stop, Stopped
from dsnb.emulator import ToolCall
from dsnb.turn import Turn
from tests.patience import PATIENCE

LONG = 10 * PATIENCE  # seconds that a turn would wait if nobody stopped it: far more than a test may take


@contextmanager
def stopped_at(monkeypatch, event):
    """Stop every turn from another thread as soon as it tells an event of this type."""
    asked = []

    def asker(turn):
        thread = threading.Thread(target=turn.stop.ask)
        thread.start()
        asked.append(thread)

    init = Turn.__init__

    def begun(turn, *args, **options):
        init(turn, *args, **options)
        turns.append(turn)

    turns = []
    monkeypatch.setattr(Turn, "__init__", begun)

    def told(kind):
        if kind == event and not turns[-1].stop.asked:
            asker(turns[-1])

    yield told
    assert asked, f"no {event} was told"
    for thread in asked:
        thread.join()


def ask(ds, told, prompt="hello", **options):
    """Ask, in this thread, and show the types of the events as they come."""
    for event in ds.stream(prompt, **options):
        told(event.type)
    return ds.last


def aask(ds, told, prompt="hello", **options):
    async def go():
        async for event in ds.astream(prompt, **options):
            told(event.type)
        await ds._transport.aclose()
        return ds.last

    return asyncio.run(go())


@pytest.fixture(params=[ask, aask], ids=["sync", "async"])
def asking(request):
    return request.param


def test_in_the_middle_of_an_answer(monkeypatch, asking):
    with (
        dsnb.Emulator(faults=["stall@20"]) as emulator,
        dsnb.connect(emulator.base_url, quiet=True, timeouts=dsnb.Timeouts(stall=LONG)) as ds,
        stopped_at(monkeypatch, "reasoning") as told,
    ):
        reply = asking(ds, told)
        assert reply.outcome == "interrupted"
        assert reply.reasoning
        assert ds.ask("hello", render=None).outcome == "stop", "the next one works"


@contextmanager
def silent_at(place):
    """Serve answers, but to one request: accept that, and say nothing until its caller has left."""
    asked, left = threading.Event(), threading.Event()
    numbers = count()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            if next(numbers) == place:
                asked.set()
                if self.connection.recv(1) == b"":
                    left.set()
                self.close_connection = True
                return
            body = json.dumps({"choices": [{"finish_reason": "stop", "message": {"content": "yes"}}]}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Be silent, here too."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked, left
        finally:
            server.shutdown()
            thread.join()


def drive(ds, turns):
    for turn in turns:
        list(ds._run(turn))


def adrive(ds, turns):
    async def go():
        for turn in turns:
            async for _ in ds._arun(turn):
                pass
        await ds._transport.aclose()

    asyncio.run(go())


@pytest.mark.parametrize("place", [0, 1], ids=["a new connection", "one that was used before"])
@pytest.mark.parametrize("driving", [drive, adrive], ids=["sync", "async"])
def test_before_the_server_has_said_anything(driving, place):
    timeouts = dsnb.Timeouts(read=LONG, stall=LONG)
    with silent_at(place) as (url, asked, left), dsnb.connect(url, "any", quiet=True, timeouts=timeouts) as ds:
        *before, turn = (ds._turn("hello") for _ in range(place + 1))

        def stop():
            asked.wait(PATIENCE)
            turn.stop.ask()

        thread = threading.Thread(target=stop)
        thread.start()
        driving(ds, [*before, turn])
        thread.join()
        assert asked.is_set()
        assert left.wait(PATIENCE), "the connection is still open"
        assert (ds.last.outcome, ds.last.attempts) == ("interrupted", 1)
        assert list(ds.usage.frame().outcome) == [*["stop"] * place, "interrupted"]
        assert ds.ask("hello", render=None).answer == "yes", "the next one works"


def test_between_two_attempts(monkeypatch, asking):
    retry = dsnb.Retry(first=LONG, longest=LONG)
    with (
        dsnb.Emulator(faults=[503, "ok"]) as emulator,
        dsnb.connect(emulator.base_url, quiet=True, retry=retry) as ds,
        stopped_at(monkeypatch, "retry") as told,
    ):
        reply = asking(ds, told)
        assert (reply.outcome, reply.answer) == ("interrupted", "")
        assert len(emulator.ledger()) == 1
        assert list(ds.usage.frame().outcome) == ["interrupted"]
        assert list(ds.usage.frame("attempts").status) == [503]
        assert ds.ask("hello", render=None).outcome == "stop"


def test_at_the_gate(monkeypatch, asking):
    retry = dsnb.Retry(attempts=1, failures=1, probe=LONG, longest_probe=LONG)
    with (
        dsnb.Emulator(faults=[503]) as emulator,
        dsnb.connect(emulator.base_url, quiet=True, retry=retry) as ds,
    ):
        with pytest.raises(dsnb.DsnbError):
            ds.ask("hello", render=None)
        gate = ds.gate()
        assert not gate.open
        with stopped_at(monkeypatch, "retry") as told:
            assert asking(ds, told).outcome == "interrupted"
        assert (gate.waiting, gate.under_way) == (0, 0)
        assert len(emulator.ledger()) == 1


def test_while_a_tool_runs(monkeypatch, asking):
    released, entered = threading.Event(), threading.Event()

    def slow() -> str:
        """Take very long."""
        entered.set()
        released.wait(LONG)
        return "done"

    def model(request):
        return "done" if request.results else ToolCall("slow", "{}")

    with (
        dsnb.Emulator(engine=model) as emulator,
        dsnb.connect(emulator.base_url, quiet=True) as ds,
        stopped_at(monkeypatch, "tool") as told,
    ):
        try:
            reply = asking(ds, told, tools=[slow])
        finally:
            released.set()
        assert reply.outcome == "interrupted"
        assert "interrupted" in (reply.tool_calls[0].result or "")
        assert len(emulator.ledger()) == 1


def test_before_it_begins_and_after_it_has_ended(asking):
    with dsnb.Emulator() as emulator, dsnb.connect(emulator.base_url, quiet=True) as ds:
        turn = ds._turn("hello")
        turn.stop.ask()
        assert [event.type for event in ds._run(turn)] == ["end"]
        assert ds.last.outcome == "interrupted"
        assert emulator.ledger() == []
        turn = ds._turn("hello")
        events = ds._run(turn)
        for event in events:
            if event.type == "end":
                turn.stop.ask()
        assert ds.last.outcome == "stop", "what is whole stays so"


def test_a_stop_wakes_all_who_wait_and_nobody_who_has_left():
    stop, woken = Stop(), []
    with stop.waking(lambda: woken.append("left")):
        pass
    with stop.waking(lambda: woken.append("one")), stop.waking(lambda: woken.append("two")):
        stop.ask()
        stop.ask()
    assert woken == ["one", "two"] * 2
    with stop.waking(lambda: woken.append("late")):
        pass
    assert woken[4:] == ["late"]
    with pytest.raises(Stopped):
        stop.wait(LONG)
    Stop().wait(0)


def test_a_task_that_is_cancelled_from_outside_is_cancelled_and_not_stopped():
    async def go():
        stop = stopping.Stop()
        task = asyncio.create_task(stop.until(asyncio.sleep(LONG)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await stop.until(asyncio.sleep(0, "done")) == "done"
        stop.ask()
        with pytest.raises(Stopped):
            await stop.until(asyncio.sleep(LONG))

    asyncio.run(go())
