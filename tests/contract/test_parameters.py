"""Which values the parameters may have, and which have no effect."""

import pytest

from dsnb.contract import at
from dsnb.contract.error_bodies import rows
from dsnb.contract.requests import check

NOW, V4, V32, V3 = (at(date) for date in ("2026-11-01", "2026-08-15", "2026-02-15", "2025-02-01"))
USER = [{"role": "user", "content": "hi"}]
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def findings(contract=NOW, model="deepseek-flash", effect="rejected", **body):
    found = check({"model": model, "messages": USER} | body, contract)
    return [(finding.rule, finding.where, finding.message) for finding in found if finding.effect == effect]


def refusal(contract=NOW, model="deepseek-flash", **body):
    return next((message for _, _, message in findings(contract, model, **body)), None)


LONG = (
    "Invalid 'user_id': string too long. Expected a string with maximum length 512, but got a string with length 513 "
    "instead"
)
RANGE = "Invalid {0} value, the valid range of {0} is {1}"
OFF = {"thinking": {"type": "disabled"}}


@pytest.mark.parametrize(
    ("contract", "model", "most"),
    [
        (NOW, "deepseek-flash", 393216),
        (NOW, "deepseek-v4-pro", 393216),
        (V32, "deepseek-chat", 8192),
        (V32, "deepseek-reasoner", 65536),
        (V3, "deepseek-chat", 8192),
    ],
)
def test_max_tokens_ends_where_the_model_does(contract, model, most):
    message = RANGE.format("max_tokens", f"[1, {most}]")
    assert refusal(contract, model, max_tokens=most + 1) == message
    assert refusal(contract, model, max_tokens=0) == message
    assert refusal(contract, model, max_tokens=most) is None
    assert refusal(contract, model, max_tokens=1) is None
    assert refusal(contract, model, max_tokens=None) is None


@pytest.mark.parametrize(
    ("name", "bounds", "right", "wrong"),
    [
        ("temperature", "[0, 2]", [0, 0.0, 1, 2, 2.0, None], [-0.01, 2.01, 99, -1]),
        ("top_p", "(0, 1.0]", [0.001, 0.1, 1, 1.0, None], [0, 0.0, -0.5, 1.01, 2]),
    ],
)
def test_sampling_stays_in_its_range(name, bounds, right, wrong):
    for body in ({}, OFF):
        assert [refusal(**{name: value}, **body) for value in right] == [None] * len(right)
        assert {refusal(**{name: value}, **body) for value in wrong} == {RANGE.format(name, bounds)}


@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty"])
def test_penalties_have_a_range_as_long_as_they_have_an_effect(name):
    assert refusal(at("2026-07-01"), "deepseek-v4-flash", **{name: 2.5}) == RANGE.format(name, "[-2, 2]")
    assert refusal(at("2026-07-01"), "deepseek-v4-flash", **{name: -2}) is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"n": 2}, "Invalid n value (currently only n = 1 is supported)"),
        ({"n": 0}, "Invalid n value (currently only n = 1 is supported)"),
        ({"n": 1}, None),
        ({"stop": ["x"] * 17}, "Stop string array too long: 17"),
        ({"stop": ["x"] * 16}, None),
        ({"stop": "x" * 99}, None),
        ({"stream_options": {"include_usage": True}}, "stream_options should be set along with stream = true"),
        (
            {"stream": False, "stream_options": {"include_usage": True}},
            "stream_options should be set along with stream = true",
        ),
        ({"stream": True, "stream_options": {"include_usage": True}}, None),
        ({"stream_options": None}, None),
        (
            {"top_logprobs": 5},
            "Invalid top_logprobs and logprobs value, logprobs must be set to true if top_logprobs is used.",
        ),
        ({"logprobs": True, "top_logprobs": 21}, RANGE.format("top_logprobs", "[0, 20].")),
        ({"logprobs": True, "top_logprobs": 20}, None),
        ({"logprobs": True}, None),
        ({"user_id": "u" * 512}, None),
        (
            {"user_id": "u" * 513},
            LONG,
        ),
        ({"user_id": "with a space"}, None),
    ],
    ids=repr,
)
def test_single_values(body, message):
    assert refusal(**body) == message


