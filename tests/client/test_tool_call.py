import json

from dsnb.client.tool_call import ToolCall


def test_a_refusal_is_the_answer_unless_there_is_one():
    call = ToolCall(0, "a", "f", "{}")
    call.refuse("not today, ädventure")
    assert json.loads(call.result) == {"error": "not today, ädventure"}
    assert (call.failed, call.seconds) == (True, None)
    call.refuse("never")
    assert "today" in call.result
    done = ToolCall(0, "a", "f", "{}", "12.5", failed=False, seconds=0.25)
    done.refuse("too late")
    assert (done.result, done.failed, done.seconds) == ("12.5", False, 0.25)


def test_calls_are_equal_if_all_of_them_is():
    fields = {"result": "1", "failed": False, "seconds": 0.5}
    call = ToolCall(0, "a", "f", "{}", **fields)
    assert call == ToolCall(0, "a", "f", "{}", **fields)
    for name, other in (("result", "2"), ("failed", True), ("seconds", 1.0)):
        assert call != ToolCall(0, "a", "f", "{}", **fields | {name: other})


def test_a_failed_call_shows_it():
    assert repr(ToolCall(0, "a", "f", "{}", "1", failed=False)) == "<ToolCall 0 f({})>"
    assert repr(ToolCall(0, "a", "f", "{}", "{}", failed=True)) == "<ToolCall 0 f({}) failed>"
