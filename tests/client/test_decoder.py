import sys
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsnb.client.decoder import StreamDecoder
from dsnb.client.dialects import DEEPSEEK, OPENAI_COMPATIBLE, Dialect
from dsnb.client.events import Event
from dsnb.client.usage import Usage
from dsnb.errors import DsnbError, MalformedReply, ServerFailed
from tests.client.streams import DONE, call, chunk, content, cut, decode, frame, told
from tests.effort import effort

# ---- the shape of DeepSeek's own stream


THINKING = [
    chunk({"role": "assistant", "content": None, "reasoning_content": ""}, usage=None),
    chunk({"content": None, "reasoning_content": "Hm"}, usage=None),
    chunk({"content": "Yes", "reasoning_content": None}, usage=None),
    chunk(
        {"content": "", "reasoning_content": None},
        finish="stop",
        usage={"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8, "prompt_cache_hit_tokens": 0},
    ),
    DONE,
]


def test_a_thinking_stream() -> None:
    decoder = StreamDecoder()
    events = [event for piece in THINKING for event in decoder.feed(piece)]
    assert events == [Event("reasoning", "Hm"), Event("answer", "Yes")]
    assert (decoder.id, decoder.model, decoder.created) == ("1", "m", 1)
    assert (decoder.reasoning, decoder.answer, decoder.outcome) == ("Hm", "Yes", "stop")
    assert decoder.usage == Usage(5, 3, 8, 0, 5)
    assert (decoder.done, decoder.started, decoder.tokens) == (True, True, 2)


def test_reasoning_is_none_without_thinking_and_empty_where_nothing_was_thought() -> None:
    assert decode(chunk({"role": "assistant", "content": ""}), chunk({"content": "Hi"})).reasoning is None
    assert decode(THINKING[0], THINKING[2]).reasoning == ""


def test_state_grows_as_bytes_come() -> None:
    decoder = StreamDecoder()
    assert (decoder.started, decoder.answer, decoder.outcome) == (False, "", "truncated")
    decoder.feed(THINKING[1])
    assert (decoder.started, decoder.reasoning, decoder.answer) == (True, "Hm", "")


def test_bytes_after_done_are_ignored() -> None:
    decoder = decode(*THINKING, b"rubbish\n\n", chunk({"content": "more"}), b"data: {\n\n")
    assert (decoder.answer, decoder.outcome) == ("Yes", "stop")
    assert decode(b"".join(THINKING) + chunk({"content": "more"})).answer == "Yes"


def test_keep_alives_are_told_before_the_first_token_and_counted_after() -> None:
    decoder = StreamDecoder()
    assert decoder.feed(b": keep-alive\n\n" * 2 + THINKING[0]) == [Event("queued")] * 2
    assert decoder.feed(THINKING[1] + b": keep-alive\n\n") == [Event("reasoning", "Hm")]
    assert decoder.keep_alives == 3


# ---- other hosts


def test_usage_in_a_chunk_of_its_own() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 3}
    stream = [chunk({"content": "Hi"}), chunk({}, finish="stop"), frame({"choices": [], "usage": usage}), DONE]
    decoder = decode(*stream)
    assert decoder.usage == Usage(5, 3, 8)
    assert decoder.outcome == "stop"


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning": "Hm"},
        {"reasoning": "Hm", "content": ""},
        {"reasoning_content": "Hm", "content": None},
        {"reasoning_content": "Hm", "reasoning": "Hm", "reasoning_details": [{"text": "Hm"}]},
        {"reasoning_content": None, "reasoning": "Hm"},
        {"reasoning_content": "", "reasoning": "Hm"},
    ],
)
def test_reasoning_is_taken_once_from_either_field(delta: dict[str, Any]) -> None:
    assert told(chunk(delta), chunk({"content": "Hi"})) == [("reasoning", "Hm"), ("answer", "Hi")]


def test_reasoning_and_answer_in_one_delta_keep_their_order() -> None:
    assert told(chunk({"content": "Hi", "reasoning_content": "Hm"})) == [("reasoning", "Hm"), ("answer", "Hi")]


@pytest.mark.parametrize(
    "delta", [{}, None, {"content": None}, {"role": "assistant"}, {"tool_calls": None}, {"tool_calls": []}]
)
def test_deltas_that_say_nothing(delta: Any) -> None:
    decoder = decode(chunk(delta), chunk({"content": "Hi"}), chunk(delta, finish="stop"), DONE)
    assert (decoder.answer, decoder.tokens, decoder.outcome) == ("Hi", 1, "stop")


