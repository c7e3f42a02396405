"""Thousands of turns while three in ten requests go wrong: right answers or typed errors, and books that agree."""

from __future__ import annotations

import asyncio
import random
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import dsnb
from dsnb.client.events import Event
from dsnb.client.reply import Reply
from dsnb.emulator import DEFAULT_AS_OF, Answer, EngineRequest, LedgerRow, ToolCall
from dsnb.errors import DsnbError
from tests.bench._apart import Apart, apart

TURNS = 10_000
CALLERS = 64
STREAMS = 500

FAULTS = dict[str | int, float](
    [
        *[(503, 0.04), (500, 0.02), (502, 0.02), (504, 0.02), (429, 0.03), ("refuse", 0.03), ("reset", 0.03)],
        *[("cut", 0.03), ("eof", 0.02), ("stall", 0.01), ("empty", 0.02), ("malformed", 0.02)],
        *[(400, 0.004), (401, 0.003), (402, 0.003)],
    ]
)
FINAL = {400, 401, 402, 422}  # statuses that no second request makes better
BROKEN = {"reset", "cut", "eof", "stall", "malformed", "refuse"}  # after which nobody can know what was billed

RETRY = dsnb.Retry(first=0.001, longest=0.01, probe=0.01, longest_probe=0.05)
TIMEOUTS = dsnb.Timeouts(read=3, stall=1)


@dsnb.tool
def get_price(symbol: str) -> str:
    """Return the price of a share, by its symbol."""
    return f"{symbol} is at {len(symbol)}.50"


def story(request: EngineRequest) -> Answer | ToolCall:
    """Answer in a few words that depend on the question alone; call the tool that it names."""
    question = request.last_user
    if request.settings.tools and not request.results:
        return ToolCall("get_price", '{"symbol": "AAPL"}')
    words = ["It", "is", "told", "of", "海", "and", "🦀", "that", "the", "sky", "was", "blue", "before", "any", "rain"]
    draw = random.Random(question)  # noqa: S311 — the same answer to the same question, and no secrets
    answer = f"{' '.join(draw.choices(words, k=draw.randrange(3, 40)))}. {request.results or question}"
    return Answer(answer, f"They ask: {question}")


@dataclass(frozen=True)
class Case:
    """One turn to be asked; its number is part of the prompt, so that no two turns send the same body."""

    number: int
    prompt: str
    options: dict[str, Any]

    @property
    def tools(self) -> bool:
        return "tools" in self.options


def cases(number: int, seed: int = 0) -> list[Case]:
    """Return turns of all kinds, the same ones each time."""
    draw, made = random.Random(seed), []  # noqa: S311 — the same turns each time, and no secrets
    for place in range(number):
        options: dict[str, Any] = {"thinking": draw.random() < 0.5, "stream": draw.random() < 0.7}
        prompt = f"Question {place}: " + draw.choice(["why is the sky blue?", "tell me about 海"])
        if place % 10 == 3:
            prompt, options["tools"] = f"Question {place}: get_price of AAPL", [get_price]
        elif place % 10 == 7:
            options["max_tokens"] = draw.randrange(5, 60)
        made.append(Case(place, prompt, options))
    return made


@dataclass
class Books:
    """What came of the turns, by their numbers, and what is wrong with it."""

    replies: dict[int, Reply] = field(default_factory=dict)
    errors: dict[int, DsnbError] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def heard(self, case: Case, events: Iterable[Event]) -> Reply:
        """Return the reply of a stream, after holding it against what the stream has said."""
        said = Hearing()
        for event in events:
            said.hear(event)
        return self.checked(case, said)

    def checked(self, case: Case, said: Hearing) -> Reply:
        reply = said.reply
        told = case.options["stream"] and not case.tools
        if told and (said.texts["answer"], said.texts["reasoning"]) != (reply.answer, reply.reasoning or ""):
            self.wrong.append(f"turn {case.number}: the events say {said.texts}, the reply says {reply}")
        return reply


class Hearing:
    """Listen to a stream of events, as whoever shows it does."""

    def __init__(self) -> None:
        self.texts = {"answer": "", "reasoning": ""}
        self.reply = Reply()

    def hear(self, event: Event) -> None:
        if event.anew:
            self.texts = dict.fromkeys(self.texts, "")
        elif event.type in self.texts:
            self.texts[event.type] += event.text
        elif event.reply is not None:
            self.reply = event.reply


