"""How far past its limit a turn ends: a stalled stream and a queue of keep-alives, for threads and event loops."""

import asyncio
import statistics
import time
from contextlib import suppress

import dsnb
from tests.servers import HEAD, KEEP_ALIVE, Connection, ScriptedServer, chunk, delta

RUNS = 9
LIMIT = 0.5


def stalls(connection: Connection) -> None:
    connection.send(HEAD, chunk(delta("", role="assistant")), chunk(delta("half")))
    while connection.wait(0.02):
        connection.send(chunk(KEEP_ALIVE))


def queues(connection: Connection) -> None:
    connection.send(HEAD)
    while connection.wait(0.02):
        connection.send(chunk(KEEP_ALIVE))


def overshoot(script: object, *, use_asyncio: bool) -> float:
    with ScriptedServer(script) as server:
        ds = dsnb.connect(server.base_url, "any", timeouts=dsnb.Timeouts(stall=LIMIT), retry=dsnb.Retry(attempts=1))
        options = {"deadline": LIMIT} if script is queues else {}

        async def asynchronously() -> None:
            try:
                await ds.aask("hello", **options)
            finally:
                await ds.aclose()

        start = time.monotonic()
        with suppress(dsnb.DsnbError):
            asyncio.run(asynchronously()) if use_asyncio else ds.ask("hello", **options)
        return time.monotonic() - start - LIMIT


def main() -> None:
    overshoot(stalls, use_asyncio=False)  # the SDK's import is not what is measured
    for script, name in ((stalls, "stalled stream"), (queues, "queue of keep-alives")):
        for use_asyncio in (False, True):
            late = [overshoot(script, use_asyncio=use_asyncio) * 1000 for _ in range(RUNS)]
            way = "async" if use_asyncio else "sync"
            typical, worst = statistics.median(late), max(late)
            print(f"  {name}, {way}: {typical:.0f} ms late (worst of {RUNS}: {worst:.0f} ms; goal: 300 ms)")
