"""What `plan` foretells of recorded calls, and what planning, explaining and a long prompt cost beside tokenizing."""

import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dsnb
from dsnb.contract import tokens
from dsnb.experiments.planning import plan as planning
from dsnb.experiments.planning.explanation import CacheDiff
from dsnb.experiments.planning.memory import Memory
from tests.contract.traffic import Call, dialogues
from tests.experiments.test_planning import reply_of
from tests.recordings import WIRE

REPEATS = 5
TURNS = 200
LONG = 1_000_000  # tokens
AT = "2026-11-23T12:00"
# Why a recorded hit is another one, by the recording's number; all by the rules of WIRE.md.
WHY = {
    "336": "the whole unit that the reply ended was not there yet: one unit less, as 4 of 22 successors of that time",
}


def main() -> None:
    if (WIRE / "exchanges").is_dir():
        recorded()
    else:
        print("  the recorded exchanges are not here")
    for words in (40, 80, 200):
        conversation(words, "lists", plans)
    conversation(80, "a Conversation", chatted)
    for case in ("early", "middle", "late", "moved"):
        print(
            subprocess.run([sys.executable, "-m", __name__, case], capture_output=True, text=True, check=True).stdout,
            end="",
        )


def recorded() -> None:
    """Plan each call of the dialogues that began cold after the calls before it."""
    for ends in (True, False):
        rows: list[tuple[Call, int, int]] = []
        for chain in dialogues():
            rule = chain[0].model.generation.cache
            if chain[0].hit or rule.whole_units_at_ends != ends:
                continue
            after: list[object] = []
            for call in chain:
                found = dsnb.plan(call.body, after=after, at=call.recording.date)
                rows.append((call, found.cache_hit_tokens, rule.unit))
                after += [call.body, reply_of(call)]
        print(f"  {'V4' if ends else 'before V4'}: call, prompt, foretold and recorded hit")
        for call, hit, _ in rows:
            why = "" if hit == call.hit else f"  *** {WHY.get(call.recording.name[:3], 'not explained')}"
            print(f"    {call.recording.name[:60]:60} {call.prompt_tokens:6} {hit:6} {call.hit:6}{why}")
        errors = [(call.hit - hit) // unit for call, hit, unit in rows]
        share = errors.count(0) / len(errors)
        near = sum(abs(error) <= 1 for error in errors) / len(errors)
        print(f"  exact {errors.count(0)} of {len(errors)} ({share:.0%}), within a unit {near:.0%}")


def conversation(words: int, form: str, plans: Callable[[list[dict[str, str]]], None]) -> None:
    """Plan each turn after all before it, and tokenize the last prompt once."""
    ratios = []
    for repeat in range(REPEATS):
        dice = random.Random(repeat)  # noqa: S311 — texts
        messages = [
            {"role": ("user", "assistant")[place % 2], "content": text(dice, words)} for place in range(2 * TURNS - 1)
        ]
        forget()
        planned = clocked(lambda: plans(messages))  # noqa: B023 — runs here
        forget()
        model = dsnb.contract.at(AT).model("deepseek-flash")
        body = {"messages": messages, "thinking": {"type": "disabled"}}
        once = clocked(lambda: tokens.prompt_tokens(body, model))  # noqa: B023 — as above
        ratios.append(planned / once)
    length = tokens.prompt_tokens(body, model)
    print(
        f"  plan, {form}, {TURNS} turns each after all before it, {length:,} tokens at the end: "
        f"{statistics.median(ratios):.2f} x tokenizing that once (worst of {REPEATS}: {max(ratios):.2f}; goal: 2)"
    )


def plans(messages: list[dict[str, str]]) -> None:
    after: list[list[dict[str, str]]] = []
    for count in range(1, len(messages) + 1, 2):
        after.append(messages[:count])
        dsnb.plan(after[-1], after=after[:-1], at=AT, thinking=False)


def chatted(messages: list[dict[str, str]]) -> None:
    chat = dsnb.Conversation(model="deepseek-flash", thinking=False)
    for place in range(0, len(messages), 2):
        dsnb.plan(chat, messages[place]["content"], at=AT)
        for said in messages[place + 1 : place + 2]:
            chat.take(messages[place : place + 1], dsnb.Reply(answer=said["content"]))


def explained(case: str) -> None:
    """Explain two prompts of a million tokens in a process of its own, whose memory is told."""
    dice = random.Random(case)  # noqa: S311 — texts
    lines = []
    while len(lines) < LONG // 31:
        lines.append(text(dice, 16) + "\n")
    middle = len(lines) // 2
    other = {
        "early": ["Now it is 2026-11-23 12:30.\n", *lines],
        "middle": [*lines[:middle], "Another line.\n", *lines[middle + 1 :]],
        "late": [*lines[:-1], "Another line.\n"],
        "moved": [*lines[middle:], *lines[:middle]],
    }[case]
    before, after = ("".join(each) for each in (lines, other))
    tokens.count("load the vocabulary")
    ratios = []
    for _ in range(2):
        forget()
        once = clocked(lambda: tokens.count(before))
        forget()
        found: list[CacheDiff] = []
        taken = clocked(lambda: found.append(dsnb.explain(before, after, at=AT)))  # noqa: B023 — runs here
        ratios.append(taken / once)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"  explain, {found[0].prompt_tokens:,} tokens, {case} ({found[0].cause}): "
        f"{min(ratios):.2f} and {max(ratios):.2f} x tokenizing one (goal: 1.3), {memory:.0f} MB in all (goal: 1,000)"
    )


def text(dice: random.Random, words: int) -> str:
    return " ".join(dice.choices(WORDS, k=words))


WORDS = [word for module in (planning, tokens) for word in Path(str(module.__file__)).read_text().split()]


def forget() -> None:
    tokens._remembered = tokens._Memory(8_000_000)
    planning.MEMORY = Memory(8_000_000)


def clocked(work: Callable[[], object]) -> float:
    """Return the processor's seconds: others use this machine as well."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    explained(sys.argv[1])
