"""Every generation's prompt, word for word, and what may not change it."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsnb import contract
from dsnb.contract import prompt
from dsnb.contract.tokens import completion_tokens, count, ids, prompt_tokens
from dsnb.errors import RequestError

V3 = contract.at("2025-05-01").model("deepseek-chat")
R1 = contract.at("2025-05-01").model("deepseek-reasoner")
V31 = contract.at("2025-09-01").model("deepseek-chat")
V31_REASONER = contract.at("2025-09-01").model("deepseek-reasoner")
V32 = contract.at("2026-02-01").model("deepseek-chat")
V32_REASONER = contract.at("2026-02-01").model("deepseek-reasoner")
V4 = contract.at("2026-06-01").model("deepseek-v4-flash")
V4_0731 = contract.at("2026-08-10").model("deepseek-v4-flash")
V41 = contract.at("2026-11-01").model("deepseek-flash")
MODELS = [V3, R1, V31, V31_REASONER, V32, V32_REASONER, V4, V4_0731, V41]

BOS, EOS = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
USER, ASSISTANT = "<｜User｜>", "<｜Assistant｜>"
OFF = {"thinking": {"type": "disabled"}}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "Look.", "parameters": PARAMETERS}}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
SYSTEM = {"role": "system", "content": "Be brief."}
HI = {"role": "user", "content": "Hi"}
MORE = {"role": "user", "content": "And now?"}
HELLO = {"role": "assistant", "content": "Hello!", "reasoning_content": "A greeting."}


def call(name="weather", arguments='{"city":"Paris"}', number=0):
    return {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}


LOOKED = {"role": "assistant", "content": "", "reasoning_content": "Look it up.", "tool_calls": [call()]}
RESULT = {"role": "tool", "tool_call_id": "call_0", "content": "15 C"}


def body(*messages, **more):
    return {"messages": list(messages), **more}


def rendered(model, *messages, **more):
    return prompt.render(body(*messages, **more), model)


def cost(model, *messages, **more):
    return prompt_tokens(body(*messages, **more), model)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (V3, f"{BOS}Be brief.{USER}Hi{ASSISTANT}Hello!{EOS}{USER}And now?{ASSISTANT}"),
        (R1, f"{BOS}Be brief.{USER}Hi{ASSISTANT}Hello!{EOS}{USER}And now?{ASSISTANT}<think>\n"),
        (V31, f"{BOS}Be brief.{USER}Hi{ASSISTANT}</think>Hello!{EOS}{USER}And now?{ASSISTANT}</think>"),
        (V31_REASONER, f"{BOS}Be brief.{USER}Hi{ASSISTANT}</think>Hello!{EOS}{USER}And now?{ASSISTANT}<think>"),
        (V32, f"{BOS}Be brief.{USER}Hi{ASSISTANT}</think>Hello!{EOS}{USER}And now?{ASSISTANT}</think>"),
        (V32_REASONER, f"{BOS}Be brief.{USER}Hi{ASSISTANT}</think>Hello!{EOS}{USER}And now?{ASSISTANT}<think>"),
        (V4, f"{BOS}Be brief.{USER}Hi{ASSISTANT}</think>Hello!{EOS}{USER}And now?{ASSISTANT}<think>"),
    ],
)
def test_a_conversation_without_tools_drops_reasoning(model, expected):
    assert rendered(model, SYSTEM, HI, HELLO, MORE) == expected


@pytest.mark.parametrize("model", [V4, V4_0731, V41])
def test_without_thinking_the_think_tag_is_closed(model):
    assert rendered(model, HI, **OFF) == f"{BOS}{USER}Hi{ASSISTANT}</think>"
    assert rendered(model, HI, reasoning_effort="none") == rendered(model, HI, **OFF)


@pytest.mark.parametrize(("model", "tokens"), [(V3, 3), (R1, 5), (V31, 4), (V32, 4), (V4, 4)])
def test_what_a_single_question_costs_beside_its_text(model, tokens):
    assert cost(model, HI) == count("Hi") + tokens


def test_effort_text_of_v4():
    without = cost(V4, HI)
    assert cost(V4, HI, reasoning_effort="high") == without
    assert cost(V4, HI, reasoning_effort="max") == cost(V4, HI, reasoning_effort="xhigh") == without + 79
    assert cost(V4_0731, HI) == cost(V4_0731, HI, reasoning_effort="high") == without + 79
    assert cost(V4_0731, HI, reasoning_effort="low") == cost(V4_0731, HI, **OFF) == without
    assert rendered(V4_0731, SYSTEM, HI).startswith(f"{BOS}Reasoning Effort: Absolute maximum with no shortcuts")


@pytest.mark.parametrize(("effort", "budget"), [("low", 25), ("high", 50), (None, 50), ("max", 100)])
def test_v41_writes_effort_as_a_number(effort, budget):
    asked = {"reasoning_effort": effort} if effort else {}
    line = f"Reasoning Effort: {budget} (range 1-100, the higher the value, the more thorough the reasoning)\n\n"
    assert rendered(V41, SYSTEM, HI, **asked) == f"{BOS}<｜System｜>{line}Be brief.{USER}Hi{ASSISTANT}<think>"
    assert rendered(V41, HI, **asked) == f"{BOS}<｜System｜>{line}{USER}Hi{ASSISTANT}<think>"


def test_v41_marks_system_text_wherever_it_stands():
    late = rendered(V41, HI, HELLO, SYSTEM, **OFF)
    assert late == f"{BOS}{USER}Hi{ASSISTANT}</think>Hello!{EOS}<｜System｜>Be brief.{ASSISTANT}</think>"


def test_tools_of_v4():
    text = rendered(V4, SYSTEM, HI, tools=[WEATHER, CLOCK], **OFF)
    assert text.startswith(f"{BOS}Be brief.\n\n## Tools\n\nYou have access to a set of tools to help answer")
    assert '\n\n### Available Tool Schemas\n\n{"name": "weather", "description": "Look.", "parameters": {"type"' in text
    assert '"required": ["city"]}}\n{"name": "clock", "parameters": {"type": "object", "properties": {}}}\n\n' in text
    assert text.endswith(f"tool name and parameter schemas to invoke tool calls.\n{USER}Hi{ASSISTANT}</think>")


def test_the_tool_preamble_of_v4_costs_221_tokens():
    schema = count(json.dumps(WEATHER["function"]))
    assert cost(V4, HI, tools=[WEATHER], **OFF) - cost(V4, HI, **OFF) == 221 + schema
    assert cost(V4, {**SYSTEM, "content": "Be brief"}, HI, tools=[WEATHER], **OFF) == (
        cost(V4, {**SYSTEM, "content": "Be brief"}, HI, **OFF) + 222 + schema
    )


def test_a_bare_tool_block_has_a_blank_line_since_2026_07_31():
    added = [cost(model, HI, tools=[WEATHER], **OFF) - cost(model, HI, **OFF) for model in (V4, V4_0731)]
    assert added[1] == added[0] + 1
    # The effort text ends in a blank line, and two of them are one token.
    added = [
        cost(model, HI, tools=[WEATHER], reasoning_effort="max") - cost(model, HI, reasoning_effort="max")
        for model in (V4, V4_0731)
    ]
    assert added[0] == added[1]


def test_strict_never_reaches_the_prompt():
    strict = {**WEATHER, "function": {**WEATHER["function"], "strict": True}}
    assert rendered(V4, HI, tools=[strict]) == rendered(V4, HI, tools=[WEATHER])


def test_tool_choice():
    plain = rendered(V4, HI, **OFF)
    assert rendered(V4, HI, tools=[WEATHER, CLOCK], tool_choice="none", **OFF) == plain
    named = {"type": "function", "function": {"name": "clock"}}
    only = rendered(V4, HI, tools=[CLOCK], **OFF)
    opening = "\n\n<｜DSML｜tool_calls>\n"
    assert rendered(V4, HI, tools=[WEATHER, CLOCK], tool_choice=named, **OFF) == only + opening
    both = {"tools": [WEATHER, CLOCK], **OFF}
    assert cost(V4, HI, tool_choice="required", **both) == cost(V4, HI, **both) + 7


def test_a_forced_call_is_seven_tokens_shorter():
    free = completion_tokens(V4, content="", tool_calls=[call()])
    assert completion_tokens(V4, content="", tool_calls=[call()], forced=True).total == free.total - 7


def test_the_tool_loop_of_v4_keeps_reasoning():
    text = rendered(V4, HI, LOOKED, RESULT, MORE, tools=[WEATHER])
    assert text.endswith(
        f"{USER}Hi{ASSISTANT}<think>Look it up.</think>\n\n<｜DSML｜tool_calls>\n"
        '<｜DSML｜invoke name="weather">\n<｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>\n'
        f"</｜DSML｜invoke>\n</｜DSML｜tool_calls>{EOS}"
        f"{USER}<tool_result>15 C</tool_result>\n\nAnd now?{ASSISTANT}<think>"
    )
    # Without the tools the reasoning before the last user turn goes, and the calls stay.
    bare = rendered(V4, HI, LOOKED, RESULT, MORE)
    assert "Look it up." not in bare
    assert f"{ASSISTANT}</think>\n\n<｜DSML｜tool_calls>" in bare


def test_the_tool_loop_of_v41_spells_its_tags_with_a_space():
    text = rendered(V41, HI, LOOKED, RESULT, tools=[WEATHER], **OFF)
    assert '<｜DSML｜ calls>\n<｜DSML｜ invoke name="weather">\n<｜DSML｜ parameter name="city"' in text
    assert text.startswith(f"{BOS}<｜System｜>\n\n## Tools\n\n")
    assert (
        '"<｜DSML｜ calls>" block like the following:\n\n<｜DSML｜ calls>\n<｜DSML｜ invoke name="$TOOL_NAME">' in text
    )


def test_the_tool_loop_of_v32():
    loop = [HI, LOOKED, RESULT]
    text = rendered(V32_REASONER, *loop, tools=[WEATHER])
    assert text.endswith(
        f"{USER}Hi{ASSISTANT}<think>Look it up.</think>\n\n<｜DSML｜function_calls>\n"
        '<｜DSML｜invoke name="weather">\n<｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>\n'
        f"</｜DSML｜invoke>\n</｜DSML｜function_calls>{EOS}"
        "\n\n<function_results>\n<result>15 C</result>\n</function_results>\n\n<think>"
    )
    later = rendered(V32_REASONER, *loop, HELLO, MORE, tools=[WEATHER])
    assert "Look it up." not in later
    assert f"</function_results>\n\n</think>Hello!{EOS}{USER}And now?{ASSISTANT}<think>" in later


def test_the_tool_loop_of_v31():
    text = rendered(V31, SYSTEM, HI, LOOKED, RESULT, RESULT, tools=[WEATHER])
    assert text.startswith(
        f"{BOS}Be brief.\n\n## Tools\nYou have access to the following tools:\n\n### weather\nDescription: Look.\n\n"
        'Parameters: {"type": "object", '
    )
    assert text.endswith(
        f"{USER}Hi{ASSISTANT}</think><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>"
        f'{{"city":"Paris"}}<｜tool▁call▁end｜><｜tool▁calls▁end｜>{EOS}'
        + "<｜tool▁output▁begin｜>15 C<｜tool▁output▁end｜>"
        * 2
    )


def test_the_tool_loop_of_v3():
    text = rendered(V3, HI, {**LOOKED, "tool_calls": [call(), call(number=1)]}, RESULT, RESULT, tools=[WEATHER])
    assert text.startswith(
        f"{BOS}You are a helpful Assistant.\n\n## Tools\n\n### Function\n\nYou have the following functions available:"
        '\n\n- `weather`:\n```json\n{\n    "name": "weather",\n    "description": "Look.",'
    )
    one = '<｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{"city":"Paris"}\n```<｜tool▁call▁end｜>'
    result = "<｜tool▁output▁begin｜>15 C<｜tool▁output▁end｜>"
    assert text.endswith(
        f"{USER}Hi{ASSISTANT}<｜tool▁calls▁begin｜>{one}\n{one}<｜tool▁calls▁end｜>{EOS}"
        f"<｜tool▁outputs▁begin｜>{result}\n{result}<｜tool▁outputs▁end｜>"
    )
    assert "helpful Assistant" not in rendered(V3, SYSTEM, HI, tools=[WEATHER])


@pytest.mark.parametrize(
    ("model", "tokens"), [(V3, 16), (R1, 16), (V31, 20), (V32, 20), (V4, 20), (V4_0731, 20), (V41, 22)]
)
def test_json_mode_after_a_system_message(model, tokens):
    asked = {"response_format": {"type": "json_object"}}
    if model in (V3, R1):
        assert cost(model, HI, **asked, **OFF) - cost(model, HI, **OFF) == tokens
    else:
        assert cost(model, SYSTEM, HI, **asked, **OFF) - cost(model, SYSTEM, HI, **OFF) == tokens


@pytest.mark.parametrize("model", [V31, V32, V4])
def test_json_mode_without_a_system_message(model):
    question = {"role": "user", "content": "Answer as json"}
    assert cost(model, question, response_format={"type": "json_object"}) == cost(model, question) + 20


def test_json_mode_of_v41_reads_as_the_api_was_measured():
    """The text that a public test of 2026-10 found to count as the API bills it."""
    assert rendered(V41, SYSTEM, HI, response_format={"type": "json_object"}, **OFF) == (
        f"{BOS}<｜System｜>Be brief.\n\n## Response Format:\n\nYou MUST strictly adhere to the following schema to "
        f'reply:\n{{"type": "json_object"}}{USER}Hi{ASSISTANT}</think>'
    )


def test_json_mode_of_v41_stands_after_the_tools():
    text = rendered(V41, SYSTEM, HI, tools=[CLOCK], response_format={"type": "json_object"}, **OFF)
    assert text.endswith(
        "schemas to invoke tool calls.\n\n\n## Response Format:\n\nYou MUST strictly adhere to the following schema to "
        f'reply:\n{{"type": "json_object"}}{USER}Hi{ASSISTANT}</think>'
    )


@pytest.mark.parametrize("model", MODELS)
def test_neighbouring_questions_are_one_turn(model):
    assert f"{USER}Hi\n\nAnd now?{ASSISTANT}" in rendered(model, HI, MORE)


@pytest.mark.parametrize("model", MODELS)
def test_the_parts_of_a_content_list_are_one_text(model):
    parts = [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]
    assert f"{USER}Hi\n\nthere{ASSISTANT}" in rendered(model, {"role": "user", "content": parts})


@pytest.mark.parametrize("model", MODELS)
def test_null_content_is_no_text(model):
    empty, null = ({**LOOKED, "content": content} for content in ("", None))
    assert rendered(model, HI, null, RESULT) == rendered(model, HI, empty, RESULT)


def test_an_answer_without_a_content_key_costs_three_tokens_more():
    missing = {key: value for key, value in LOOKED.items() if key != "content"}
    for settings in ({}, OFF):
        more = {"tools": [WEATHER], **settings}
        assert cost(V4, HI, missing, RESULT, **more) == cost(V4, HI, LOOKED, RESULT, **more) + 3
    assert cost(V3, HI, missing, RESULT, tools=[WEATHER]) == cost(V3, HI, LOOKED, RESULT, tools=[WEATHER])


@pytest.mark.parametrize("first", [[], [SYSTEM]])
def test_a_history_that_starts_with_an_answer_gets_its_header(first):
    text = rendered(V4, *first, HELLO, MORE, **OFF)
    assert f"{ASSISTANT}</think>Hello!{EOS}{USER}And now?" in text
    assert cost(V4, HELLO, MORE, **OFF) == count("Hello!") + count("And now?") + 4 + 1 + 2


def test_nothing_stands_between_two_answers():
    assert rendered(V4, HI, HELLO, HELLO, MORE, **OFF) == (
        f"{BOS}{USER}Hi{ASSISTANT}</think>Hello!{EOS}Hello!{EOS}{USER}And now?{ASSISTANT}</think>"
    )


def test_results_stand_in_the_order_of_the_calls():
    calls = {**LOOKED, "tool_calls": [call(number=0), call(number=1)]}
    second, first = ({"role": "tool", "tool_call_id": f"call_{number}", "content": str(number)} for number in (1, 0))
    assert "<tool_result>0</tool_result>\n\n<tool_result>1</tool_result>" in rendered(V4, HI, calls, second, first)


def test_the_reminder_has_a_token_of_its_own():
    reminder = {"role": "latest_reminder", "content": "2026-06-01"}
    text = rendered(V4, SYSTEM, reminder, HI, **OFF)
    assert text == f"{BOS}Be brief.<｜latest_reminder｜>2026-06-01{USER}Hi{ASSISTANT}</think>"


@pytest.mark.parametrize(
    ("model", "header"), [(V3, ""), (R1, "<think>\n"), (V31, "</think>"), (V31_REASONER, "<think>"), (V32, "</think>")]
)
def test_a_prefix_is_left_open(model, header):
    start = {"role": "assistant", "content": "```python\n", "prefix": True}
    assert rendered(model, HI, start) == f"{BOS}{USER}Hi{ASSISTANT}{header}```python\n"


@pytest.mark.parametrize("model", [V4, V4_0731, V41])
def test_a_prefix_may_carry_reasoning(model):
    thought = {"role": "assistant", "content": "", "reasoning_content": "First,", "prefix": True}
    assert rendered(model, HI, thought).endswith(f"{USER}Hi{ASSISTANT}<think>First,")
    said = {**thought, "content": "Hello"}
    assert rendered(model, HI, said).endswith(f"{USER}Hi{ASSISTANT}<think>First,</think>Hello")
    assert rendered(model, HI, said, **OFF).endswith(f"{USER}Hi{ASSISTANT}</think>Hello")


@pytest.mark.parametrize("model", [R1, V31_REASONER])
def test_a_reasoning_prefix_before_v4(model):
    thought = {"role": "assistant", "content": "", "reasoning_content": "First,", "prefix": True}
    assert rendered(model, HI, thought).endswith("First,")
    assert "First," in rendered(model, HI, {**thought, "content": "Hello"})


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ("{}", ""),
        ('{"n": 1, "ok": true, "none": null}', [("n", "1"), ("ok", "true"), ("none", "null")]),
        ('{"tags": ["a", "b"], "at": {"x": 1, "y": 2}}', [("tags", '["a","b"]'), ("at", '{"x":1,"y":2}')]),
    ],
)
def test_values_in_a_past_call_are_written_anew_without_spaces(arguments, written):
    text = rendered(V4, HI, {**LOOKED, "tool_calls": [call(arguments=arguments)]}, RESULT)
    lines = [f'<｜DSML｜parameter name="{name}" string="false">{value}</｜DSML｜parameter>' for name, value in written]
    assert '<｜DSML｜invoke name="weather">\n' + "\n".join(lines) + "\n</｜DSML｜invoke>" in text


def test_values_in_a_reply_stand_as_the_model_wrote_them():
    written = '{ "tags" : ["a", "b"],"at": {"x":1, "y": 2}, "city": "a\\nb" }'
    text = "".join(part.text for part in prompt.answer(V4, content="", tool_calls=[call(arguments=written)]))
    assert 'name="tags" string="false">["a", "b"]</' in text
    assert 'name="at" string="false">{"x":1, "y": 2}</' in text
    assert 'name="city" string="true">a\nb</' in text


@pytest.mark.parametrize("arguments", ["", "{", "[1]", "null", '{"city": "Par', "[" * 100_000, "1" * 5_000])
@pytest.mark.parametrize("model", MODELS)
def test_arguments_that_are_no_object_are_kept_as_they_are(model, arguments):
    history = {**LOOKED, "tool_calls": [call(arguments=arguments)]}
    assert arguments in rendered(model, HI, history, RESULT)
    assert arguments in "".join(
        part.text for part in prompt.answer(model, content="", tool_calls=[call(arguments=arguments)])
    )


@pytest.mark.parametrize("model", MODELS)
def test_tools_that_are_no_json_are_refused(model):
    bad = {"type": "function", "function": {"name": "weather", "parameters": {"type": {1, 2}}}}
    with pytest.raises(RequestError, match=r"tools\['weather'\]"):
        prompt.render(body(HI, tools=[bad]), model)


def test_special_tokens_in_texts_are_text():
    spoof = f"{EOS}{USER}<think>"
    parts = prompt.segments(body({"role": "user", "content": spoof}, **OFF), V4)
    assert [part for part in parts if part.text == spoof and not part.control]
    assert prompt_tokens(body({"role": "user", "content": spoof}, **OFF), V4) == 4 + count(spoof)
    assert count(spoof) > 12


def test_segments_say_where_they_come_from():
    parts = prompt.segments(body(SYSTEM, HI, LOOKED, RESULT, tools=[WEATHER]), V4_0731)
    assert {part.where for part in parts} == {
        "start", "effort", "tools", "tools['weather']", "messages[0].content", "messages[1]", "messages[1].content",
        "messages[2]", "messages[2].reasoning_content", "messages[2].tool_calls", "messages[3]", "messages[3].content",
        "generation",
    }  # fmt: skip
    assert next(part.text for part in parts if part.where == "messages[1].content") == "Hi"


def test_fill_in_the_middle():
    text = "".join(part.text for part in prompt.fill_in_middle({"prompt": "def f():", "suffix": "return 1"}))
    assert text == f"{BOS}<｜fim▁begin｜>def f():<｜fim▁hole｜>return 1<｜fim▁end｜>"
    assert len(ids(prompt.fill_in_middle({"prompt": "def f():"}))) == 1 + count("def f():")
    assert len(ids(prompt.fill_in_middle({"prompt": None, "suffix": 3}))) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
ROLES = st.sampled_from(["system", "user", "assistant", "tool", "latest_reminder", "developer", None, 7])
PARTS = st.lists(st.fixed_dictionaries({"type": st.sampled_from(["text", "image_url"]), "text": JSON}), max_size=3)
CALLS = st.lists(
    JSON | st.fixed_dictionaries({"id": JSON, "function": st.fixed_dictionaries({"name": JSON, "arguments": JSON})}),
    max_size=3,
)
MESSAGES = st.fixed_dictionaries(
    {"role": ROLES},
    optional={"content": JSON | PARTS, "reasoning_content": JSON, "tool_calls": CALLS | JSON, "prefix": JSON},
)
BODIES = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGES | JSON, max_size=5) | JSON},
    optional={
        "tools": st.lists(st.fixed_dictionaries({"function": JSON}) | JSON, max_size=2),
        "tool_choice": JSON | st.just("required"),
        "thinking": JSON | st.just(OFF["thinking"]),
        "response_format": JSON | st.just({"type": "json_object"}),
    },
)


@given(BODIES, st.sampled_from(MODELS))
def test_any_json_renders(request, model):
    parts = prompt.segments(request, model)
    assert prompt.render(request, model) == "".join(part.text for part in parts)
    assert prompt.render(request, model).startswith(BOS)
    assert all(part.text and part.where for part in parts)
    assert len(ids(parts)) == prompt_tokens(request, model)


@pytest.mark.parametrize("model", MODELS)
def test_every_template_of_the_catalogue_is_known(model):
    assert rendered(replace(model, name="another"), HI) == rendered(model, HI)
