"""What breaks behind the emulator comes out as one of the API's own errors or endings, and never as a hang."""

import asyncio
import json
import logging

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsnb.contract import at
from dsnb.contract.settings import settings as read
from dsnb.emulator import Emulator, relay
from dsnb.emulator.engines import EngineRequest
from dsnb.emulator.engines.live import Counts, Ending, EngineFailure, Piece
from dsnb.emulator.engines.upstream import _Reading
from tests.emulator.engines.upstreams import behind, streaming
from tests.emulator.talking import body, connect, everything, post, said, until
from tests.patience import PATIENCE
from tests.servers import DONE, HEAD, JSON_HEAD, ScriptedServer, chunk, delta


@pytest.fixture(scope="module")
def server():
    with Emulator() as emulator:
        yield emulator


def status(number, text=b"{}", kind=b"application/json"):
    head = b"HTTP/1.1 %d X\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n" % (number, kind, len(text))
    return lambda connection: connection.send(head, text)


def cut(*parts):
    def script(connection):
        connection.send(HEAD, *map(chunk, parts))
        connection.reset()

    return script


VLLM = (
    b'{"object":"error","message":"This model\'s maximum context length is 4096 tokens. However, you requested 5000 '
    b'tokens (4900 in the messages, 100 in the completion). Please reduce","code":400}'
)
LLAMA = b'{"error":{"code":400,"type":"exceed_context_size_error","n_prompt_tokens":9031,"n_ctx":8192}}'


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("script", "expected", "reason"),
    [
        (status(500, b'{"error":{"message":"out of memory"}}'), 500, "out of memory"),
        (status(429), 503, "429"),
        (status(503, b"<html>", b"text/html"), 503, "<html>"),
        (status(401), 500, "401"),
        (status(404, "nö\r\nset-cookie: x\0".encode()), 500, "404: n? set-cookie: x?"),
        (status(400, b'{"error":"no such parameter"}'), 500, "no such parameter"),
        (status(400, VLLM), 400, "4096"),
        (status(400, LLAMA), 400, "8192"),
        (status(302), 500, "302"),
        (status(200, b"<html>welcome</html>", b"text/html"), 500, "text/html"),
        (status(200, b"{}"), 500, "application/json"),
        (cut(), 500, "broke"),
        (lambda connection: connection.reset(), 500, "broke"),
        (lambda connection: connection.send(b"SSH-2.0\r\n\r\n"), 500, "broke"),
        (lambda connection: connection.send(JSON_HEAD, b"zz"), 500, ""),
        (streaming(b"data: {nonsense\n\n"), 500, "no JSON"),
        (streaming(b"data: " + b"[" * 100_000 + b"\n\n"), 500, "no JSON"),
        (streaming(b'data: {"error":{"message":"it broke","code":500}}\n\n'), 500, "it broke"),
        (streaming(), 500, "ended before"),
        (streaming(delta(role="assistant")), 500, "ended before"),
    ],
    ids=map(str, range(20)),
)
def test_a_failure_before_the_first_piece_is_an_error_of_the_api(script, expected, reason, stream, caplog):
    with ScriptedServer(script) as server, behind(server) as front:
        response = post(front, body(stream=stream))
        assert response.status_code == expected
        assert reason in response.headers["x-dsnb-reason"]
        assert response.json()["error"]["type"] in (
            "internal_server_error",
            "service_unavailable_error",
            "invalid_request_error",
        )
        if expected == 400:
            assert "maximum context length is " in response.json()["error"]["message"]
        row = front.ledger()[0]
        assert (row.status, row.outcome, row.billed) == (expected, "rejected", False)
    assert "engine upstream failed" in caplog.text


def test_a_server_that_is_not_there_is_a_busy_one(caplog):
    with ScriptedServer(streaming(DONE)) as server:
        url = server.base_url
    with Emulator(engine=f"{url}/v1") as front:
        response = post(front)
        assert response.status_code == 503
        assert f"nothing answers at {url}/v1" in response.headers["x-dsnb-reason"]
    assert "nothing answers" in caplog.text


def test_a_server_without_models_is_told(caplog):
    with ScriptedServer(status(200, b'{"data":[]}')) as server, Emulator(engine=server.base_url) as front:
        response = post(front)
        assert response.status_code == 500
        assert "lists no model" in response.headers["x-dsnb-reason"]
    assert caplog.records[0].levelno == logging.WARNING


