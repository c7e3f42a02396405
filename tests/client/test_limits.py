"""Stalls, queues and deadlines: against a server that can be as unhelpful as a real one."""

import asyncio
import threading
import time
from contextlib import aclosing

import httpx
import httpx2
import pytest

import dsnb
from dsnb.errors import ConnectionFailed, DeadlineExceeded
from tests.once import ONCE
from tests.patience import PATIENCE
from tests.servers import DONE, END, HEAD, JSON_HEAD, KEEP_ALIVE, USAGE, ScriptedServer, chunk, delta

GOOD = (
    HEAD,
    chunk(delta("", role="assistant")),
    chunk(delta("fine")),
    chunk(delta("", finish="stop", usage=USAGE) + DONE),
    END,
)


def good(connection):
    connection.send(*GOOD)


def stalls(connection):
    connection.send(HEAD, chunk(delta("", role="assistant")), chunk(delta("half")))
    connection.hold()


def stalls_with_keep_alives(connection):
    connection.send(HEAD, chunk(delta("", role="assistant")), chunk(delta("half")))
    while connection.wait(0.02):
        connection.send(chunk(KEEP_ALIVE))


def queues(connection):
    connection.send(HEAD)
    while connection.wait(0.02):
        connection.send(chunk(KEEP_ALIVE))


def says_nothing(connection):
    connection.hold()


def queues_without_stream(connection):
    connection.send(JSON_HEAD)
    while connection.wait(0.02):
        connection.send(chunk(b"\n"))


def session(server, http_client=None, **limits):
    timeouts = dsnb.Timeouts(**limits)
    return dsnb.connect(server.base_url, api_key="any", timeouts=timeouts, http_client=http_client, retry=ONCE)


@pytest.fixture(params=["sync", "async"])
def ask(request):
    """Ask in one way or the other: return the reply or error, and the seconds that it took."""
    sessions = set()

    def ask(ds, **options):
        sessions.add(ds)
        start = time.monotonic()
        try:
            reply = runner.run(ds.aask("hello", **options)) if request.param == "async" else ds.ask("hello", **options)
        except dsnb.DsnbError as error:
            reply = error
        return reply, time.monotonic() - start

    with asyncio.Runner() as runner:
        yield ask
        for ds in sessions:
            runner.run(ds.aclose())


@pytest.mark.parametrize("script", [stalls, stalls_with_keep_alives])
def test_a_stalled_stream_ends_at_the_stall_limit_and_the_next_call_works(script, ask):
    with ScriptedServer(script, good) as server, session(server, stall=0.2) as ds:
        reply, seconds = ask(ds)
        assert (reply.outcome, reply.answer, reply.finish_reason) == ("stalled", "half", None)
        assert 0.2 <= seconds < 0.2 + PATIENCE
        assert ds.last is reply
        assert ask(ds)[0].answer == "fine"


@pytest.mark.parametrize("script", [queues, says_nothing, queues_without_stream])
def test_the_deadline_holds_against_keep_alives_and_silence(script, ask):
    with ScriptedServer(script, good) as server, session(server) as ds:
        error, seconds = ask(ds, deadline=0.25, stream=script is not queues_without_stream)
        assert isinstance(error, DeadlineExceeded)
        assert 0.25 <= seconds < 0.25 + PATIENCE
        assert "0.25 s" in str(error)
        assert error.phase in {"connect", "queued"}
        assert ask(ds)[0].answer == "fine"


def test_the_deadline_keeps_what_had_arrived(ask):
    with ScriptedServer(stalls) as server, session(server) as ds:
        error, _ = ask(ds, deadline=0.5)
        assert isinstance(error, DeadlineExceeded)
        assert error.reply.answer == "half"
        assert error.phase == "answer"
        assert ds.last is error.reply


def test_silence_before_the_first_token_is_a_stall_once_the_answer_has_begun(ask):
    def opens_and_says_nothing(connection):
        connection.send(HEAD)
        connection.hold()

    with ScriptedServer(opens_and_says_nothing) as server, session(server, stall=0.1) as ds:
        reply, seconds = ask(ds)
        assert reply.outcome == "stalled"
        assert 0.1 <= seconds < 0.1 + PATIENCE


def test_a_queue_is_no_stall_and_is_measured(ask):
    def queues_then_answers(connection):
        connection.send(HEAD)
        for _ in range(15):
            connection.send(chunk(KEEP_ALIVE))
            connection.wait(0.04)
        connection.send(*GOOD[1:])

    with ScriptedServer(queues_then_answers) as server, session(server, stall=0.4) as ds:
        reply, _ = ask(ds)
        assert (reply.outcome, reply.answer) == ("stop", "fine")
        assert reply.timing.queued > 0.4  # longer than a stall may be
        assert reply.timing.queued <= reply.timing.first_token <= reply.timing.first_answer <= reply.timing.total


