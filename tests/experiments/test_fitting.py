"""The unit and the rule are found again in what calls hit, and what cannot be told is not told."""

import csv

import pandas as pd
import pytest

import dsnb
from dsnb.errors import DsnbError
from tests.recordings import WIRE, requires_recordings


@requires_recordings
@pytest.mark.parametrize(("unit", "first", "last"), [(64, "2025-01", "2026-04-99"), (128, "2026-05", "2026-99")])
def test_recorded_counts_tell_the_unit(unit, first, last):
    with (WIRE / "cache_triples.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if first <= row["month"] <= last]
    pairs = [
        (int(row["prompt_tokens"]), int(row["hit"]))
        for row in rows
        if ("v4" in row["model"]) == (unit == 128)
        for _ in range(int(row["count"]))
    ]
    found = dsnb.fit(pairs)
    assert (found.unit, found.rule) == (unit, None)
    assert found.hits > 100
    assert f"multiples of {unit} tokens" in found.finding
    assert dsnb.fit(pd.DataFrame(pairs, columns=["prompt_tokens", "cache_hit_tokens"])) == found


LINES = [f"Line {number} of the ledger says nothing of salt.\n" for number in range(200)]
DIVERGING = ["".join([*LINES[:place], "Another line.\n", *LINES[place + 1 :]]) for place in range(20, 200, 14)]


@pytest.mark.parametrize(
    ("at", "model", "unit", "rule"),
    [("2026-02-15", "deepseek-chat", 64, "prefix units"), ("2026-07-27", "deepseek-v4-flash", 128, "whole units")],
)
def test_an_emulator_s_calls_tell_both(at, model, unit, rule):
    with dsnb.Emulator(as_of=at) as emulator, dsnb.connect(emulator.base_url, "any", model=model, as_of=at) as ds:
        thinking = {"thinking": False} if model != "deepseek-chat" else {}
        asked = ["".join(LINES), *DIVERGING, *("".join(LINES[: place + 9]) for place in range(9, 120, 9)), DIVERGING[3]]
        replies = [ds.ask(prompt, render=None, **thinking) for prompt in asked]
        chat = ds.conversation(**thinking)
        for _ in range(8):
            asked.append([*chat.messages, {"role": "user", "content": "And? " * 90}])
            replies.append(chat.ask("And? " * 90, render=None))
        found = dsnb.fit(zip(asked, replies, strict=True), model=model, at=at, **thinking)
        assert (found.unit, found.rule) == (unit, rule)
        best = max(found.candidates, key=lambda each: each.explained)
        assert best.share == 1
        assert found.frame().explained.max() == len(asked)
        counted = dsnb.fit(ds.usage)
        assert (counted.unit, counted.calls) == (unit, len(asked))
        assert str(unit) in counted._repr_mimebundle_()["text/markdown"]


def test_what_calls_cannot_tell_is_not_told():
    assert dsnb.fit([(1000, 0), (900, 128)]).unit is None
    assert "too few" in dsnb.fit([(1000, 128)]).finding
    assert dsnb.fit([(1000, 896)] * 20).unit is None
    assert dsnb.fit([(1000, 100 + number) for number in range(50)]).unit is None
    cold = dsnb.fit([("hello", 0), ("world", 0)], at="2026-11-23")
    assert (cold.unit, cold.rule) == (None, None)
    text = "".join(LINES)
    open_end = dsnb.fit([(text, 0), (text, 2176)], at="2026-07-27", model="deepseek-v4-flash", thinking=False)
    assert open_end.rule is None
    assert "do not decide" in open_end.finding or open_end.unit is None
    assert "undecided" in repr(open_end)


@pytest.mark.parametrize("given", [[], [1, 2], [("hello", "much")], pd.DataFrame({"a": [1]})])
def test_what_holds_no_calls_is_told(given):
    with pytest.raises(DsnbError):
        dsnb.fit(given, at="2026-11-23")
