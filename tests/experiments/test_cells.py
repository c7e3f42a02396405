"""A cell is known by its values: equal ones are one cell, others never are."""

import enum
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsnb.errors import ConfigurationError
from dsnb.experiments.sweeping.cells import canonical, cells

_ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_VALUES = st.recursive(
    _ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


def exactly(value):
    """Return what tells a value from all others, types included; dicts have no order."""
    if isinstance(value, dict):
        return "dict", frozenset((name, exactly(item)) for name, item in value.items())
    if isinstance(value, list):
        return "list", tuple(map(exactly, value))
    sign = math.copysign(1, value) if isinstance(value, float) else None
    return type(value).__name__, value, sign


@given(_VALUES, _VALUES)
def test_one_text_for_one_value_and_another_for_every_other(one, other):
    assert (canonical(one) == canonical(other)) == (exactly(one) == exactly(other))


@given(_VALUES)
def test_the_text_is_the_value_and_ascii(value):
    text = canonical(value)
    assert exactly(json.loads(text)) == exactly(value)
    assert text.isascii()


def test_what_python_takes_for_equal_stays_apart():
    values = [1, 1.0, True, "1", "True", None, "null", 0, -0.0, 0.0, False, "", [1], ["1"], "\u00e9", "e\u0301"]
    assert len({canonical(value) for value in values}) == len(values)
    assert len(cells({"value": values})) == len(values)


@given(st.dictionaries(st.text(min_size=1), _ATOMS, min_size=2, max_size=5), st.randoms())
def test_the_order_of_names_says_nothing(values, random):
    names = list(values)
    random.shuffle(names)
    (one,), (other,) = cells([values]), cells([{name: values[name] for name in names}])
    assert one.key == other.key


def test_numbers_of_numpy_are_numbers():
    assert canonical(np.int64(3)) == canonical(3)
    assert canonical(np.float64(0.5)) == canonical(0.5)
    assert canonical(np.bool_(True)) == canonical(True)
    assert [cell.key for cell in cells({"n": np.arange(2)})] == ['{"n":0}', '{"n":1}']
    assert canonical((1, (2,))) == canonical([1, [2]])
    assert canonical(enum.StrEnum("Level", ["LOW"]).LOW) == canonical("low")


def test_the_first_names_vary_slowest_and_repeats_follow_one_another():
    made = cells({"document": ["a", "b"], "question": [1, 2]}, repeats=2)
    assert [(*cell.values.values(), cell.repeat) for cell in made] == [
        *(("a", 1, 1), ("a", 1, 2), ("a", 2, 1), ("a", 2, 2)),
        *(("b", 1, 1), ("b", 1, 2), ("b", 2, 1), ("b", 2, 2)),
    ]


def test_listed_cells_keep_their_order_and_order_sorts_either():
    listed = [{"n": 3}, {"n": 1}, {"n": 2}]
    assert [cell.values["n"] for cell in cells(iter(listed))] == [3, 1, 2]
    assert [cell.values["n"] for cell in cells(listed, order=lambda cell: cell["n"])] == [1, 2, 3]
    assert [cell.values["n"] for cell in cells({"n": range(3)}, order=lambda cell: -cell["n"])] == [2, 1, 0]


LOOP: list = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("grid", "told"),
    [
        ({}, "is empty"),
        ([], "is empty"),
        ({"n": []}, "is empty"),
        ({"n": 3}, r"write \{'n': \[3\]\}"),
        ({"model": "deepseek-flash"}, "one value instead of a list"),
        ({"n": {"a": 1}}, "one value instead of a list"),
        (7, "this is int"),
        ("cells", "among these is str"),
        ([{"n": 1}, 2], "among these is int"),
        ([{"n": 1}, {"n": 1}], r'the cell {"n":1} twice'),
        ({"n": [1, 1]}, "repeats=2"),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], "twice"),
        ({"n": [float("nan")]}, "not equal to themselves"),
        ({"n": [float("inf")]}, "The value of 'n'"),
        ({"f": [print]}, "it is a function"),
        ({"f": [object()]}, "of type object"),
        ({"f": [{1, 2}]}, "of type set"),
        ({"f": [b"bytes"]}, "of type bytes"),
        ({"f": [{1: 2}]}, "has texts as keys"),
        ({"f": [np.arange(3)]}, "of type ndarray"),
        ({"f": [LOOP]}, "contains itself"),
        ([{1: 2}], "names for their values"),
        ({"": [1]}, "names for their values"),
        ({"prompt_tokens": [1]}, "column 'prompt_tokens' of its own"),
    ],
)
def test_what_is_no_grid_is_told_before_anything_runs(grid, told):
    with pytest.raises(ConfigurationError, match=told):
        cells(grid, taken=("prompt_tokens",))


@pytest.mark.parametrize("repeats", [0, -1, 1.5, True, "2"])
def test_repeats_are_a_whole_number(repeats):
    with pytest.raises(ConfigurationError, match="repeats="):
        cells({"n": [1]}, repeats=repeats)
