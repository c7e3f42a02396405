import copy
import pickle

from dsnb.client.events import Event
from dsnb.client.tool_call import ToolCall


def test_a_call_grows_by_its_fragments() -> None:
    call = ToolCall(0, "a", "f", '{"x"')
    call.append(": 1}")
    assert call.arguments == '{"x": 1}'


def test_calls_are_equal_if_they_say_the_same() -> None:
    grown = ToolCall(0, "a", "f", "{")
    grown.append("}")
    assert grown == ToolCall(0, "a", "f", "{}")
    assert grown != ToolCall(0, "a", "f", "{}", result=1)
    assert grown != "f({})"


def test_a_call_shows_itself_in_one_line() -> None:
    assert repr(ToolCall(1, "a", "f", '{"x": 1}')) == '<ToolCall 1 f({"x": 1})>'
    assert len(repr(ToolCall(1, "a", "f", "x" * 1000))) < 80


def test_a_call_can_be_copied_and_sent_to_another_process() -> None:
    call = ToolCall(1, "a", "f", '{"x": "是"}', result={"y": 2})
    assert pickle.loads(pickle.dumps(call)) == call  # noqa: S301 — our own bytes
    other = copy.deepcopy(call)
    other.append(" ")
    assert (call.arguments, other.arguments) == ('{"x": "是"}', '{"x": "是"} ')


def test_an_event_needs_only_its_type() -> None:
    assert Event("queued") == Event("queued", "", None, None, moved=False)
