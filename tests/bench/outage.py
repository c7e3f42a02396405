"""An endpoint that is down for a minute, with 200 callers: what is sent meanwhile, by dsnb and by much-copied code."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import httpx2
import openai

import dsnb
from tests.bench._apart import Apart, apart
from tests.bench.chaos import connect

CALLERS = 200
SECONDS = 60.0  # emulated, of the outage
SCALE = 0.1  # real seconds per emulated second
KINDS: dict[str, dict[str | int, float]] = {"503": {503: 1.0}, "refused": {"refuse": 1.0}}


@dataclass(frozen=True)
class Outage:
    """What came of it: requests sent while the endpoint was down, callers that succeeded, and seconds till the last."""

    sent: int
    well: int
    seconds: float


def scaled(retry: dsnb.Retry | None = None, scale: float = SCALE) -> dsnb.Retry:
    """Return dsnb's own way to try again, in scaled seconds."""
    usual = retry or dsnb.Retry()
    names = ("seconds", "first", "longest", "obeyed", "probe", "longest_probe")
    return dsnb.Retry(**{name: getattr(usual, name) * scale for name in names})


@contextmanager
def down(server: Apart, faults: dict[str | int, float], seconds: float) -> Iterator[Callable[[], int]]:
    """Have the endpoint down for so long from now; yield what tells how many requests came meanwhile."""
    server.set("faults", faults)
    sent: list[int] = []

    def up() -> None:
        sent.append(len(server.get("ledger")))
        server.set("faults", None)

    timer = threading.Timer(seconds, up)
    timer.start()
    try:
        yield lambda: sent[0]
    finally:
        timer.join()


def ours(server: Apart, faults: dict[str | int, float], *, tasks: bool, callers: int, scale: float) -> Outage:
    """Ask with `ds.ask` from threads, or with `ds.aask` from tasks."""
    start = time.monotonic()
    timeouts = dsnb.Timeouts(deadline=600 * scale)
    with (
        connect(server.base_url, retry=scaled(scale=scale), timeouts=timeouts) as ds,
        down(server, faults, SECONDS * scale) as sent,
    ):
        if tasks:

            async def everybody() -> list[dsnb.Reply]:
                return await asyncio.gather(*(ds.aask(f"{n}: hello", render=None) for n in range(callers)))

            replies = asyncio.run(everybody())
        else:
            with ThreadPoolExecutor(callers) as pool:
                replies = list(pool.map(lambda n: ds.ask(f"{n}: hello", render=None), range(callers)))
        seconds = time.monotonic() - start
    return Outage(sent(), sum(reply.outcome == "stop" for reply in replies), seconds)


class Hasty(openai.OpenAI):
    """The SDK as it is, with its pauses scaled."""

    scale = SCALE

    def _calculate_retry_timeout(self, *given: object, **options: object) -> float:
        return super()._calculate_retry_timeout(*given, **options) * self.scale


def copied(server: Apart, faults: dict[str | int, float], *, callers: int, scale: float) -> Outage:
    """Ask with the loop that is found everywhere, around an SDK that retries by itself as well."""
    limits = httpx2.Limits(max_connections=1000)

    def ask(client: openai.OpenAI, number: int) -> bool:
        for attempt in range(5):
            try:
                client.chat.completions.create(
                    model="deepseek-flash", messages=[{"role": "user", "content": f"{number}: hello"}]
                )
            except Exception:
                time.sleep(2**attempt * scale)
            else:
                return True
        return False

    start = time.monotonic()
    with (
        httpx2.Client(limits=limits) as http_client,
        Hasty(base_url=server.base_url, api_key="any", max_retries=2, http_client=http_client) as client,
        down(server, faults, SECONDS * scale) as sent,
    ):
        client.scale = scale
        with ThreadPoolExecutor(callers) as pool:
            well = list(pool.map(partial(ask, client), range(callers)))
        seconds = time.monotonic() - start
    return Outage(sent(), sum(well), seconds)


def main() -> None:
    for kind, faults in KINDS.items():
        given = {"faults": faults, "callers": CALLERS, "scale": SCALE}
        ways: dict[str, tuple[Callable[[Apart], Outage], str]] = {
            "ds.ask, threads": (partial(ours, tasks=False, **given), "1.5 or less"),
            "ds.aask, tasks": (partial(ours, tasks=True, **given), "1.5 or less"),
            "the copied loop": (partial(copied, **given), ""),
        }
        for name, (ask, goal) in ways.items():
            with apart() as server:
                outage = ask(server)
                verdict = server.get("verdict")
            print(
                f"  {kind}, {name}: {outage.sent:,} requests while it was down, {outage.sent / CALLERS:.2f} a caller"
                f"{f' (goal: {goal})' if goal else ''}; {outage.well} of {CALLERS} succeeded, the last after "
                f"{outage.seconds / SCALE:.0f} emulated seconds of which {SECONDS:.0f} were the outage; {verdict!r}"
            )
