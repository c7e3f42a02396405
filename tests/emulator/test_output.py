"""Cutting an answer: budgets, stop strings, truncated calls, and the counts that go with them."""

import json

import pytest

from dsnb.contract import at, tokens
from dsnb.contract.settings import settings
from dsnb.emulator import Answer, Emulator, ToolCall
from dsnb.emulator.output import ARGUMENTS, CALL, CONTENT, REASONING, generate
from dsnb.emulator.tool_deltas import deltas
from tests.emulator.talking import body, chunks, post, said
from tests.recordings import recordings, requires_recordings

REPORT = (
    "Log this incident: the nightly build broke because the cache warmer raced the artifact uploader, then the retry"
)
TOOLS = [{"type": "function", "function": {"name": "file_report"}}]


def generated(answer, as_of="2026-08-15", model="deepseek-v4-flash", **fields):
    found = at(as_of).model(model)
    return generate(answer, settings(body(model=model, **fields), found), found)


# What V4-Flash had sent of such a call when its budget was used up (recorded 2026-08-15).
@pytest.mark.parametrize(
    ("budget", "arguments"),
    [
        (15, None),
        (16, ""),
        (20, ""),
        (24, '{"summary": '),
        (32, '{"summary": "Log this incident: the'),
        (48, json.dumps({"summary": REPORT})[:-4]),
    ],
)
def test_a_call_is_cut_where_the_recorded_one_was(budget, arguments):
    call = ToolCall("file_report", json.dumps({"summary": REPORT + " storm"}))
    output = generated(Answer("", None, (call,)), max_tokens=budget, tools=TOOLS)
    assert (output.finish_reason, output.total) == ("length", budget)
    assert [one.arguments for one in output.calls] == ([] if arguments is None else [arguments])


def test_a_budget_that_is_filled_ends_by_length():
    whole = tokens.count("one two three four")
    assert generated(Answer("one two three four"), max_tokens=whole + 1).finish_reason == "stop"
    assert generated(Answer("one two three four"), max_tokens=whole).finish_reason == "length"
    assert generated(Answer("one two three four"), max_tokens=2).text(CONTENT) == "one two"


def test_reasoning_is_spent_first():
    answer = Answer("The answer", "We think a while")
    thought, spoken = tokens.count("We think a while"), tokens.count("The answer")
    on = {"thinking": {"type": "enabled"}}
    for budget in range(1, thought + spoken + 3):
        output = generated(answer, max_tokens=budget, **on)
        assert output.total == min(budget, thought + 1 + spoken)
        assert output.reasoning_tokens == min(budget, thought)
        assert (output.text(CONTENT) == "") == (budget <= thought + 1)
        assert output.finish_reason == ("stop" if budget > thought + 1 + spoken else "length")


def test_without_thinking_reasoning_is_dropped():
    output = generated(Answer("The answer", "We think"))
    assert (output.reasoning_tokens, output.text(REASONING), output.total) == (None, "", 2)


def test_r1_has_a_budget_of_its_own_for_the_reasoning():
    output = generated(Answer("The long answer", "word " * 50), "2025-02-01", "deepseek-reasoner", max_tokens=2)
    assert output.text(CONTENT) == "The long"
    assert output.reasoning_tokens == tokens.count("word " * 50)
    assert output.finish_reason == "length"


@pytest.mark.parametrize(
    ("stop", "content", "finish"),
    [
        ("END", "before ", "stop"),
        (["x", "END", "before"], "", "stop"),
        ("absent", "before END after", "tool_calls"),
        ([], "before END after", "tool_calls"),
    ],
)
def test_stop_strings_end_the_content_and_are_billed(stop, content, finish):
    output = generated(Answer("before END after", None, (ToolCall("file_report", "{}"),)), stop=stop, tools=TOOLS)
    assert (output.text(CONTENT), output.finish_reason) == (content, finish)
    if stop == "END":
        assert output.total == tokens.count("before END")
        assert output.calls == ()


def test_an_engine_may_say_how_it_finished():
    assert generated(Answer("x", finish_reason="content_filter")).finish_reason == "content_filter"
    assert generated(Answer("x y z", finish_reason="length"), max_tokens=1).text(CONTENT) == "x y z"