@pytest.mark.parametrize("contract", [V3, V32])
@pytest.mark.parametrize("body", [{"logprobs": True}, {"logprobs": True, "top_logprobs": 2}])
def test_reasoners_gave_no_logprobs(contract, body):
    message = "deepseek-reasoner does not support the parameter `logprobs`"
    assert refusal(contract, "deepseek-reasoner", **body) == message
    assert refusal(contract, "deepseek-chat", **body) is None
    assert refusal(contract, "deepseek-reasoner", logprobs=False) is None


NAMED = {"type": "function", "function": {"name": "f"}}
FORCED = "Thinking mode does not support this tool_choice"


@pytest.mark.parametrize(
    ("choice", "body", "message"),
    [
        ("required", {"tools": [FUNCTION]}, FORCED),
        (NAMED, {"tools": [FUNCTION]}, FORCED),
        ("required", {"tools": [FUNCTION], "thinking": {"type": "enabled"}}, FORCED),
        ("required", {"tools": [FUNCTION], "thinking": {"type": "adaptive"}}, FORCED),
        ("required", {"tools": [FUNCTION], **OFF}, None),
        (NAMED, {"tools": [FUNCTION], **OFF}, None),
        ("required", {"tools": [FUNCTION], "reasoning_effort": "none"}, None),
        ("auto", {"tools": [FUNCTION]}, None),
        ("none", {"tools": [FUNCTION]}, None),
        (None, {"tools": [FUNCTION]}, None),
        ("required", {}, None),
        (
            {"type": "function", "function": {"name": "g"}},
            {"tools": [FUNCTION], **OFF},
            "tool_choice: no tool named 'g' was specified",
        ),
    ],
    ids=repr,
)
def test_a_forced_tool_choice_and_thinking_exclude_each_other(choice, body, message):
    assert refusal(tool_choice=choice, **body) == message
    assert refusal(V4, "deepseek-v4-flash", tool_choice=choice, **body) == message


def test_chat_models_take_a_forced_tool_choice():
    assert refusal(V32, "deepseek-chat", tool_choice="required", tools=[FUNCTION]) is None


def named(name, parameters=None):
    function = {"name": name} | ({} if parameters is None else {"parameters": parameters})
    return {"type": "function", "function": function}


PATTERN = "string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."


@pytest.mark.parametrize("name", ["a.b", "späti", "", "a b", "名", "x\n"])
def test_functions_have_plain_names(name):
    assert refusal(tools=[named("ok"), named(name)]) == f"Invalid 'tools[1].function.name': {PATTERN}"


def test_functions_have_short_names():
    long = "Invalid 'tools[0].function.name': string too long. Expected a string with maximum length {}, but got a"
    assert refusal(tools=[named("x" * 128)]) is None
    assert refusal(tools=[named("x" * 129)]).startswith(long.format(128))
    assert refusal(V4, "deepseek-v4-flash", tools=[named("x" * 64)]) is None
    assert refusal(V4, "deepseek-v4-flash", tools=[named("x" * 65)]).startswith(long.format(64))


def test_functions_have_names_of_their_own():
    assert refusal(tools=[named("f"), named("g"), named("f")]) == "Tool names must be unique"
    assert refusal(tools=[named("f"), named("f")], tool_choice="none") is None


def test_the_number_of_functions_was_limited_once():
    many = [named(f"f{place}") for place in range(129)]
    assert refusal(V4, "deepseek-v4-flash", tools=many[:128]) is None
    assert "maximum length 128, but got an array with length 129" in refusal(V4, "deepseek-v4-flash", tools=many)
    assert refusal(tools=many) is None