def by_threads(ds: dsnb.Session, made: Sequence[Case], callers: int = CALLERS) -> Books:
    """Ask all turns from so many threads, half of the streams by their events."""
    books = Books()

    def ask(case: Case) -> None:
        with ds.run(str(case.number)):
            try:
                if case.number % 2:
                    books.replies[case.number] = books.heard(case, ds.stream(case.prompt, **case.options))
                else:
                    books.replies[case.number] = ds.ask(case.prompt, render=None, **case.options)
            except DsnbError as error:
                books.errors[case.number] = error

    with ThreadPoolExecutor(callers) as pool:
        for _ in pool.map(ask, made):
            pass
    return books


async def by_tasks(ds: dsnb.Session, made: Sequence[Case], callers: int = CALLERS) -> Books:
    """Do as `by_threads` does, for an event loop."""
    books, left = Books(), iter(made)

    async def ask(case: Case) -> None:
        with ds.run(str(case.number)):
            try:
                if case.number % 2:
                    said = Hearing()
                    async for event in ds.astream(case.prompt, **case.options):
                        said.hear(event)
                    books.replies[case.number] = books.checked(case, said)
                else:
                    books.replies[case.number] = await ds.aask(case.prompt, render=None, **case.options)
            except DsnbError as error:
                books.errors[case.number] = error

    async def caller() -> None:
        for case in left:
            await ask(case)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return books


def judge(made: Sequence[Case], whole: Books, books: Books) -> list[str]:
    """Return what is wrong with the answers, held against those of a run without faults."""
    wrong = list(books.wrong)
    for case in made:
        reply, right = books.replies.get(case.number), whole.replies[case.number]
        if reply is None:
            if case.number not in books.errors:
                wrong.append(f"turn {case.number} ended neither well nor with an error")
        elif reply.outcome == right.outcome:
            if said(reply) != said(right):
                wrong.append(f"turn {case.number} says {said(reply)!r}, not {said(right)!r}")
        elif reply.outcome not in {"truncated", "stalled", "empty"}:
            wrong.append(f"turn {case.number} ended with {reply.outcome}, not with {right.outcome}")
    return wrong


def said(reply: Reply) -> tuple[object, ...]:
    """Return all that a reply says."""
    calls = tuple((call.name, call.arguments, call.result) for call in reply.tool_calls)
    return reply.answer, reply.reasoning, calls


def reconcile(log: dsnb.UsageLog, rows: Sequence[LedgerRow], requests: Sequence[dict[str, Any]]) -> list[str]:
    """Return where the client's attempts are not what the emulator billed, turn by turn and in their order."""
    wrong: list[str] = []
    if len(rows) != len(requests):
        return [f"{len(rows)} rows for {len(requests)} requests"]
    billed: dict[str, list[LedgerRow]] = defaultdict(list)
    for row, request in zip(rows, requests, strict=True):
        user = next(message for message in request["messages"] if message["role"] == "user")
        billed[user["content"].partition(":")[0].removeprefix("Question ")].append(row)
    tried: dict[str, list[dict[str, Any]]] = defaultdict(list)
    frame = log.frame("attempts")
    for attempt in frame.astype(object).where(frame.notna(), None).to_dict("records"):
        tried[attempt["run"]].append(attempt)
    for number in sorted(billed.keys() | tried.keys(), key=int):
        ours, theirs = tried[number], billed[number]
        if len(ours) != len(theirs):
            wrong.append(f"turn {number}: {[a['outcome'] for a in ours]} here, {[r.outcome for r in theirs]} there")
            continue
        wrong += [f"turn {number}: {problem}" for a, r in zip(ours, theirs, strict=True) if (problem := unlike(a, r))]
        final = [place for place, row in enumerate(theirs, 1) if row.status in FINAL]
        if final and final != [len(theirs)]:
            wrong.append(f"turn {number}: asked again after {[row.status for row in theirs]}")
    return wrong


def unlike(attempt: dict[str, Any], row: LedgerRow) -> str:
    """Say in what an attempt is not what the emulator has of it; an empty text where they agree."""
    if attempt["response_id"] not in (None, row.id):
        return f"reply {attempt['response_id']} is {row.id} there"
    if attempt["unknown"]:
        # what was broken, or what nobody waited for: a slow machine makes a stall of anything
        late = attempt["outcome"] == "stalled" or attempt["error"] in {"ConnectionFailed", "DeadlineExceeded"}
        return "" if row.outcome in BROKEN or late else f"unknown, and {row.outcome} there"
    if attempt["status"] != row.status:
        return f"status {attempt['status']} is {row.status} there"
    ours = [attempt[name] or 0 for name in ("prompt_tokens", "cache_hit_tokens", "completion_tokens")]
    theirs = [row.prompt_tokens, row.cache_hit_tokens, row.completion_tokens]
    if ours != theirs:
        return f"tokens {ours} are {theirs} there ({attempt['outcome']}, {row.outcome})"
    return ""


