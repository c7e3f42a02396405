"""The bytes of replies, compared with what was recorded from the API."""

import json
import re

import pytest

from dsnb.contract import at
from dsnb.emulator import Answer, Emulator, ToolCall
from tests.emulator.talking import body, chunks, post, said

AS_OF = "2026-06-08T12:00:00Z"
CREATED = 1780920000


def raw(answer, as_of=AS_OF, model="deepseek-chat", **fields):
    """Return the body of a reply with its id masked."""
    request = {"model": model, "messages": [{"role": "user", "content": "Hi"}], **fields}
    with Emulator(as_of, engine=lambda _: answer) as emulator:
        found = post(emulator, request)
    assert found.status_code == 200, found.text
    return re.sub(
        r'"id":"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"', '"id":"ID"', found.text
    )


FINGERPRINT = at(AS_OF).model("deepseek-chat").fingerprint


def test_a_plain_reply_without_thinking():
    assert raw(Answer("Hé, 你好!")) == (
        f'{{"id":"ID","object":"chat.completion","created":{CREATED},"model":"deepseek-v4-flash",'
        '"choices":[{"index":0,"message":{"role":"assistant","content":"Hé, 你好!"},"logprobs":null,'
        '"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":6,"total_tokens":11,'
        '"prompt_tokens_details":{"cached_tokens":0},"prompt_cache_hit_tokens":0,"prompt_cache_miss_tokens":5},'
        f'"system_fingerprint":"{FINGERPRINT}"}}'
    )


def test_a_plain_reply_with_thinking_and_calls():
    reply = raw(
        Answer("", "We", (ToolCall("f", "{}", "call_00_x"),)),
        model="deepseek-reasoner",
        tools=[{"type": "function", "function": {"name": "f"}}],
    )
    assert (
        '"message":{"role":"assistant","content":"","reasoning_content":"We","tool_calls":[{"index":0,"id":"call_00_x",'
        '"type":"function","function":{"name":"f","arguments":"{}"}}]},"logprobs":null,"finish_reason":"tool_calls"}'
    ) in reply
    assert (
        '"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":1},"prompt_cache'
        in reply
    )


def test_a_stream_without_thinking():
    head = (
        f'data: {{"id":"ID","object":"chat.completion.chunk","created":{CREATED},"model":"deepseek-v4-flash",'
        f'"system_fingerprint":"{FINGERPRINT}","choices":[{{"index":0,"delta":'
    )
    assert raw(Answer("Hello!"), stream=True) == (
        f'{head}{{"role":"assistant","content":""}},"logprobs":null,"finish_reason":null}}]}}\n\n'
        f'{head}{{"content":"Hello"}},"logprobs":null,"finish_reason":null}}]}}\n\n'
        f'{head}{{"content":"!"}},"logprobs":null,"finish_reason":null}}]}}\n\n'
        f'{head}{{"content":""}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":5,'
        '"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0},'
        '"prompt_cache_hit_tokens":0,"prompt_cache_miss_tokens":5}}\n\n'
        "data: [DONE]\n\n"
    )


def test_a_stream_with_thinking_calls_and_usage_asked_for():
    answer = Answer("Now", "We", (ToolCall("f", '{"a": "b"}', "call_00_x"), ToolCall("g", "{}", "call_01_y")))
    fields = {
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}],
    }
    stream = raw(answer, model="deepseek-reasoner", **fields)
    deltas = re.findall(
        r'"delta":(.*?),"logprobs":null,"finish_reason":(null|"tool_calls")}\],"usage":(null|\{.*\})}\n\n', stream
    )
    assert [delta for delta, _, _ in deltas] == [
        '{"role":"assistant","content":null,"reasoning_content":""}',
        '{"content":null,"reasoning_content":"We"}',
        '{"content":"Now","reasoning_content":null}',
        '{"tool_calls":[{"index":0,"id":"call_00_x","type":"function","function":{"name":"f","arguments":""}}]}',
        *(
            f'{{"tool_calls":[{{"index":0,"function":{{"arguments":{json.dumps(piece)}}}}}]}}'
            for piece in ("{", '"', "a", '"', ": ", '"', "b", '"', "}")
        ),
        '{"tool_calls":[{"index":1,"id":"call_01_y","type":"function","function":{"name":"g","arguments":""}}]}',
        '{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]}',
        '{"content":"","reasoning_content":null}',
    ]
    assert [usage == "null" for _, _, usage in deltas] == [True] * (len(deltas) - 1) + [False]


