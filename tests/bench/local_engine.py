"""How a real model's cache answers: hits as expected, and the first token sooner the more is cached."""

import json
import random
import statistics
import time
from collections.abc import Iterator

import httpx

from dsnb import Emulator
from dsnb.emulator.engines.llama import LlamaEngine
from dsnb.emulator.engines.slot import Slot
from dsnb.errors import EmulatorError

ROUNDS = 20  # of five calls
WORDS = 160  # of a document; some 200 tokens, which this model reads in a second or two
SHARES = ((0.0, 0.25), (0.25, 0.75), (0.75, 1.01))
VOCABULARY = (
    *("river", "stone", "garden", "window", "letter", "music", "winter", "market", "bridge", "candle", "forest"),
    *("mirror", "harbour", "silver"),
)

Message = dict[str, str]


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def ask(client: httpx.Client, messages: list[Message]) -> tuple[str, str, dict[str, int], float]:
    """Return the text, the finish reason and the usage of a reply, and the seconds to its first token."""
    body = {"model": "deepseek-flash", "messages": messages, "thinking": {"type": "disabled"}}
    body |= {"max_tokens": 4, "stream": True}
    start = time.perf_counter()
    text, first, last = "", 0.0, {}
    with client.stream("POST", "/chat/completions", json=body) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                last = json.loads(line[6:])
                piece = last["choices"][0]["delta"].get("content")
                if piece and not first:
                    first = time.perf_counter() - start
                text += piece or ""
    return text, last["choices"][0]["finish_reason"], last["usage"], first


def calls(draw: random.Random, replies: list[str]) -> Iterator[tuple[str, list[Message]]]:
    """Yield what to ask, and what kind of call it is; ``replies`` grows with each answer."""

    def words(number: int) -> str:
        return " ".join(draw.choice(VOCABULARY) for _ in range(number))

    for _ in range(ROUNDS):
        begin, end = words(WORDS // 2), words(WORDS // 2)
        yield "new", [user(f"{begin} {end}. What is this about?")]
        yield "repeated", [user(f"{begin} {end}. What is this about?")]
        asked = user(f"{begin} {end}. Which word comes first?")
        yield "other question", [asked]
        yield "next turn", [asked, {"role": "assistant", "content": replies[-1]}, user("And the last one?")]
        yield "other middle", [user(f"{begin} {words(WORDS // 2)}. What is this about?")]


def main() -> None:
    try:
        engine = LlamaEngine()
    except EmulatorError as missing:
        print(f"  not run: {missing}")
        return
    slot, replies, rows = Slot(), [""], []
    with (
        Emulator(engine=engine) as emulator,
        httpx.Client(
            base_url=emulator.base_url, headers={"authorization": "Bearer any"}, timeout=600, trust_env=False
        ) as client,
    ):
        ask(client, [user("Hello")])  # whatever is slow only once
        slot.store(engine.prompt_ids([user("Hello")]), ())
        draw = random.Random(0)  # noqa: S311 — the same documents each time, and no secrets
        for kind, messages in calls(draw, replies):
            prompt = engine.prompt_ids(messages)
            text, finish, usage, first = ask(client, messages)
            expected, hit = slot.lookup(prompt), usage["prompt_cache_hit_tokens"]
            assert usage["prompt_tokens"] == len(prompt)
            rows.append((kind, expected, hit, len(prompt), first))
            slot.store(prompt, engine.ids(text), cut=finish == "length")
            replies.append(text)

    agreeing = sum(expected == hit for _, expected, hit, _, _ in rows)
    print(f"  {agreeing} of {len(rows)} calls hit exactly as many tokens as expected (goal: 95 %)")
    for kind, expected, hit, prompt, _ in rows:
        if expected != hit:
            print(f"    {kind}: expected {expected}, hit {hit} of {prompt}")
    print(f"  {'prompt in the cache':<22} {'calls':>5}  median time to first token")
    medians = []
    for low, high in SHARES:
        found = [first for _, _, hit, prompt, first in rows if low <= hit / prompt < high]
        if found:
            medians.append(statistics.median(found))
            print(f"  {f'{low:.0%} to {min(high, 1):.0%}':<22} {len(found):>5}  {medians[-1]:8.3f} s")
    print(f"  cold / warm: {medians[0] / medians[-1]:.1f}")
    for kind in dict.fromkeys(row[0] for row in rows):
        found = [row for row in rows if row[0] == kind]
        share = statistics.median(hit / prompt for _, _, hit, prompt, _ in found)
        first = statistics.median(row[4] for row in found)
        print(f"  {kind:<22} {len(found):>5}  {first:8.3f} s  ({share:.0%} cached)")
