import datetime as dt
import json
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from dsnb.tools.results import NoJson, clean, excuse, failure, told


@dataclass
class Point:
    x: float


class Model(BaseModel):
    day: dt.date


class Color(Enum):
    RED = "red"


def test_text_stays_as_it_is():
    assert told('say "hi"\n') == 'say "hi"\n'
    assert told("") == ""
    assert told("x" * 3_000_000) == "x" * 3_000_000  # nothing is cut off in silence
    assert told("half \ud83d a pair \ud83d\ude00") == "half \ufffd a pair 😀"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (1.5, "1.5"),
        ({"a": [1, "ü"]}, '{"a": [1, "ü"]}'),
        (Point(1), '{"x": 1}'),
        ([Model(day=dt.date(2026, 11, 1))], '[{"day": "2026-11-01"}]'),
        (Decimal("1.50"), '"1.50"'),
        (Color.RED, '"red"'),
        ({1, 2}, "[1, 2]"),
        ((1, 2), "[1, 2]"),
        (b"bytes", '"bytes"'),
        (float("nan"), "NaN"),
        ({"half": "\ud83d"}, '{"half": "\ufffd"}'),
        (np.float32(0.5), "0.5"),
        (np.int64(3), "3"),
        (np.bool_(True), "true"),
        (np.arange(3), "[0, 1, 2]"),
        ({"a": np.float64(1.5)}, '{"a": 1.5}'),
        (pd.Timestamp("2026-11-01"), '"2026-11-01T00:00:00"'),
        (pd.DataFrame({"a": [1, 2]}), '[{"a": 1}, {"a": 2}]'),
        (pd.Series([1.5], index=["x"]), '{"x": 1.5}'),
    ],
)
def test_anything_else_is_json(value, text):
    assert told(value) == text


def test_what_has_no_json_is_named():
    with pytest.raises(NoJson, match="The tool did its work, but gave a object that cannot be told"):
        told(object())
    around = []
    around.append(around)
    for value in (around, b"\xff", {"a": open}):
        with pytest.raises(NoJson):
            told(value)


def test_a_failure_is_json():
    assert json.loads(failure('it "broke"')) == {"error": 'it "broke"'}


class Mute(Exception):
    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no such day"), "ValueError: no such day"),
        (KeyError("DS"), "KeyError: 'DS'"),
        (ValueError(), "ValueError"),
        (Mute(), "Mute"),
        (ValueError("line\none\x1b[31m"), "ValueError: line one [31m"),
        (RuntimeError("key sk-0123456789abcdef is bad"), "RuntimeError: key [hidden] is bad"),
        (
            FileNotFoundError(2, "No such file or directory", "/home/ada/secret plans/prices.csv"),
            "FileNotFoundError: [Errno 2] No such file or directory: '…/prices.csv'",
        ),
    ],
)
def test_an_excuse_says_what_was_raised_and_nothing_of_this_machine(error, words):
    assert excuse(error) == words
    assert len(excuse(ValueError("x" * 10_000_000))) < 600


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot open /home/ada/data/x.csv: gone", "cannot open …/x.csv: gone"),
        ("in (/usr/lib/python3.11/json/decoder.py)", "in (…/decoder.py)"),
        ("C:\\Users\\ada\\x.csv is locked", "…/x.csv is locked"),
        ("see 'C:\\Users\\Ada L\\x.csv'", "see '…/x.csv'"),
        ("~/notes/a.txt", "…/a.txt"),
        ("file:///home/ada/x", "…/x"),
        ("a share \\\\server\\home\\ada\\x", "a share …/x"),
        ("folder /home/ada/", "folder …/"),
        ("'/home/ada'", "'…/ada'"),
    ],
)
def test_folders_are_not_shown(text, shown):
    assert clean(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "https://api.deepseek.com/beta/models failed",
        "1/2 or 3 / 4",
        "and/or",
        "yes/no/maybe",
        "at 12:30",
        "a ~ b",
        "text/plain",
    ],
)
def test_other_slashes_stay(text):
    assert clean(text) == text