OF_TYPE = "Invalid schema for function 'f': schema must be a JSON Schema of 'type: \"object\"', got 'type: {}'."


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, OF_TYPE.format("null")),
        ({"properties": {}}, OF_TYPE.format("null")),
        ({"type": "array"}, OF_TYPE.format('"array"')),
        ({"type": ["object", "null"]}, OF_TYPE.format('["object","null"]')),
        ([], "Invalid schema for function 'f': [] is not of type \"object\""),
        ("x", 'Invalid schema for function \'f\': "x" is not of type "object"'),
        ({"type": "object", "properties": []}, "Invalid schema for function 'f': [] is not of type \"object\""),
        (
            {"type": "object", "properties": {"a": {"type": "string", "required": True}}},
            "Invalid schema for function 'f': true is not of type \"array\"",
        ),
        ({"type": "object"}, None),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}, None),
        (None, None),
    ],
    ids=repr,
)
def test_parameters_are_a_json_schema_of_an_object(parameters, message):
    assert refusal(tools=[named("f", parameters)]) == message


@pytest.mark.parametrize(
    ("contract", "model", "body", "ignored"),
    [
        (NOW, "deepseek-flash", {"temperature": 0.2}, ["temperature.ignored"]),
        (NOW, "deepseek-flash", {"temperature": 0.2, **OFF}, []),
        (NOW, "deepseek-flash", {"top_p": 0.96}, []),
        (NOW, "deepseek-flash", {"top_p": 0.5}, ["top_p.raised"]),
        (NOW, "deepseek-flash", {"top_p": 0.5, **OFF}, ["top_p.ignored"]),
        (NOW, "deepseek-flash", {"presence_penalty": 1, **OFF}, ["presence_penalty.ignored"]),
        (V4, "deepseek-v4-flash", {"top_p": 0.5}, ["top_p.ignored"]),
        (V4, "deepseek-v4-flash", {"top_p": 0.5, **OFF}, []),
        (V32, "deepseek-reasoner", {"temperature": 1, "top_p": 0.5}, ["temperature.ignored", "top_p.ignored"]),
        (V32, "deepseek-chat", {"temperature": 1, "top_p": 0.5, "presence_penalty": 1}, []),
        (NOW, "deepseek-flash", {"reasoning_effort": "high", **OFF}, ["reasoning_effort.ignored"]),
        (NOW, "deepseek-flash", {"reasoning_effort": "none"}, []),
        (NOW, "deepseek-flash", {"enable_thinking": False}, ["parameter.unknown"]),
        (NOW, "deepseek-flash", {"max_completion_tokens": 5, "top_k": 1}, ["parameter.unknown"] * 2),
        (V3, "deepseek-chat", {"thinking": {"type": "enabled"}, "user_id": "u"}, ["parameter.unknown"] * 2),
        (NOW, "deepseek-flash", {"parallel_tool_calls": True, "safety_check": {"level": "low"}}, ["parameter.unknown"]),
        (at("2026-11-15"), "deepseek-flash", {"safety_check": {"level": "low"}}, []),
    ],
    ids=repr,
)
def test_what_has_no_effect_is_told(contract, model, body, ignored):
    assert [rule for rule, _, _ in findings(contract, model, "ignored", **body)] == ignored
    assert findings(contract, model, **body) == []


def test_foreign_fields_come_with_their_counterpart():
    body = {"model": "deepseek-flash", "messages": USER, "max_completion_tokens": 5, "wisdom": 1}
    mends = {finding.where: finding.mend for finding in check(body, NOW)}
    assert mends["max_completion_tokens"] == "Use max_tokens instead: it covers reasoning and answer."
    assert mends["wisdom"] == "Leave wisdom out."


def test_every_message_of_the_catalogue_has_its_words():
    dates = [
        "2024-12-26",
        "2025-02-01",
        "2025-10-01",
        "2026-02-01",
        "2026-05-01",
        "2026-08-15",
        "2026-09-01",
        "2026-11-15",
    ]
    for date in dates:
        for model in at(date).models:
            named = {rule.message for rule in model.parameters.values() if rule.message}
            assert named <= rows().keys()