def report(name: str, ds: dsnb.Session, server: Apart, made: Sequence[Case], whole: Books, books: Books) -> None:
    wrong = judge(made, whole, books)
    rows = server.get("ledger")
    unlike = reconcile(ds.usage, rows, server.get("requests"))
    frame = ds.usage.frame("attempts")
    right = sum(said(books.replies[n]) == said(whole.replies[n]) for n in books.replies)
    seams = sum(len(reply.seams) for reply in books.replies.values())
    kinds = Counter(type(error).__name__ for error in books.errors.values())
    cut = Counter(reply.outcome for n, reply in books.replies.items() if reply.outcome != whole.replies[n].outcome)
    faulty = sum(row.outcome in BROKEN or row.status != 200 for row in rows)
    print(
        f"  {name}: {len(rows):,} requests, {faulty / len(rows):.0%} of them broken; {right:,} right answers with "
        f"{seams:,} seams, {dict(kinds)}, {dict(cut)}; {len(wrong)} wrong (goal: 0)"
    )
    print(
        f"    the books: {len(frame):,} rows, {int(frame['unknown'].sum()):,} unknown, {len(unlike)} differ (goal: 0)"
    )
    for problem in [
        *wrong[:5],
        *(repr(e)[:300] for e in books.errors.values() if isinstance(e, dsnb.errors.RequestError)),
        *unlike[:5],
    ]:
        print(f"    {problem[:400]}")
    gate = ds.gate()
    print(f"    the gate: {gate.under_way} under way, {gate.waiting} waiting (goal: 0, 0), limit {gate.limit:.0f}")


def connect(base_url: str, **options: Any) -> dsnb.Session:
    """Connect to an emulator elsewhere, with a ledger in memory."""
    return dsnb.connect(base_url, "any", as_of=DEFAULT_AS_OF, usage=dsnb.UsageLog(), quiet=True, **options)


def chaos() -> None:
    made = cases(TURNS)
    for name, ask in (("64 threads", by_threads), ("asyncio", lambda *given: asyncio.run(by_tasks(*given)))):
        with apart(engine=story) as server, connect(server.base_url) as ds:
            start = time.perf_counter()
            whole = ask(ds, made)
            calm = time.perf_counter() - start
        assert not whole.errors
        with (
            apart(engine=story, faults=FAULTS) as server,
            connect(server.base_url, retry=RETRY, timeouts=TIMEOUTS) as ds,
        ):
            start = time.perf_counter()
            books = ask(ds, made)
            print(f"  {name}: {TURNS:,} turns in {time.perf_counter() - start:.0f} s, {calm:.0f} s without faults")
            report(name, ds, server, made, whole, books)


def many() -> None:
    """Hold so many streams open at once in one process."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, max(files, 4 * STREAMS)), most))

    async def everybody(ds: dsnb.Session) -> tuple[list[object], int]:
        at_once = 0

        async def one(number: int) -> str:
            nonlocal at_once
            async for event in ds.astream(f"Question {number}: hello", thinking=False):
                at_once = max(at_once, ds.gate().under_way)
                if event.reply is not None:
                    return event.reply.outcome
            return "no end"

        return await asyncio.gather(*(one(n) for n in range(STREAMS)), return_exceptions=True), at_once

    with apart(pace=1.0) as server, connect(server.base_url) as ds:
        start, cpu = time.perf_counter(), time.process_time()
        outcomes, at_once = asyncio.run(everybody(ds))
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        tokens = int(ds.usage.frame()["completion_tokens"].sum())
    kinds = dict(Counter(str(outcome) for outcome in outcomes))
    print(
        f"  {STREAMS} streams in one event loop, {at_once} of them at once (goal: {STREAMS}): {kinds} (goal: all "
        f"stop), {wall:.1f} s, {cpu:.1f} of CPU, {tokens / wall:,.0f} tokens/s"
    )


def main() -> None:
    many()
    chaos()