@pytest.mark.parametrize(
    "value", [{}, {"choices": None}, {"choices": []}, {"type": "ping"}, {"choices": [{}]}, {"usage": []}]
)
def test_chunks_that_say_nothing(value: Any) -> None:
    assert decode(frame(value), *THINKING).answer == "Yes"


def test_only_the_first_choice_counts() -> None:
    stream = [
        frame({"choices": [{"index": 1, "delta": {"content": "no"}}, {"index": 0, "delta": {"content": "yes"}}]}),
        chunk({"content": "no"}, index=1, finish="length"),
        frame({"choices": [{"delta": {"content": "!"}, "finish_reason": "stop"}]}),
        DONE,
    ]
    decoder = decode(*stream)
    assert (decoder.answer, decoder.outcome) == ("yes!", "stop")


def test_the_identity_comes_from_the_first_chunk_that_tells_it() -> None:
    blank = {"id": "", "model": "", "created": 0, "choices": [], "prompt_filter_results": []}  # Azure AI
    named = {
        "id": "7",
        "model": "DeepSeek-V3.1",
        "created": 5,
        "system_fingerprint": "fp",
        "provider": "X",
        "choices": [],
    }
    decoder = decode(frame(blank), frame(named), frame({**named, "id": "8", "created": 6}))
    assert (decoder.id, decoder.model, decoder.created) == ("7", "DeepSeek-V3.1", 5)
    assert (decoder.fingerprint, decoder.provider) == ("fp", "X")


def test_an_identity_of_the_wrong_type_is_unknown() -> None:
    decoder = decode(frame({"id": 7, "model": ["m"], "created": "now", "choices": []}), frame({"created": 10**20}))
    assert (decoder.id, decoder.model, decoder.created) == (None, None, None)


def test_text_completions() -> None:
    stream = [
        frame({"choices": [{"index": 0, "text": "return", "finish_reason": None}]}),
        frame({"choices": [{"index": 0, "text": " a", "finish_reason": "stop"}]}),
        DONE,
    ]
    assert decode(*stream).answer == "return a"


def test_text_beside_a_delta_is_the_same_text() -> None:
    assert decode(frame({"choices": [{"index": 0, "text": "Hi", "delta": {"content": "Hi"}}]})).answer == "Hi"


def test_single_bytes_cost_no_more_in_long_lines_than_in_short() -> None:
    def cost(size: int) -> int:
        data = chunk({"content": "a" * size})
        decoder = StreamDecoder()
        lines = effort(lambda: [decoder.feed(data[at : at + 1]) for at in range(len(data))])
        assert decoder.answer == "a" * size
        return lines

    cost(1)
    assert cost(20_000) <= 8 * 1.1 * cost(2_500)


# ---- how it ends


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        *((reason, reason) for reason in ("stop", "length", "tool_calls", "content_filter", "aborted")),
        ("insufficient_system_resource", "insufficient_system_resource"),
        ("tool_call", "tool_calls"),
        ("function_call", "tool_calls"),
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("content-filter", "content_filter"),
        ("end_turn", "stop"),
        ("something_new", "something_new"),
    ],
)
def test_outcomes_are_in_deepseeks_spelling_and_the_raw_one_is_kept(reason: str, outcome: str) -> None:
    decoder = decode(chunk({"content": "Hi"}), chunk({}, finish=reason), DONE)
    assert (decoder.outcome, decoder.finish_reason) == (outcome, reason)


def test_a_stream_that_ends_before_done_is_truncated_where_done_is_promised() -> None:
    stream = THINKING[:-1]
    assert decode(*stream, dialect=DEEPSEEK).outcome == "truncated"
    assert decode(*stream, dialect=OPENAI_COMPATIBLE).outcome == "stop"


def test_a_stream_without_finish_reason_is_truncated_even_with_done() -> None:
    for dialect in (DEEPSEEK, OPENAI_COMPATIBLE):
        assert decode(chunk({"content": "Hi"}), DONE, dialect=dialect).outcome == "truncated"
        assert decode(chunk({"content": "Hi"}, finish=""), DONE, dialect=dialect).outcome == "truncated"
        assert decode(dialect=dialect).outcome == "truncated"


