"""What ``tools=[...]`` of one request means."""

import json

import pytest

from dsnb.client.tool_call import ToolCall
from dsnb.contract import at
from dsnb.contract.requests import check
from dsnb.errors import RequestError
from dsnb.tools import Toolbox, tool

RAW = {"type": "function", "function": {"name": "raw", "parameters": {"type": "object", "properties": {}}}}
SERVER = {"type": "deepseek_web_search"}


@tool
def exact(a: int) -> int:
    return a


def loose(a: int, b: int = 0) -> int:
    return a + b


def stricts(box):
    return [schema.get("function", {}).get("strict") for schema in box.schemas]


def test_strict_is_for_all_or_none():
    assert (Toolbox([exact]).strict, stricts(Toolbox([exact]))) == (True, [True])
    mixed = Toolbox([exact, loose])
    assert (mixed.strict, stricts(mixed)) == (False, [None, None])
    assert exact.schema["function"]["strict"] is True  # the tool itself is as it was
    body = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "x"}], "tools": mixed.schemas}
    assert [finding for finding in check(body, at("2026-11-01")) if finding.effect != "billed"] == []


def test_the_note_says_because_of_which_tool_and_parameter():
    (note,) = Toolbox([exact, loose]).notes
    assert (note.rule, note.effect, note.where) == ("tools.strict_dropped", "ignored", "tools[1].function")
    why = "`b` may be left out, and strict mode wants every parameter."
    assert note.message == f"loose is not strict, so no tool of this request is: {why}"
    assert note.mend == "Without a default the model always gives it."
    (alone,) = Toolbox([loose]).notes
    assert alone.message.startswith("loose is not strict: `b` may")


def test_what_was_asked_for_is_no_news():
    relaxed = tool(exact.function, strict=False, name="relaxed")
    assert Toolbox([relaxed]).notes == ()
    assert Toolbox([RAW]).notes == ()
    assert Toolbox([exact]).notes == ()
    assert "relaxed is not strict, so no tool" in Toolbox([exact, relaxed]).notes[0].message
    assert "raw is not strict, so no tool" in Toolbox([RAW, exact]).notes[0].message


def test_schemas_pass_untouched_and_are_not_run():
    box = Toolbox([RAW, exact])
    assert box.schemas[0] == RAW
    assert not box.runnable([ToolCall(0, "", "exact"), ToolCall(1, "", "raw")])
    assert box.runnable([ToolCall(0, "", "exact"), ToolCall(1, "", "unheard_of")])
    call = ToolCall(0, "", "raw", "{}")
    assert list(box.run([call])) == [call]
    assert call.failed
    strict = {"type": "function", "function": RAW["function"] | {"strict": True}}
    assert Toolbox([strict, exact, SERVER]).strict
    assert Toolbox([strict, loose]).schemas[0] == strict
    assert Toolbox([SERVER]).schemas == [SERVER]
    assert not Toolbox([SERVER]).strict


def test_names_are_unique():
    for tools in ([exact, exact], [exact, tool(loose, name="exact")], [RAW, tool(loose, name="raw")]):
        with pytest.raises(RequestError, match="Two tools are named"):
            Toolbox(tools)


@pytest.mark.parametrize("tools", [exact, {"type": "function"}, "text", [5], [None]])
def test_what_is_no_list_of_tools_is_refused(tools):
    with pytest.raises(RequestError):
        Toolbox(tools)


def test_an_empty_box_is_false():
    assert not Toolbox()
    assert not Toolbox([]).strict
    assert Toolbox([]).schemas == []
    assert Toolbox([SERVER])


def test_it_tells_itself_in_one_line():
    assert repr(Toolbox([exact, loose, RAW, SERVER])) == "<Toolbox exact, loose, raw, a tool of the server>"
    assert repr(Toolbox([exact])) == "<Toolbox exact · strict>"
    assert repr(Toolbox()) == "<Toolbox empty>"


@pytest.mark.parametrize("name", ["nope", "", "x" * 1000, "a\n\x1b[31m", "Exact", "sk-0123456789abcdef"])
def test_an_unknown_tool_is_answered_with_the_known_names(name):
    call = ToolCall(0, "", name, '{"a": 1}')
    assert list(Toolbox([exact, loose]).run([call])) == [call]
    error = json.loads(call.result)["error"]
    assert error.startswith("There is no tool ")
    assert error.endswith("The tools are: exact, loose.")
    assert len(error) < 200
    assert "0123456789" not in error


def test_nothing_of_a_reply_that_was_cut_off_is_executed():
    calls = [ToolCall(0, "", "never", '{"a": 1}'), ToolCall(1, "", "never", '{"a"')]
    done = list(Toolbox([tool(lambda a: pytest.fail("executed"), name="never")]).run(calls, complete=False))
    assert done == calls
    assert all(call.failed and "cut off" in call.result for call in calls)


def test_refusals_come_before_results():
    calls = [ToolCall(0, "", "exact", '{"a": 1}'), ToolCall(1, "", "nope", "{}"), ToolCall(2, "", "exact", "")]
    assert [call.index for call in Toolbox([exact]).run(calls)] == [1, 2, 0]
    assert [call.failed for call in calls] == [False, True, True]