@pytest.mark.parametrize(
    "text", ["plain words", "你好，世界", "emoji 🎉🎉 and ☃", "a\u0301 combining", " \n\n  ", "𓀀𓀁 rare"]
)
def test_counts_of_text_and_places_of_pieces_agree(text):
    output = generated(Answer(text, text), thinking={"type": "enabled"})
    assert (output.text(CONTENT), output.text(REASONING)) == (text, text)
    assert output.total == 2 * tokens.count(text) + 1
    places = [event.token for event in output.events]
    assert places == sorted(places)
    assert places[-1] <= output.total


@pytest.mark.parametrize(
    "arguments",
    [
        "{}",
        '{"a": 1}',
        '{"a": "b", "c": [1, 2, {"d": null}], "e": {"f": true}}',
        '{"a":"compact","b":2}',
        '{ "a" : "odd spaces" , "b" : {} }',
        '{"quote": "say \\"hi\\"", "path": "C:\\\\x", "line": "a\\nb", "snow": "☃🎉"}',
        '{"escaped": "\\u2603"}',
        '{"": ""}',
        '{"a": "</｜DSML｜parameter>", "b": "}"}',
        '{"twice": 1, "twice": 2}',
        "[1, 2]",
        "not json",
        '{"cut": "off',
        "",
        " {} ",
        '{"a": 1} trailing',
    ],
)
@pytest.mark.parametrize(
    ("as_of", "model"),
    [
        ("2025-04-01", "deepseek-chat"),
        ("2025-09-10", "deepseek-chat"),
        ("2026-01-09", "deepseek-chat"),
        ("2026-11-16", "deepseek-flash"),
    ],
)
def test_pieces_of_arguments_join_to_the_arguments(arguments, as_of, model):
    found = deltas([ToolCall("f", arguments), ToolCall("tool", arguments)], at(as_of).model(model), forced=False)
    for index in range(2):
        own = [delta for delta in found if delta.index == index]
        assert own[0].text is None
        assert "".join(delta.text for delta in own[1:]) == arguments
    assert [delta.index for delta in found] == sorted(delta.index for delta in found)
    assert [delta.token for delta in found] == sorted(delta.token for delta in found)


def test_events_of_calls_come_after_the_text():
    output = generated(Answer("Text.", None, (ToolCall("file_report", '{"a": "b"}'),)), tools=TOOLS)
    kinds = [event.kind for event in output.events]
    assert kinds == [CONTENT] * kinds.count(CONTENT) + [CALL] + [ARGUMENTS] * kinds.count(ARGUMENTS)


@requires_recordings
def test_pieces_of_recorded_calls_are_the_recorded_pieces():
    alike = differing = 0
    for recording in recordings():
        if not (
            recording.first_party and recording.chat and recording.status == 200 and isinstance(recording.body, str)
        ):
            continue
        calls = []
        for chunk in recording.objects:
            for call in chunk["choices"][0]["delta"].get("tool_calls") or ():
                if "id" in call:
                    calls.append((call["function"]["name"], []))
                else:
                    calls[-1][1].append(call["function"]["arguments"])
        # A call that was cut off is no JSON, so nothing says where its DSML stood.
        if not calls or recording.objects[-1]["choices"][0]["finish_reason"] == "length":
            continue
        model = at(recording.date).model(recording.asked["model"])
        ours = [(name, []) for name, _ in calls]
        for delta in deltas([ToolCall(name, "".join(pieces)) for name, pieces in calls], model, forced=False):
            if delta.text is not None:
                ours[delta.index][1].append(delta.text)
        alike += ours == calls
        differing += ours != calls
    assert alike > 0
    assert differing <= 0.03 * (alike + differing)


def test_length_crosses_the_wire_as_recorded():
    with Emulator() as emulator:
        asked = body("Why?", max_tokens=5, thinking={"type": "enabled"})
        plain = post(emulator, asked).json()
        stream = chunks(post(emulator, {**asked, "stream": True}))
    message = plain["choices"][0]["message"]
    assert plain["choices"][0]["finish_reason"] == "length"
    assert message["content"] == ""
    assert tokens.count(message["reasoning_content"]) == 5
    assert plain["usage"]["completion_tokens"] == plain["usage"]["completion_tokens_details"]["reasoning_tokens"] == 5
    assert said(stream, "reasoning_content") == message["reasoning_content"]
    assert stream[-1]["choices"][0]["finish_reason"] == "length"