def test_queue_events_come_while_it_queues():
    with ScriptedServer(queues) as server, session(server) as ds:
        events = ds.stream("hello", deadline=0.3)
        kinds = [next(events).type, next(events).type]
        with pytest.raises(DeadlineExceeded):
            kinds.extend(event.type for event in events)
        assert set(kinds) == {"queued"}


def test_a_read_timeout_before_the_answer_is_a_failed_connection(ask):
    with ScriptedServer(says_nothing) as server, session(server, read=0.1) as ds:
        error, seconds = ask(ds)
        assert isinstance(error, ConnectionFailed)
        assert "timed out" in str(error)
        assert 0.1 <= seconds < 0.1 + PATIENCE


def test_nobody_there(ask):
    with ScriptedServer(good) as server:
        url = server.base_url
    error, _ = ask(dsnb.connect(url, api_key="any", retry=ONCE))
    assert isinstance(error, ConnectionFailed)
    assert url in str(error)
    assert error.phase == "connect"


def test_cut_ended_and_reset_streams_are_truncated_never_stop(ask):
    start = (HEAD, chunk(delta("", role="assistant")), chunk(delta("half")))

    def cut(connection):
        connection.send(*start)
        connection._socket.close()

    def ended(connection):
        connection.send(*start, END)

    def finished_without_done(connection):
        connection.send(*start, chunk(delta("", finish="stop", usage=USAGE)), END)

    def reset(connection):
        connection.send(*start)
        connection.wait(0.05)  # a reset overtakes what was sent: let it be read first
        connection.reset()

    for script in (cut, ended, reset):
        with ScriptedServer(script) as server, session(server) as ds:
            reply, _ = ask(ds)
            assert (reply.outcome, reply.answer) == ("truncated", "half"), script.__name__
    with ScriptedServer(finished_without_done) as server:
        provider = dsnb.Provider("deepseek", server.base_url, dialect=dsnb.connection.DEEPSEEK_API.dialect)
        with dsnb.connect(provider, "any", retry=ONCE) as ds:
            reply, _ = ask(ds)
            assert (reply.outcome, reply.finish_reason) == ("truncated", "stop")


@pytest.mark.parametrize("module", [httpx, httpx2])
def test_clients_of_both_libraries_fail_alike(module):
    for script, outcome in ((stalls, "stalled"), (good, "stop")):
        with ScriptedServer(script) as server, module.Client() as client:
            ds = session(server, client, stall=0.1)
            assert ds.ask("hello").outcome == outcome

        async def asynchronously(script=script, outcome=outcome):
            with ScriptedServer(script) as server:
                async with module.AsyncClient() as client, session(server, client, stall=0.1) as ds:
                    assert (await ds.aask("hello")).outcome == outcome

        asyncio.run(asynchronously())


def test_a_closed_generator_is_an_interrupted_turn_with_its_connection_closed():
    with ScriptedServer(stalls, good) as server, session(server) as ds:
        for event in ds.stream("hello"):
            if event.type == "answer":
                break
        assert (ds.last.outcome, ds.last.answer) == ("interrupted", "half")
        assert server.closed_by_client.wait(PATIENCE)


def test_a_cancelled_task_is_an_interrupted_turn():
    async def main(ds):
        answering = asyncio.Event()

        async def consume():
            async with aclosing(ds.astream("hello")) as events:
                async for event in events:
                    if event.type == "answer":
                        answering.set()

        task = asyncio.create_task(consume())
        await asyncio.wait_for(answering.wait(), PATIENCE)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await ds.aclose()

    with ScriptedServer(stalls) as server:
        ds = session(server)
        asyncio.run(main(ds))
        assert (ds.last.outcome, ds.last.answer) == ("interrupted", "half")
        assert server.closed_by_client.wait(PATIENCE)


def test_an_event_loop_is_not_blocked_by_a_turn():
    begun, ticked = threading.Event(), threading.Event()

    def waits_for_the_loop(connection):
        connection.send(*GOOD[:-1])
        begun.set()
        if ticked.wait(PATIENCE):
            connection.send(*GOOD[-1:])

    async def main(ds):
        async def tick():
            while not begun.is_set():
                await asyncio.sleep(0.01)
            ticked.set()

        reply, _ = await asyncio.gather(ds.aask("hello"), tick())
        await ds.aclose()
        return reply

    with ScriptedServer(waits_for_the_loop) as server:
        assert asyncio.run(main(session(server, stall=2 * PATIENCE))).outcome == "stop"


def test_connections_are_used_again():
    with ScriptedServer(good) as server, session(server) as ds:
        for _ in range(5):
            assert ds.ask("hello").answer == "fine"
        assert (len(server.requests), server.connections) == (5, 1)


def test_threads_share_a_session():
    with ScriptedServer(good) as server, session(server) as ds:
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(ds.ask("hello").answer)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert answers == ["fine"] * 20