@pytest.mark.parametrize("rest", [b'data: {"choices": [], "usa', b"data: [DON", b"data: {", b"dat"])
def test_a_stream_that_ends_inside_a_frame_is_truncated(rest: bytes) -> None:
    decoder = decode(*THINKING[:-1], rest, dialect=OPENAI_COMPATIBLE)
    assert (decoder.outcome, decoder.answer) == ("truncated", "Yes")


def test_the_last_frame_may_lack_its_blank_line() -> None:
    assert decode(*THINKING[:-1], b"data: [DONE]").outcome == "stop"
    assert decode(*THINKING[:-2], THINKING[3].rstrip(), dialect=OPENAI_COMPATIBLE).outcome == "stop"


def test_a_stop_that_said_nothing_is_empty() -> None:
    nothing = chunk({"content": ""}, finish="stop")
    call = {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]}
    assert decode(nothing, DONE).outcome == "empty"
    assert decode(THINKING[1], nothing, DONE).outcome == "stop"
    assert decode(chunk(call), nothing, DONE).outcome == "stop"
    assert decode(chunk({"content": ""}, finish="length"), DONE).outcome == "length"


# ---- what breaks the format


@pytest.mark.parametrize(
    "error",
    [
        {"message": "Service is too busy", "type": "service_unavailable_error", "code": "service_unavailable_error"},
        "Service is too busy",
    ],
)
def test_an_error_inside_the_stream(error: Any) -> None:
    decoder = StreamDecoder()
    decoder.feed(THINKING[1])
    with pytest.raises(ServerFailed, match="Service is too busy") as caught:
        decoder.feed(THINKING[2] + frame({"error": error}))
    assert caught.value.status is None
    assert caught.value.type == (error["type"] if isinstance(error, dict) else None)
    assert (decoder.reasoning, decoder.answer, decoder.outcome) == ("Hm", "Yes", "truncated")
    assert decoder.feed(THINKING[2]) == []
    assert decoder.finish() == []


@pytest.mark.parametrize(
    "stream",
    [
        b'event: error\ndata: {"message": "Overloaded"}\n\n',
        b"event: error\ndata: Overloaded\n\n",
        frame({"object": "error", "message": "Overloaded", "code": 500}),
        frame(
            {
                "id": "1",
                "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}],
                "error": {"message": "Overloaded"},
            }
        ),
        b'data: {"error": {"message": "Overloaded"}}',
    ],
)
def test_other_shapes_of_an_error_inside_the_stream(stream: bytes) -> None:
    with pytest.raises(ServerFailed, match=r"Overloaded\. Try again"):
        decode(stream)


@pytest.mark.parametrize(
    "data", [b"{", b"nonsense", b'{"a": 1} {"b": 2}', b'{"a": "\xff"', b"[" * 100_000, b"1" * 5000 + b"x"]
)
def test_frames_that_are_not_json(data: bytes) -> None:
    decoder = StreamDecoder()
    with pytest.raises(MalformedReply, match="not JSON"):
        decoder.feed(THINKING[2] + b"data: " + data + b"\n\n")
    assert decoder.answer == "Yes"


WRONG = [
    ([], "a chunk should be an object, and is a list"),
    ("text", "a chunk should be an object, and is a text"),
    (None, "a chunk should be an object, and is null"),
    ({"choices": {"0": 1}}, "choices should be a list, and is an object"),
    ({"choices": [7]}, "a choice should be an object, and is a number"),
    ({"choices": [{"delta": "Hi"}]}, "a delta should be an object, and is a text"),
    ({"choices": [{"delta": {"content": ["Hi"]}}]}, "content should be a text, and is a list"),
    ({"choices": [{"delta": {"reasoning_content": 7}}]}, "reasoning_content should be a text, and is a number"),
    ({"choices": [{"delta": {}, "finish_reason": True}]}, "finish_reason should be a text, and is a boolean"),
    ({"choices": [{"text": 7.5}]}, "content should be a text, and is a number"),
    ({"choices": [{"delta": {"tool_calls": "f"}}]}, "tool_calls should be a list, and is a text"),
    ({"choices": [{"delta": {"tool_calls": ["f"]}}]}, "a tool call should be an object, and is a text"),
    ({"choices": [{"delta": {"tool_calls": [{"function": "f"}]}}]}, "function should be an object, and is a text"),
    ({"choices": [{"delta": {"tool_calls": [{"id": 7}]}}]}, "the id of a tool call should be a text"),
    ({"choices": [{"delta": {"tool_calls": [{"function": {"name": 7}}]}}]}, "the name of a tool call should be a text"),
    ({"choices": [{"delta": {"tool_calls": [{"function": {"arguments": 7}}]}}]}, "the arguments of a tool call should"),
]


