from copy import deepcopy

import pytest

from dsnb.contract import at
from dsnb.contract.passback import rendered, stripped

CALL = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
EARLIER = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "hi", "reasoning_content": "a greeting"},
    {"role": "user", "content": "what time is it?"},
]
LOOP = [
    {"role": "assistant", "content": None, "reasoning_content": "I call now", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "noon"},
]
HISTORY = EARLIER + LOOP


def reasoning(messages):
    return [message.get("reasoning_content") for message in messages if message["role"] == "assistant"]


@pytest.mark.parametrize(
    ("day", "name", "kept"),
    [
        ("2025-02-01", "deepseek-chat", [None, None]),
        ("2025-02-01", "deepseek-reasoner", [None, None]),
        ("2025-09-01", "deepseek-reasoner", [None, None]),
        ("2026-02-15", "deepseek-reasoner", [None, "I call now"]),
        ("2026-05-15", "deepseek-v4-pro", ["a greeting", "I call now"]),
        ("2026-11-20", "deepseek-flash", ["a greeting", "I call now"]),
    ],
)
@pytest.mark.parametrize("thinking", [True, False])
def test_each_generation_is_sent_what_it_wants(day, name, kept, thinking):
    history = deepcopy(HISTORY)
    sent = rendered(history, at(day).model(name), thinking=thinking, tools=True)
    assert reasoning(sent) == kept
    assert [message["role"] for message in sent] == [message["role"] for message in HISTORY]
    assert sent[4]["content"] == "", "never null"
    assert sent[4]["tool_calls"] == [CALL]
    assert history == HISTORY, "what is kept stays as it is"


@pytest.mark.parametrize(
    ("day", "name", "tools", "filled"),
    [
        ("2026-02-15", "deepseek-reasoner", True, [None, ""]),
        ("2026-11-20", "deepseek-flash", True, ["", ""]),
        ("2026-11-20", "deepseek-flash", False, [None, None]),
    ],
)
def test_reasoning_that_must_be_there_and_never_was_is_sent_empty(day, name, tools, filled):
    history = [{k: v for k, v in message.items() if k != "reasoning_content"} for message in HISTORY]
    model = at(day).model(name)
    assert reasoning(rendered(history, model, thinking=True, tools=tools)) == filled
    assert reasoning(rendered(history, model, thinking=False, tools=tools)) == [None, None]


@pytest.mark.parametrize("name", ["deepseek-flash", "deepseek-v4-pro"])
def test_the_message_of_a_prefix_request_is_left_alone(name):
    begun = {"role": "assistant", "content": "It is", "reasoning_content": "noon, I think", "prefix": True}
    assert rendered([*EARLIER, begun], at("2026-11-20").model(name), thinking=True, tools=False)[-1] == begun
    assert rendered([*EARLIER, begun], at("2026-11-20").model(name), thinking=False, tools=True)[-1] == begun


def test_other_hosts_are_sent_no_reasoning():
    assert reasoning(stripped(HISTORY)) == [None, None]
    contents = [message["content"] for message in stripped(HISTORY)]
    assert contents == ["be brief", "hello", "hi", "what time is it?", "", "noon"]