@pytest.mark.parametrize(
    "script",
    [
        cut(delta("one"), delta("two")),
        streaming(delta("one"), delta("two")),
        streaming(delta("one"), delta("two"), b"data: {nonsense\n\n"),
        streaming(delta("one"), delta("two"), b'data: {"error":"broke"}\n\n'),
        streaming(delta("one"), delta("two"), delta(finish="abort"), DONE),
    ],
    ids=map(str, range(5)),
)
def test_a_failure_after_the_first_piece_ends_the_reply_in_the_apis_words(script):
    with ScriptedServer(script) as server, behind(server) as front:
        sock = connect(front, body(stream=True))
        text = until(sock, b"[DONE]").decode()
        sock.close()
        rows = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
        assert said(rows) == "onetwo"
        assert rows[-1]["choices"][0]["finish_reason"] == "insufficient_system_resource"
        assert rows[-1]["usage"]["completion_tokens"] == 2
        row = front.ledger()[0]
        assert (row.status, row.outcome, row.completion_tokens, row.billed) == (
            200,
            "insufficient_system_resource",
            2,
            True,
        )


def test_a_server_that_says_nothing_is_given_up(monkeypatch, caplog):
    monkeypatch.setattr(relay, "_KEEP_ALIVE_SECONDS", 0.001)
    monkeypatch.setattr(relay, "_LONGEST_SECONDS", 0.001)
    with ScriptedServer(lambda connection: connection.hold()) as server, behind(server) as front:
        response = post(front)
        assert response.status_code == 503
        assert "nothing came from the model" in response.headers["x-dsnb-reason"]
    assert "nothing came" in caplog.text


def test_a_server_that_says_nothing_more_is_given_up_too(monkeypatch):
    monkeypatch.setattr(relay, "_KEEP_ALIVE_SECONDS", 0.01)

    def silent(connection):
        connection.send(HEAD, chunk(delta("one")))
        connection.hold()

    with ScriptedServer(silent) as server, behind(server) as front:
        sock = connect(front, body(stream=True))
        until(sock, b'"content":"one"')
        monkeypatch.setattr(relay, "_LONGEST_SECONDS", 0.02)
        assert b'"finish_reason":"insufficient_system_resource"' in until(sock, b"[DONE]")
        assert server.closed_by_client.wait(PATIENCE)
        sock.close()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", ["cut@3", "eof@3", "malformed@3", "reset@3", "cut", "cut@1000", "cut@0"])
def test_faults_strike_live_replies_too(server, fault, stream):
    with Emulator(engine=server.base_url, faults=[fault]) as front:
        sock = connect(front, body(stream=stream))
        if fault.startswith(("eof", "malformed")):
            until(sock, b"0\r\n\r\n")
        else:
            received, _ = everything(sock)
            assert b"[DONE]" not in received
        sock.close()
        row = front.ledger()[0]
        assert row.outcome == fault.partition("@")[0]
        if fault.endswith("@3"):
            assert row.completion_tokens == 3
        if fault == "cut@0":
            assert row.completion_tokens == 0
        assert post(front).status_code == 200


def test_other_faults_are_as_ever(server):
    with Emulator(engine=server.base_url, faults=["empty", "queue@30", "queue@900", 429, "refuse"]) as front:
        assert post(front).json()["choices"][0]["message"]["content"] == ""
        assert post(front, body(stream=True)).text.startswith(": keep-alive\n\n: keep-alive\n\n: keep-alive\n\ndata: ")
        with pytest.raises(httpx.RemoteProtocolError):
            post(front)
        assert post(front).status_code == 429
        with pytest.raises(httpx.ReadError):
            post(front)
        assert [row.outcome for row in front.ledger()] == ["stop", "stop", "queue", "rejected", "refuse"]


NAMES = [
    *("choices", "delta", "content", "reasoning", "tool_calls", "function", "name", "arguments", "index", "usage"),
    *("prompt_tokens", "completion_tokens", "finish_reason", "logprobs", "token", "logprob", "top_logprobs", "text"),
    *("timings", "cache_n"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150)
@given(st.lists(JSON.map(json.dumps) | st.text(max_size=8), max_size=6), st.booleans())
@pytest.mark.slow
def test_a_hostile_server_gets_nothing_through_but_texts_and_counts(frames, thinking):
    async def sent():
        for frame in frames:
            yield frame.encode("utf-8", "replace")

    contract = at("2026-11-16")
    model = contract.model("deepseek-flash")
    asked = body(logprobs=True, top_logprobs=2, thinking={"type": "enabled" if thinking else "disabled"})
    request = EngineRequest(asked, contract, model, read(asked, model), 5)

    async def told():
        return [item async for item in _Reading(request).read(sent())]

    try:
        items = asyncio.run(told())
    except EngineFailure:
        return
    assert isinstance(items[-1], Ending)
    opened = 0
    for item in items[:-1]:
        if isinstance(item, Counts):
            assert all(
                count is None or (type(count) is int and count >= 0)
                for count in (item.prompt, item.cached, item.completion, item.reasoning)
            )
            continue
        assert isinstance(item, Piece)
        assert isinstance(item.text, str)
        if item.logprobs:
            for entry in json.loads(f"[{item.logprobs}]", parse_constant=lambda name: pytest.fail(name)):
                assert list(entry) == ["token", "logprob", "bytes", "top_logprobs"]
        if item.kind == "call":
            assert item.call == opened
            opened += 1
        elif item.kind == "arguments":
            assert item.call < opened
