import pytest

from dsnb.client.request import build
from dsnb.errors import RequestError


def test_a_text_becomes_one_user_message_and_what_is_not_said_is_not_sent():
    request = build("hello", model="m")
    assert request.path == "/chat/completions"
    assert request.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_every_keyword_reaches_its_place():
    body = build(
        [{"role": "user", "content": "x"}],
        model="m",
        thinking=False,
        effort="max",
        tools=[{"type": "function"}],
        tool_choice="auto",
        json=True,
        stop=("a", "b"),
        max_tokens=5,
        user_id="u",
        temperature=0.0,
        top_p=1.0,
        stream=False,
        frequency_penalty=0.5,
    ).body
    assert body["thinking"] == {"type": "disabled"}
    assert body["reasoning_effort"] == "max"
    assert body["response_format"] == {"type": "json_object"}
    assert body["stop"] == ["a", "b"]
    assert body["temperature"] == 0.0
    assert body["stream"] is False
    assert "stream_options" not in body
    assert body["frequency_penalty"] == 0.5
    assert body["tools"] == [{"type": "function"}]


def test_the_callers_messages_are_not_shared():
    messages = [{"role": "user", "content": "x"}]
    build(messages, model="m").body["messages"][0]["content"] = "changed"
    assert messages == [{"role": "user", "content": "x"}]


@pytest.mark.parametrize("prompt", [None, 3, b"bytes", {"role": "user", "content": "x"}, {"a"}])
def test_what_is_no_prompt_is_told(prompt):
    with pytest.raises(RequestError, match="A prompt is a text or a list of messages"):
        build(prompt, model="m")


def test_what_is_no_message_is_told_with_its_place():
    with pytest.raises(RequestError, match=r"messages\[1\] is str"):
        build([{"role": "user", "content": "x"}, "y"], model="m")
