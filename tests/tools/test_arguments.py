"""What models write for arguments: nothing that is wrong is executed, all of it is answered."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsnb.client.tool_call import ToolCall
from dsnb.tools import Toolbox, tool

executed = []


@tool
def order(symbol: str, count: int, note: str = "") -> str:
    executed.append((symbol, count, note))
    return "done"


@tool
def now() -> str:
    return "noon"


BOX = Toolbox([order, now])
GOOD = '{"symbol": "DS", "count": 3}'


def answer(arguments: str, name: str = "order") -> str:
    call = ToolCall(0, "call_00_x", name, arguments)
    assert list(BOX.run([call])) == [call]
    assert call.failed
    assert call.seconds is None
    return json.loads(call.result)["error"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "are no JSON"),
        ("null", "are null, not an object"),
        ("[]", "are an array, not an object"),
        ('"{}"', "are a text, not an object"),
        ("12", "are a number, not an object"),
        ("true", "are true or false, not an object"),
        ('{"symbol": "D', "are no JSON, as if cut off"),
        ('{"symbol": "DS", "count": 3', "are no JSON, as if cut off"),
        ("{'symbol': 'DS', 'count': 3}", "are no JSON"),
        (GOOD + GOOD, "are no JSON"),
        ('{"symbol": "DS", "count": 3, "count": 4}', "say `count` twice"),
        ('{"symbol": "DS", "count": NaN}', "hold NaN, which JSON does not have"),
        ('{"symbol": "DS", "count": -Infinity}', "hold -Infinity"),
        ('{"symbol": "DS", "count": 1e999}', "hold 1e999, a number that is too large"),
        ('{"symbol": "DS", "count": %s}' % ("9" * 5000), "a number that is too long"),
        ('{"symbol": "\\ud83d", "count": 3}', "half a character"),
        ('{"symbol": "DS", "count": ' + "[" * 100_000, "nested too deeply"),
        ('{"symbol": "\\u00e9", "count": ' + "[" * 900 + "]" * 900 + "}", ""),
        ('{"symbol": "DS", "count": ' + "[" * 300 + "]" * 300 + "}", "recursion limit"),
        ('{"symbol": "DS"}', "`count`: Field required"),
        ('{"symbol": "DS", "count": "many"}', "`count`: Input should be a valid integer"),
        ('{"symbol": "DS", "count": 3.5}', "`count`: Input should be a valid integer"),
        ('{"symbol": null, "count": 3}', "`symbol`: Input should be a valid string (not None)"),
        ('{"symbol": "DS", "count": 3, "side": "buy"}', "`side`: Extra inputs are not permitted"),
        ('{"symbol": "DS", "count": "sk-0123456789abcdef"}', "(not '[hidden]')"),
    ],
)
def test_wrong_arguments_are_answered_with_what_is_wrong_and_how_to_call(arguments, words):
    error = answer(arguments)
    assert words in error
    assert error.endswith('{"symbol": string, "count": integer, "note": string (may be left out)}')
    assert len(error) < 1500
    assert executed == []


def test_a_huge_text_is_answered_briefly():
    assert len(answer('{"symbol": 5, "count": "' + "x" * 5_000_000 + '"}')) < 1500
    assert len(answer("x" * 5_000_000)) < 1500


def test_hundreds_of_problems_are_summed_up():
    many = json.dumps({f"x{place}": 1 for place in range(400)})
    assert "and 397 more." in answer(many)


@pytest.mark.parametrize("arguments", ["", "  ", "{}"])
def test_a_tool_without_parameters_takes_no_arguments_at_all(arguments):
    call = ToolCall(0, "", "now", arguments)
    assert [(done.result, done.failed) for done in BOX.run([call])] == [("noon", False)]


def test_pairs_of_escapes_are_whole_characters():
    call = ToolCall(0, "", "order", '{"symbol": "\\ud83d\\ude00", "count": 3}')
    list(BOX.run([call]))
    assert executed.pop() == ("😀", 3, "")


SCRAPS = [
    *("{", "}", "[", "]", ":", ",", '"', "\\", "'", " ", "\n", "\x00", "😀", "\ud800", "\\ud800", "3", "-", "0", "1e9"),
    *(
        "NaN",
        "null",
        "true",
        '"symbol"',
        '"count"',
        '"note"',
        '"DS"',
        '{"symbol": "DS", ',
        '"count": 3',
        '"symbol": "DS"',
    ),
]
VALUES = [None, True, 0, 3, 0.5, -1e300, "", "3", "x", [], [3], {}, {"count": 3}, float("inf")]
places = st.integers(0, len(GOOD) - 1)
broken = st.one_of(
    st.lists(st.sampled_from(SCRAPS), max_size=12).map("".join),
    st.dictionaries(st.sampled_from(["symbol", "count", "note", "x"]), st.sampled_from(VALUES)).map(json.dumps),
    st.sampled_from(VALUES).map(json.dumps),
    st.text(max_size=20),
    places.map(lambda place: GOOD[:place]),
    st.builds(lambda place, scrap: GOOD[:place] + scrap + GOOD[place + 1 :], places, st.sampled_from(SCRAPS)),
)


def right(arguments: str) -> bool:
    """Tell, in another way than the code does, whether a tool may be run with this."""
    try:
        pairs = json.loads(arguments, object_pairs_hook=list)
        found = dict(pairs)
        return (
            len(found) == len(pairs)
            and found.keys() - {"note"} == {"symbol", "count"}
            and all(isinstance(found.get(name, ""), str) for name in ("symbol", "note"))
            and int(found["count"]) == float(found["count"])
        )
    except (ValueError, TypeError, OverflowError, RecursionError):
        return False


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.lists(broken.filter(lambda arguments: not right(arguments)), min_size=10, max_size=10))
@pytest.mark.slow
def test_ten_thousand_malformed_arguments_are_answered_and_none_is_executed(batch):
    calls = [ToolCall(place, f"call_{place:02}_x", "order", arguments) for place, arguments in enumerate(batch)]
    assert list(BOX.run(calls)) == calls
    assert executed == []
    for call in calls:
        error = json.loads(call.result)["error"]
        assert call.failed
        assert 0 < len(error) < 1500
        error.encode()