@pytest.mark.parametrize(
    ("as_of", "shape"),
    [
        (
            "2025-01-25",
            [
                "prompt_tokens",
                "completion_tokens",
                "total_tokens",
                "prompt_cache_hit_tokens",
                "prompt_cache_miss_tokens",
            ],
        ),
        (
            "2025-04-01",
            [
                "prompt_tokens",
                "completion_tokens",
                "total_tokens",
                "prompt_tokens_details",
                "prompt_cache_hit_tokens",
                "prompt_cache_miss_tokens",
            ],
        ),
    ],
)
def test_usage_by_date(as_of, shape):
    assert list(json.loads(raw(Answer("x"), as_of))["usage"]) == shape


@pytest.mark.parametrize(
    ("as_of", "model", "pattern"),
    [
        ("2025-07-01", "deepseek-chat", r"call_1_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        ("2025-10-01", "deepseek-chat", r"call_01_[0-9A-Za-z]{24}"),
        ("2026-11-16", "deepseek-flash", r"call_01_[0-9A-Za-z]{24}"),
    ],
)
def test_ids_of_calls_by_date(as_of, model, pattern):
    reply = json.loads(
        raw(
            Answer("", None, (ToolCall("f", "{}"), ToolCall("f", "{}"))),
            as_of,
            model,
            tools=[{"type": "function", "function": {"name": "f"}}],
        )
    )
    assert re.fullmatch(pattern, reply["choices"][0]["message"]["tool_calls"][1]["id"])


def test_arguments_are_raw_json_before_v3_2():
    answer = Answer("", None, (ToolCall("f", '{"city":"Paris"}'),))
    fields = {"stream": True, "tools": [{"type": "function", "function": {"name": "f"}}]}
    pieces = re.findall(r'"function":\{"arguments":("(?:[^"\\]|\\.)*")', raw(answer, "2025-09-10", **fields))
    assert [json.loads(piece) for piece in pieces] == ['{"', "city", '":"', "Paris", '"}']


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("alternatives", [None, 0, 3, 20])
def test_logprobs(stream, alternatives):
    fields = {"logprobs": True, "stream": stream} | ({} if alternatives is None else {"top_logprobs": alternatives})
    request = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "Hi"}], **fields}
    with Emulator(engine=lambda _: Answer("cobalt ☃", "We think")) as emulator:
        reply = post(emulator, request)
    if stream:
        found = [chunk["choices"][0] for chunk in chunks(reply)]
        assert all(choice["logprobs"] is None for choice in (found[0], found[-1]))
        channels = {
            name: [entry for choice in found for entry in (choice["logprobs"] or {}).get(name, [])]
            for name in ("content", "reasoning_content")
        }
        assert all(len(entries) == 1 for choice in found[1:-1] for entries in choice["logprobs"].values())
    else:
        channels = reply.json()["choices"][0]["logprobs"]
    assert "".join(entry["token"] for entry in channels["content"]) == "cobalt ☃"
    assert "".join(entry["token"] for entry in channels["reasoning_content"]) == "We think"
    for entry in (*channels["content"], *channels["reasoning_content"]):
        assert list(entry) == ["token", "logprob", "bytes", "top_logprobs"]
        assert bytes(entry["bytes"]).decode() == entry["token"]
        assert entry["logprob"] <= 0
        top = entry["top_logprobs"]
        assert len(top) == (alternatives or 0)
        if top:
            assert top[0] == {key: entry[key] for key in ("token", "logprob", "bytes")}
            assert [one["logprob"] for one in top] == sorted((one["logprob"] for one in top), reverse=True)
            assert len({one["token"] for one in top}) == len(top)


def test_any_text_survives_the_wire():
    text = 'quote " backslash \\ tab \t nul \x00 delete \x7f line \u2028 emoji 🎉 </think> <｜User｜> data: [DONE]\n\n'
    with Emulator(engine="echo") as emulator:
        plain = post(emulator, body(text)).json()["choices"][0]["message"]["content"]
        lines = post(emulator, body(text, stream=True)).content.split(b"\n\n")
    assert plain == text
    stream = [json.loads(line.removeprefix(b"data: ")) for line in lines if line.startswith(b"data: {")]
    assert said(stream) == text


def test_a_lone_surrogate_from_an_engine_does_not_break_the_reply():
    with Emulator(engine=lambda _: Answer("a\ud800b")) as emulator:
        assert post(emulator).json()["choices"][0]["message"]["content"] == "a\N{REPLACEMENT CHARACTER}b"
