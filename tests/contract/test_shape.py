"""Serde's verdict on the shape of a request, and its words.

In `serde_words.json` the words under "serde" were written by serde_json 1.0 and serde_path_to_error 0.1 themselves,
from Rust types like those of DeepSeek's public request code (bytes stand as Latin-1 there); those under "live" by the
API, in measurements published with the very bytes that were sent (2026-07 to 2026-09).
"""

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsnb.contract import at
from dsnb.contract.json_reader import DEPTH, Json
from dsnb.contract.serde import SerdeError
from dsnb.contract.shape import load, request_shape

V4 = at("2026-08-15")
SHAPE = request_shape(V4)

WORDS = json.loads(Path(__file__).with_name("serde_words.json").read_text("utf-8"))


def complaint(raw, shape=SHAPE):
    with pytest.raises(SerdeError) as caught:
        load(raw, shape)
    return caught.value.text(raw)


@pytest.mark.parametrize(("text", "words"), WORDS["serde"])
def test_says_what_serde_says(text, words):
    assert complaint(text.encode("latin-1")) == words


@pytest.mark.parametrize(("text", "words"), WORDS["live"])
def test_says_what_the_api_said(text, words):
    assert complaint(text.encode()) == words


@pytest.mark.parametrize(
    ("date", "content", "words"),
    [
        (
            "2025-02-01",
            {"type": "text"},
            "data did not match any variant of untagged enum ChatCompletionRequestContent",
        ),
        ("2025-02-01", [{"type": "image_url"}], "data did not match any variant of untagged enum"),
        ("2026-06-01", {"type": "text"}, "content should be a string or a list"),
        ("2026-06-01", [{"type": "image_url"}], "unknown variant `image_url`, expected `text`"),
        ("2026-09-01", [{"type": "input_audio"}], "unknown variant `input_audio`, expected one of `text`, `image_url`"),
    ],
)
def test_content_is_judged_by_its_time(date, content, words):
    raw = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode()
    assert complaint(raw, request_shape(at(date))).startswith(f"messages[0]: {words}")


@pytest.mark.parametrize("role", ["assistant", "tool"])
def test_only_text_from_assistants_and_tools_before_v4(role):
    message = {"role": role, "content": [{"type": "text", "text": "x"}], "tool_call_id": "1"}
    raw = json.dumps({"model": "m", "messages": [message]}).encode()
    assert "messages[0]: invalid type: sequence, expected a string" in complaint(raw, request_shape(at("2025-12-01")))
    assert load(raw, SHAPE)["messages"] == [message]


def test_images_are_a_known_part_since_vision():
    part = {"type": "image_url", "image_url": {"url": "https://example.com/x.png", "detail": "low"}}
    body = {"model": "m", "messages": [{"role": "user", "content": [part]}]}
    assert load(json.dumps(body).encode(), request_shape(at("2026-08-21"))) == body


def test_server_tools_need_no_function_since_they_exist():
    body = {"model": "m", "messages": [], "tools": [{"type": "deepseek_web_search"}]}
    raw = json.dumps(body).encode()
    assert load(raw, request_shape(at("2026-11-13"))) == body
    assert "unknown variant `deepseek_web_search`, expected `function`" in complaint(
        raw, request_shape(at("2026-11-12"))
    )
    bare = json.dumps(body | {"tools": [{"type": "function"}]}).encode()
    assert "tools[0]: missing field `function`" in complaint(bare, request_shape(at("2026-11-13")))


def test_new_fields_are_unknown_before_their_time():
    body = {"model": "m", "messages": [], "thinking": 5, "reasoning_effort": 5, "user_id": 5}
    assert load(json.dumps(body).encode(), request_shape(at("2025-06-01"))) == body
    assert complaint(json.dumps(body).encode()).startswith("thinking: invalid type")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_depth_is_limited_where_serde_reads(opening, closing):
    def tool(levels):
        parameters = opening * levels + "1" + closing * levels
        tools = f'[{{"type":"function","function":{{"name":"f","parameters":{parameters}}}}}]'
        return f'{{"model":"m","messages":[],"tools":{tools}}}'.encode()

    around = 4  # body, tools, tool, function
    assert load(tool(DEPTH - around), SHAPE)["model"] == "m"
    assert "recursion limit exceeded" in complaint(tool(DEPTH - around + 1))
    assert "recursion limit exceeded" in complaint(tool(100_000))