@pytest.mark.parametrize(("value", "message"), WRONG)
def test_wrong_types_are_named(value: Any, message: str) -> None:
    decoder = StreamDecoder()
    with pytest.raises(MalformedReply, match=message):
        decoder.feed(THINKING[2] + frame(value))
    assert decoder.answer == "Yes"


@pytest.mark.parametrize(
    "page", [b"<html><h1>It works!</h1></html>", b"<html>\n<h1>It works!</h1>\n", b'{"status": "ok"}']
)
def test_an_answer_that_is_no_stream_at_all(page: bytes) -> None:
    with pytest.raises(MalformedReply, match=r"sent no stream of events, but: '[<{]"):
        decode(page)


@pytest.mark.parametrize(
    "around",
    [
        ('{"error": {"message": ', "}}"),
        ('{"choices": [{"delta": {"tool_calls": [{"function": {"arguments": {"x": ', "}}}]}}]}"),
        ('{"choices": [{"delta": {"content": "Hi"}, "logprobs": {"content": ', "}}]}"),
        ('{"usage": {"prompt_tokens_details": ', "}}"),
    ],
)
def test_deep_nesting_raises_nothing_but_our_errors(around: tuple[str, str]) -> None:
    limit = sys.getrecursionlimit()
    for depth in range(limit - 120, limit + 20):  # where reading may still succeed, and writing no more
        data = around[0] + "[" * depth + "]" * depth + around[1]
        with suppress(MalformedReply, ServerFailed):
            decode(f"data: {data}\n\n".encode())


def test_halves_of_a_character_are_joined_and_lone_ones_replaced() -> None:
    decoder = decode(*content("\ud83d", "\ude00", " \ud83d ", "是"))
    assert decoder.answer == "😀 \ufffd 是"
    assert told(*content("\ud83d")) == [("answer", "\ufffd")]
    arguments = decode(chunk({"tool_calls": [call(0, "a", "f", '"\ud83d')]})).tool_calls[0].arguments
    assert arguments == '"\ufffd'
    arguments.encode()


# ---- anything at all


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 2**32))
def test_arbitrary_bytes_raise_nothing_but_our_errors(data: bytes, seed: int) -> None:
    for dialect in (DEEPSEEK, OPENAI_COMPATIBLE):
        assert state([data], dialect) == state(cut(data, seed), dialect)


KEYS = """choices delta message content reasoning_content reasoning tool_calls index function name arguments id
finish_reason usage error text logprobs x_groq created model prompt_tokens"""
JSON = st.recursive(
    st.sampled_from([None, True, 0, 1, -1, 1.5, 10**30, "", "Hi", "<think>", "</think>", "stop", "{}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=4),
    max_leaves=12,
)
DELTA = st.fixed_dictionaries(
    {}, optional={"content": JSON, "reasoning": JSON, "tool_calls": st.lists(JSON, max_size=3)}
)
CHUNK = JSON | st.builds(lambda delta: {"choices": [{"index": 0, "delta": delta}]}, DELTA)


@settings(max_examples=200, deadline=None)
@given(st.lists(CHUNK, max_size=5), st.integers(0, 2**32))
def test_arbitrary_json_raises_nothing_but_our_errors_however_it_is_cut(values: list[Any], seed: int) -> None:
    data = b"".join(frame(value) for value in values)
    for dialect in (DEEPSEEK, OPENAI_COMPATIBLE):
        assert state([data], dialect) == state(cut(data, seed), dialect)


def state(pieces: list[bytes], dialect: Dialect) -> tuple[Any, ...]:
    """Decode and return all that can be seen of it."""
    decoder, error = StreamDecoder(dialect), None
    try:
        for piece in pieces:
            decoder.feed(piece)
        decoder.finish()
    except DsnbError as raised:
        error = (type(raised), str(raised))
    seen = (decoder.id, decoder.model, decoder.created, decoder.reasoning, decoder.answer, decoder.tool_calls)
    ended = (decoder.usage, decoder.finish_reason, decoder.done, decoder.tokens, decoder.keep_alives, decoder.outcome)
    return error, repr(decoder.logprobs), *seen, *ended
