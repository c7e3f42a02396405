import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsnb.client.body import decode_body
from dsnb.client.dialects import DEEPSEEK, OPENAI_COMPATIBLE
from dsnb.client.usage import Usage
from dsnb.errors import DsnbError, MalformedReply, ServerFailed
from tests.client import reading
from tests.recordings import Recording, recordings, requires_recordings

BODIES = [r for r in recordings() if r.status == 200 and r.chat and isinstance(r.body, dict)]


def reply(message: Any, finish: Any = "stop", **others: Any) -> bytes:
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "system_fingerprint": "fp"}
    return json.dumps(
        body | {"choices": [{"index": 0, "message": message, "finish_reason": finish}], **others}
    ).encode()


@requires_recordings
def test_there_are_recorded_replies() -> None:
    assert len(BODIES) > 100


@requires_recordings
@pytest.mark.parametrize("recording", BODIES, ids=lambda r: r.name)
def test_recorded_replies_are_read_as_their_json_says(recording: Recording) -> None:
    expected = reading.of_recording(recording)
    for dialect in [DEEPSEEK, OPENAI_COMPATIBLE] if recording.first_party else [OPENAI_COMPATIBLE]:
        assert reading.of_transcript(decode_body(recording.raw, dialect)) == expected
        assert reading.of_transcript(decode_body(b"\n\n\r\n" + recording.raw + b"\n", dialect)) == expected


@requires_recordings
def test_recorded_logprobs_are_kept_as_they_are() -> None:
    told = [r for r in BODIES if r.body["choices"][0].get("logprobs")]
    assert told
    for recording in told:
        assert decode_body(recording.raw).logprobs == recording.body["choices"][0]["logprobs"]


def test_a_reply_with_everything() -> None:
    calls = [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}]
    message = {"role": "assistant", "content": "", "reasoning_content": "Hm", "tool_calls": calls}
    transcript = decode_body(reply(message, "tool_calls", usage={"prompt_tokens": 5, "completion_tokens": 3}))
    assert (transcript.reasoning, transcript.answer, transcript.outcome) == ("Hm", "", "tool_calls")
    assert [(c.index, c.id, c.name, c.arguments) for c in transcript.tool_calls] == [(0, "a", "f", '{"x": 1}')]
    assert (transcript.id, transcript.model, transcript.created, transcript.fingerprint) == ("1", "m", 1, "fp")
    assert transcript.usage == Usage(5, 3, 8)
    assert (transcript.done, transcript.started) == (True, True)


@pytest.mark.parametrize("index", [{}, {"index": 0}, {"index": None}])
def test_every_call_of_a_message_is_a_call_of_its_own(index: dict[str, Any]) -> None:
    calls = [index | {"function": {"name": "f", "arguments": arguments}} for arguments in ('{"x": ', "", {"x": 1})]
    transcript = decode_body(reply({"content": None, "tool_calls": calls}, "length"))
    assert [(c.index, c.arguments) for c in transcript.tool_calls] == [(0, '{"x": '), (1, ""), (2, '{"x": 1}')]


def test_think_tags_in_a_body() -> None:
    transcript = decode_body(reply({"content": "<think>Hm</think>Yes"}), OPENAI_COMPATIBLE)
    assert (transcript.reasoning, transcript.answer) == ("Hm", "Yes")
    transcript = decode_body(reply({"content": "Hm</think>Yes <"}), OPENAI_COMPATIBLE)
    assert (transcript.reasoning, transcript.answer) == ("Hm", "Yes <")
    assert decode_body(reply({"content": "<think>Hm</think>Yes"}), DEEPSEEK).answer == "<think>Hm</think>Yes"


def test_text_completions() -> None:
    body = {"object": "text_completion", "choices": [{"index": 0, "text": "return a", "finish_reason": "stop"}]}
    transcript = decode_body(json.dumps(body).encode())
    assert (transcript.answer, transcript.outcome) == ("return a", "stop")


def test_replies_that_say_nothing_or_do_not_say_how_they_ended() -> None:
    assert decode_body(reply({"content": ""})).outcome == "empty"
    assert decode_body(reply({"content": "Hi"}, None)).outcome == "truncated"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b'{"choices": [', "is not JSON"),
        (b"<html>It works!</html>", "is not JSON.*It works!"),
        (b"[" * 100_000, "is not JSON"),
        (b"{}", "has no choices"),
        (b'{"object": "list", "data": []}', "has no choices"),
        (b"[]", "a chunk should be an object, and is a list"),
        (reply("Hi"), "a delta should be an object, and is a text"),
        (reply({"content": 7}), "content should be a text, and is a number"),
    ],
)
def test_what_is_no_reply(data: bytes, message: str) -> None:
    with pytest.raises(MalformedReply, match=message):
        decode_body(data)


def test_an_error_with_a_good_status() -> None:
    with pytest.raises(ServerFailed, match="Provider returned error") as caught:
        decode_body(b'{"error": {"message": "Provider returned error", "code": 502}}')
    assert caught.value.code == 502


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_arbitrary_bytes_raise_nothing_but_our_errors(data: bytes) -> None:
    with pytest.raises(DsnbError):
        decode_body(data)
