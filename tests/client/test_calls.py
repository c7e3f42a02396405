from typing import Any

import pytest

from dsnb.client.decoder import StreamDecoder
from tests.client.streams import call, chunk, decode
from tests.effort import effort


def calls(*deltas: list[dict[str, Any]]) -> list[tuple[int, str, str, str]]:
    decoder = decode(*(chunk({"tool_calls": delta}) for delta in deltas))
    return [(c.index, c.id, c.name, c.arguments) for c in decoder.tool_calls]


ONE, TWO = (0, "a", "f", '{"x": 1}'), (1, "b", "g", "{}")


@pytest.mark.parametrize(
    "deltas",
    [
        # DeepSeek: one after the other
        [[call(0, "a", "f", "")], [call(0, arguments='{"x":')], [call(0, arguments=" 1}")], [call(1, "b", "g", "{}")]],
        # interleaved, and out of order
        [[call(1, "b", "g", "{")], [call(0, "a", "f", '{"x"')], [call(1, arguments="}")], [call(0, arguments=": 1}")]],
        # both in one delta
        [[call(0, "a", "f", '{"x"'), call(1, "b", "g", "{")], [call(0, arguments=": 1}"), call(1, arguments="}")]],
        # id and name in every delta
        [[call(0, "a", "f", '{"x":')], [call(0, "a", "f", " 1}")], [call(1, "b", "g", "{")], [call(1, "b", "g", "}")]],
        # name repeated without the id
        [[call(0, "a", "f", '{"x":')], [call(0, None, "f", " 1}")], [call(1, "b", "g", "{}")]],
        # a new id in every delta (older vLLM)
        [
            [call(0, "a", "f", "")],
            [call(0, "r1", None, '{"x":')],
            [call(0, "r2", None, " 1}")],
            [call(1, "b", "g", "{}")],
        ],
        # no index: the id tells, or nothing does
        [[call(None, "a", "f", '{"x":')], [call(None, "a", None, " 1}")], [call(None, "b", "g", "{}")]],
        [[call(None, "a", "f", '{"x":')], [call(None, None, None, " 1}")], [call(None, "b", "g", "{}")]],
        # whole calls that all have index 0, or none
        [[call(0, "a", "f", '{"x": 1}')], [call(0, "b", "g", "{}")]],
        [[call(None, "a", "f", '{"x": 1}'), call(None, "b", "g", "{}")]],
        # arguments that the host has parsed
        [[call(0, "a", "f", {"x": 1})], [call(1, "b", "g", {})]],
        # the id comes late
        [[call(0, None, "f", "")], [call(0, "a", None, '{"x": 1}')], [call(1, "b", "g", "{}")]],
        # null where nothing is
        [
            [call(0, "a", "f") | {"type": "function"}],
            [call(0, arguments='{"x": 1}') | {"id": None}],
            [call(1, "b", "g", "{}")],
        ],
    ],
)
def test_tool_calls_are_put_together(deltas: list[list[dict[str, Any]]]) -> None:
    assert calls(*deltas) == [ONE, TWO]


def test_the_same_function_called_twice_under_one_index() -> None:
    whole = calls([call(0, "a", "f", '{"x": 1}')], [call(0, "b", "f", '{"x": 2}')])
    assert whole == [ONE, (1, "b", "f", '{"x": 2}')]
    streamed = calls(
        [call(0, "a", "f", "")], [call(0, arguments='{"x": 1}')], [call(0, "b", "f", "")], [call(0, arguments="{}")]
    )
    assert streamed == [ONE, (1, "b", "f", "{}")]


def test_calls_without_index_and_id() -> None:
    assert calls([call(name="f", arguments='{"x": 1}')], [call(name="f", arguments="{}")]) == [
        (0, "", "f", '{"x": 1}'),
        (1, "", "f", "{}"),
    ]
    assert calls([call(name="f", arguments="")], [call(arguments='{"x"')], [call(arguments=": 1}")]) == [
        (0, "", "f", '{"x": 1}')
    ]


def test_tool_events_carry_the_fragment_and_the_call_so_far() -> None:
    decoder = StreamDecoder()
    (opened,) = decoder.feed(chunk({"tool_calls": [call(0, "a", "f", "")]}))
    assert opened.tool is not None
    assert (opened.type, opened.text, opened.tool.name, opened.tool.arguments) == ("tool", "", "f", "")
    (more,) = decoder.feed(chunk({"tool_calls": [call(0, arguments='{"x"')]}))
    assert (more.text, more.tool) == ('{"x"', opened.tool)
    assert opened.tool.arguments == '{"x"'
    assert decoder.tokens == 2


def test_many_fragments_cost_no_more_each_than_few() -> None:
    def cost(count: int) -> int:
        decoder = StreamDecoder()
        pieces = [chunk({"tool_calls": [call(0, "a", "f", "")]})] + [
            chunk({"tool_calls": [call(0, arguments="abc")]})
        ] * count
        lines = effort(lambda: [decoder.feed(piece) for piece in pieces])
        assert len(decoder.tool_calls[0].arguments) == 3 * count
        return lines

    cost(1)
    assert cost(4_000) <= 8 * 1.1 * cost(500)
