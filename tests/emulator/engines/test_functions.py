"""A function as an engine: what it may return, and how a model is scripted that calls tools again and again."""

import json

import pytest

from dsnb.emulator import Answer, Emulator, ToolCall
from dsnb.emulator.engines import engine
from dsnb.errors import EmulatorError
from tests.emulator.talking import body, post

TOOL = {"type": "function", "function": {"name": "dig", "parameters": {"type": "object", "properties": {}}}}


def choice(emulator, asked):
    response = post(emulator, asked)
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]


@pytest.mark.parametrize(
    ("said", "content", "calls"),
    [
        ("a text", "a text", []),
        ("", "", []),
        (Answer("whole", "thought"), "whole", []),
        (ToolCall("dig", "{}"), "", ["{}"]),
        ([ToolCall("dig", '{"x": 1}'), ToolCall("dig", '{"x":')], "", ['{"x": 1}', '{"x":']),
        (Answer("and", tool_calls=(ToolCall("dig", "{}"),)), "and", ["{}"]),
    ],
)
def test_what_a_function_may_say(said, content, calls):
    with Emulator(engine=lambda _: said) as emulator:
        found = choice(emulator, body(tools=[TOOL]))
    assert found["message"]["content"] == content
    made = found["message"].get("tool_calls", [])
    assert [call["function"]["arguments"] for call in made] == calls
    assert found["finish_reason"] == ("tool_calls" if calls else "stop")
    assert len({call["id"] for call in made}) == len(made)


@pytest.mark.parametrize("said", [None, 3, [], ["a"], {"content": "x"}, [ToolCall("dig", "{}"), "b"]])
def test_what_it_may_not_say_is_told(said, caplog):
    with Emulator(engine=lambda _: said) as emulator:
        found = post(emulator)
    assert found.status_code == 500
    assert "an engine answers with a text, an Answer or tool calls, not" in found.json()["error"]["message"]
    assert "EmulatorError" in caplog.text


def test_a_model_can_call_tools_for_ever():
    with Emulator(engine=lambda _: ToolCall("dig", "{}")) as emulator:
        asked = body(tools=[TOOL])
        ids = []
        for _ in range(12):
            message = choice(emulator, asked)["message"]
            ids.append(message["tool_calls"][0]["id"])
            answer = {"role": "tool", "tool_call_id": ids[-1], "content": "nothing yet"}
            asked = {**asked, "messages": [*asked["messages"], message, answer]}
        assert len(set(ids)) == 12


def test_rounds_are_scripted_by_the_results_so_far():
    def digging(request):
        if len(request.results) < 2:
            return ToolCall("dig", json.dumps({"metres": len(request.results) + 1}))
        return f"Dug: {request.results}"

    with Emulator(engine=digging) as emulator:
        asked = body(tools=[TOOL])
        for depth in ("one", "two"):
            message = choice(emulator, asked)["message"]
            answer = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": depth}
            asked = {**asked, "messages": [*asked["messages"], message, answer]}
        assert choice(emulator, asked)["message"]["content"] == "Dug: [('dig', 'one'), ('dig', 'two')]"


def failing(*contents):
    """Return the default engine's words on some tool results."""
    ids = [f"call_{number}" for number in range(len(contents))]
    calls = [{"id": call, "type": "function", "function": {"name": "dig", "arguments": "{}"}} for call in ids]
    results = [
        {"role": "tool", "tool_call_id": call, "content": text} for call, text in zip(ids, contents, strict=True)
    ]
    history = [{"role": "user", "content": "dig"}, {"role": "assistant", "content": "", "tool_calls": calls}, *results]
    with Emulator() as emulator:
        return choice(emulator, body(tools=[TOOL], messages=history))["message"]["content"].splitlines()[2:]


def test_failed_results_are_spoken_of_as_failures():
    assert failing(
        json.dumps({"error": "no such place"}),
        json.dumps({"error": {"code": 7}}),
        "gold",
        json.dumps({"error": None, "found": 1}),
        '{"error": ',
        '["error"]',
    ) == [
        "- `dig` failed: no such place",
        '- `dig` failed: {"code": 7}',
        "- `dig`: gold",
        '- `dig`: {"error": null, "found": 1}',
        '- `dig`: {"error":',
        '- `dig`: ["error"]',
    ]


def test_what_is_no_engine_is_told():
    with pytest.raises(EmulatorError, match="is not an engine"):
        engine("parrot")