@pytest.mark.parametrize("levels", [1, 500, 100_000])
def test_depth_is_free_where_nothing_reads(levels):
    raw = b'{"x":' + b"[" * levels + b"]" * levels + b',"model":"m","messages":[]}'
    assert load(raw, SHAPE)["model"] == "m"


def test_a_caller_near_the_interpreters_limit_gets_an_answer():
    raw = b'{"model":"m","messages":[],"tool_choice":' + b"[" * 120 + b"]" * 120 + b"}"

    def call(levels):
        return call(levels - 1) if levels else complaint(raw)

    assert "recursion limit exceeded" in call(sys.getrecursionlimit() - 250)
    assert "expected one of `none`, `auto`, `required` or a tool" in call(1)


def test_a_key_that_stands_twice():
    assert complaint(b'{"model":"m","model":"m","messages":[]}') == "duplicate field `model` at line 1 column 20"
    twice = b'{"model":"m","messages":[],"x":1,"x":2}'
    assert load(twice, SHAPE)["x"] == 2


INNER = ["role", "content", "type", "text", "function", "name", "parameters", "tool_calls", "id", "arguments", "x"]
FIELDS = [*SHAPE.shapes, *INNER, "tool_call_id", "prefix", "reasoning_content", "strict", "include_usage"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=25,
)
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
BODY = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "é😀"}]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "1", "content": "x"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "enum": [1, 2.5]}}}],
    "temperature": 0.5,
    "thinking": {"type": "enabled"},
    "stop": ["a"],
    "x": {"y": [1, {"z": []}]},
}
PIECES = [
    b"",
    b"{",
    b"}",
    b"]",
    b",",
    b'"',
    b":",
    b"null",
    b"\\ud800",
    b"\xff",
    b"\n",
    b"1e999",
    b"-",
    b"NaN",
    b'"a":1,',
]


def covers(quick, exact):
    if isinstance(exact, dict):
        return exact.keys() <= quick.keys() and all(covers(quick[key], exact[key]) for key in exact)
    if isinstance(exact, list):
        return len(quick) == len(exact) and all(map(covers, quick, exact))
    return quick == exact


def agree(raw):
    """Hold the quick reading against serde's own: the same verdict, and the same values of all that serde keeps."""
    exact, problem = None, None
    try:
        exact = Json(raw).document(SHAPE)
    except SerdeError as error:
        problem = error
    if problem is None:
        assert covers(load(raw, SHAPE), exact)
    else:
        assert complaint(raw) == problem.text(raw)
        assert 0 <= problem.index <= len(raw)


@given(st.binary(max_size=60))
@settings(max_examples=120, deadline=None)
def test_any_bytes_are_read_or_refused(raw):
    agree(raw)


@given(JSON, st.booleans())
@settings(max_examples=120, deadline=None)
def test_any_json_is_read_or_refused(value, ascii_only):
    agree(json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"))


@given(st.data(), st.sampled_from([None, 1]), st.booleans())
@settings(max_examples=150, deadline=None)
@pytest.mark.slow
def test_a_damaged_request_is_read_or_refused(data, indent, ascii_only):
    raw = bytearray(json.dumps(BODY, indent=indent, ensure_ascii=ascii_only).encode())
    begun = data.draw(st.integers(0, len(raw)))
    ended = min(len(raw), begun + data.draw(st.integers(0, 12)))
    raw[begun:ended] = data.draw(st.sampled_from(PIECES) | st.binary(max_size=3))
    agree(bytes(raw))
