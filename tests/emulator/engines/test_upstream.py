"""A server behind the emulator: another emulator, which can answer in all ways, or bytes as no good server sends them.

The emulator in front must add nothing and lose nothing: pieces, counts and ends are the server's, and all the rest is
the contract's.
"""

import json
import threading
from dataclasses import replace

import pytest

from dsnb.emulator import Answer, Emulator, ToolCall, relay
from dsnb.emulator.engines.live import Counts, Ending, Piece
from dsnb.emulator.engines.script import ScriptEngine
from dsnb.emulator.engines.upstream import UpstreamEngine
from dsnb.errors import EmulatorError
from tests.emulator.engines.upstreams import behind, streaming
from tests.emulator.talking import CLIENT, KEY, body, chunks, complete, connect, everything, fim, post, said, until
from tests.patience import PATIENCE
from tests.servers import DONE, END, HEAD, KEEP_ALIVE, ScriptedServer, chunk, delta

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
THINKING = {"thinking": {"type": "enabled"}}


@pytest.fixture(scope="module")
def server():
    def unaware(request):
        """Answer without a word about the parameters that only come with a request passed on."""
        return ScriptEngine().answer(replace(request, ignored=()))

    with Emulator(engine=unaware) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def front(server):
    with Emulator(engine=server.base_url) as emulator:
        yield emulator


def comparable(response):
    """Return a reply without what tells one reply from the next."""
    rows = chunks(response) if "event-stream" in response.headers["content-type"] else [response.json()]
    return [{**row, "id": "", "created": 0} for row in rows]


# --- What a good server says -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "asked",
    [
        body("Hello there"),
        body("Prove that sqrt(2) is irrational.", **THINKING, max_tokens=90),
        body("Prove it", **THINKING, max_tokens=7),
        body("Hello 你好 🙂", stop=["emulator"]),
        body("Call get_weather for Paris", tools=[TOOL]),
        body("Call get_weather for Oslo", tools=[TOOL], **THINKING),
        body("Weather", tools=[TOOL], tool_choice={"type": "function", "function": {"name": "get_weather"}}),
        body("Say it as json", response_format={"type": "json_object"}),
        body("Hello", logprobs=True, top_logprobs=3, max_tokens=5),
        body("Hello", logprobs=True, **THINKING, max_tokens=5),
        body("Hello", stream_options={"include_usage": True}),
    ],
    ids=lambda asked: asked["messages"][0]["content"] + "".join(sorted(asked.keys() - body().keys())),
)
def test_everything_passes_through_unchanged(server, front, asked, stream):
    if not stream:
        asked.pop("stream_options", None)
    asked["stream"] = stream
    there = comparable(post(server, asked))
    here = comparable(post(front, asked))
    # The second time the server has the prompt in its cache; and says so, through the one in front.
    for row in (*there, *here):
        if row.get("usage"):
            hits = row["usage"].pop("prompt_cache_hit_tokens"), row["usage"].pop("prompt_cache_miss_tokens")
            assert sum(hits) == row["usage"]["prompt_tokens"]
            row["usage"].pop("prompt_tokens_details")
    assert here == there


def test_a_gap_is_filled_too(server, front):
    asked = fim(max_tokens=12)
    here, there = (complete(emulator, asked) for emulator in (front, server))
    # The server has no gap to fill on its plain route, so the one on /beta is named.
    assert here.status_code == 500
    with Emulator(engine=f"{server.base_url}/beta#deepseek-flash") as beta:
        here = complete(beta, asked)
        assert comparable(here) == comparable(there)
        assert comparable(complete(beta, {**asked, "stream": True})) == comparable(
            complete(server, {**asked, "stream": True})
        )
        assert comparable(complete(beta, {**asked, "logprobs": 2}))[0]["choices"][0]["logprobs"] is None


def test_hits_and_counts_are_the_servers(server):
    with Emulator(engine=server.base_url) as front:
        asked = body("A long beginning. " * 100)
        first, second = post(front, asked).json()["usage"], post(front, asked).json()["usage"]
        assert first["prompt_cache_hit_tokens"] == 0
        assert second["prompt_cache_hit_tokens"] == second["prompt_tokens_details"]["cached_tokens"] >= 384
        assert [row.cache_hit_tokens for row in front.ledger()] == [0, second["prompt_cache_hit_tokens"]]
        row = front.ledger()[1]
        assert (row.prompt_tokens, row.completion_tokens) == (second["prompt_tokens"], second["completion_tokens"])
        assert row.billed
        price = front.contract.price(front.contract.model("deepseek-flash")).usd
        hit, miss = row.cache_hit_tokens, row.prompt_tokens - row.cache_hit_tokens
        assert row.cost.usd == (hit * price.hit + miss * price.miss + row.completion_tokens * price.output) / 10**6


def test_every_reply_names_the_engine(front, server):
    assert post(front).headers["x-dsnb-engine"] == "upstream"
    assert post(front, {"model": "nobody"}).headers["x-dsnb-engine"] == "upstream"
    assert "x-dsnb-engine" not in post(server).headers


def test_the_contract_is_asked_before_the_server():
    with ScriptedServer(streaming(DONE)) as server, behind(server) as front:
        assert post(front, body(temperature=9)).status_code in (400, 422)
        assert post(front, {**body(), "model": "nobody"}).status_code == 400
        front.faults = [503]
        assert post(front).status_code == 503
        assert server.requests == []


def test_what_the_server_is_asked():
    with ScriptedServer(streaming(delta("x"), delta(finish="stop"), DONE)) as server, behind(server, seed=7) as front:

        def sent(asked, path="/chat/completions"):
            assert post(front, asked, path=path).status_code == 200
            return json.loads(server.requests[-1])

        plain = sent(body("Hi", temperature=0.5, top_p=0.9, presence_penalty=1, user_id="me", max_tokens=9))
        assert (plain["model"], plain["stream"], plain["seed"], plain["max_tokens"]) == ("any", True, 7, 9)
        assert plain["messages"] == [{"role": "user", "content": "Hi"}]
        assert plain["temperature"] == 0.5
        # which this model does not heed, or which have no counterpart
        assert not {"top_p", "presence_penalty", "user_id", "stop", "tools", "logprobs"} & plain.keys()
        assert plain["chat_template_kwargs"]["enable_thinking"] is False
        thinking = sent(body("Hi", **THINKING, temperature=0.5, stop=["a", "b"]))
        assert thinking["temperature"] == 0
        assert thinking["stop"] == ["a", "b"]
        assert "max_tokens" not in thinking
        assert thinking["chat_template_kwargs"]["enable_thinking"] is True
        begun = {"role": "assistant", "content": "Well,", "prefix": True}
        prefix = sent({**body(), "messages": [*body()["messages"], begun]}, "/beta/chat/completions")
        assert prefix["messages"][-1] == {"role": "assistant", "content": "Well,"}
        assert prefix["continue_final_message"] is True
        none = sent(body("Hi", tools=[TOOL], tool_choice="none"))
        assert not {"tools", "tool_choice"} & none.keys()


def test_the_model_is_the_first_listed_or_the_one_named(server):
    with Emulator(engine=server.base_url) as front, Emulator(engine=f"{server.base_url}#deepseek-v4-pro") as named:
        before = len(server.requests())
        assert post(front).json()["model"] == "deepseek-flash"
        assert post(named).json()["model"] == "deepseek-flash"  # the name that the client asked for
        first = CLIENT.get(f"{server.base_url}/models", headers=KEY).json()["data"][0]["id"]
        assert [request["model"] for request in server.requests()[before:]] == [first, "deepseek-v4-pro"]


def test_the_servers_key_is_not_the_clients(monkeypatch):
    with Emulator(keys=["sk-behind"]) as server:
        with Emulator(engine=UpstreamEngine(server.base_url, key="sk-behind")) as front:
            assert post(front).status_code == 200
        with Emulator(engine=server.base_url) as front:
            refused = post(front, headers={"authorization": "Bearer sk-behind"})
            assert refused.status_code == 500
            assert "401" in refused.headers["x-dsnb-reason"]
        monkeypatch.setenv("DSNB_ENGINE_KEY", "sk-behind")
        with Emulator(engine=server.base_url) as front:
            assert post(front).status_code == 200
            assert "sk-behind" not in repr(front._backend.engine)


@pytest.mark.parametrize(
    ("deltas", "thinking", "reasoning", "content"),
    [
        ([{"reasoning_content": "so"}, {"content": "yes"}], True, "so", "yes"),
        ([{"reasoning": "so"}, {"content": "yes"}], True, "so", "yes"),
        ([{"content": "<thi"}, {"content": "nk>so</think>"}, {"content": "\n\nyes"}], True, "so", "yes"),
        ([{"content": "yes"}], True, "", "yes"),
        ([{"reasoning": "so"}, {"content": "yes"}], False, None, "yes"),
        ([{"content": "<think>so</think>yes"}], False, None, "yes"),
        ([], True, "", ""),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_reasoning_comes_in_all_spellings_and_only_where_it_was_asked_for(deltas, thinking, reasoning, content, stream):
    parts = [*(delta(**one) for one in deltas), delta(finish="stop"), DONE]
    asked = body(thinking={"type": "enabled" if thinking else "disabled"}, stream=stream)
    with ScriptedServer(streaming(*parts)) as server, behind(server) as front:
        response = post(front, asked)
    if not stream:
        message = response.json()["choices"][0]["message"]
        assert (message.get("reasoning_content"), message["content"]) == (reasoning, content)
        counted = response.json()["usage"]
    else:
        rows = chunks(response)
        assert rows[0]["choices"][0]["delta"] == (
            {"role": "assistant", "content": None, "reasoning_content": ""}
            if thinking
            else {"role": "assistant", "content": ""}
        )
        assert (said(rows, "reasoning_content"), said(rows)) == (reasoning or "", content)
        assert response.text.endswith("data: [DONE]\n\n")
        counted = rows[-1]["usage"]
    thought = counted.get("completion_tokens_details", {}).get("reasoning_tokens")
    assert thought == ((1 if reasoning else 0) if thinking else None)


def test_calls_without_numbers_or_ids_and_finish_reasons_of_others():
    whole = [{"function": {"name": "a", "arguments": '{"x":1}'}}, {"function": {"name": "b", "arguments": "{}"}}]
    parts = [delta(tool_calls=[call]) for call in whole]
    parts.append(delta(finish="stop"))
    with ScriptedServer(streaming(*parts, DONE)) as server, behind(server) as front:
        choice = post(front, body(tools=[TOOL])).json()["choices"][0]
        assert [call["function"]["arguments"] for call in choice["message"]["tool_calls"]] == ['{"x":1}', "{}"]
        assert [call["index"] for call in choice["message"]["tool_calls"]] == [0, 1]
        assert len({call["id"] for call in choice["message"]["tool_calls"]}) == 2
        assert choice["finish_reason"] == "tool_calls"
        # nobody offered it any
        choice = post(front, body()).json()["choices"][0]
        assert choice["message"] == {"role": "assistant", "content": ""}
        assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, (None, 0, 2)),
        ({"prompt_tokens": 40, "completion_tokens": 9}, (40, 0, 9)),
        ({"prompt_tokens": 40, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 30}}, (40, 30, 9)),
        ({"prompt_tokens": 40, "completion_tokens": 9, "prompt_cache_hit_tokens": 8}, (40, 8, 9)),
        ({"prompt_tokens": 40, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 50}}, (40, 40, 9)),
        ({"prompt_tokens": -1, "completion_tokens": "9", "prompt_tokens_details": [1]}, (None, 0, 2)),
        ({"prompt_tokens": True, "completion_tokens": 10**30}, (None, 0, 2)),
    ],
)
def test_what_a_server_does_not_count_is_counted_here(usage, expected, caplog):
    parts = [delta("a"), delta("b"), delta(finish="stop")]
    if usage:
        parts.append(b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n")
    with ScriptedServer(streaming(*parts, DONE)) as server, behind(server) as front, Emulator() as alone:
        found = post(front).json()["usage"]
        post(front)
        unreported = usage is not None and not expected[1]
        assert caplog.text.count("does not report cached prompt tokens") == unreported
        prompt = expected[0] or post(alone).json()["usage"]["prompt_tokens"]
    assert (found["prompt_tokens"], found["prompt_cache_hit_tokens"], found["completion_tokens"]) == (
        prompt,
        *expected[1:],
    )
    assert found["total_tokens"] == found["prompt_tokens"] + found["completion_tokens"]


def test_a_server_that_overlooks_max_tokens_is_stopped():
    def endless(connection):
        connection.send(HEAD)
        while connection.wait(0):
            connection.send(chunk(delta("more ")))

    with ScriptedServer(endless) as server, behind(server) as front:
        choice = post(front, body(max_tokens=5)).json()["choices"][0]
        assert choice["message"]["content"] == "more " * 5
        assert choice["finish_reason"] == "length"
        assert server.closed_by_client.wait(PATIENCE)


# --- While it comes --------------------------------------------------------------------------------------------------


def test_a_piece_goes_on_before_the_next_is_made():
    read = [threading.Event(), threading.Event()]

    def slow(connection):
        connection.send(HEAD, chunk(delta("one")))
        assert read[0].wait(PATIENCE)
        connection.send(chunk(delta("two")))
        assert read[1].wait(PATIENCE)
        connection.send(chunk(delta(finish="stop")), chunk(DONE), END)

    with ScriptedServer(slow) as server, behind(server) as front:
        sock = connect(front, body(stream=True))
        assert b"two" not in until(sock, b'"content":"one"')
        read[0].set()
        assert b"DONE" not in until(sock, b'"content":"two"')
        read[1].set()
        until(sock, b"[DONE]")
        sock.close()


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_the_servers_work(stream):
    begun = threading.Event()

    def patient(connection):
        connection.send(HEAD, chunk(delta("one")), chunk(delta("two")))
        begun.set()
        connection.hold()

    with ScriptedServer(patient) as server, behind(server) as front:
        sock = connect(front, body(stream=stream))
        if stream:
            until(sock, b"two")
        assert begun.wait(PATIENCE)
        sock.close()
        assert server.closed_by_client.wait(PATIENCE)
        for _ in range(1000):  # it serves on, and soon has the row
            assert post(front, {"model": 1}).status_code == 400
            row = front.ledger()[0]
            if row.outcome != "rejected":
                break
        assert row.outcome == "aborted by client"
        assert row.completion_tokens in ((2,) if stream else (0, 1, 2))


@pytest.mark.parametrize(("stream", "sign"), [(True, b": keep-alive\n\n"), (False, b"\n")])
def test_keep_alives_come_while_the_model_reads(stream, sign, monkeypatch):
    monkeypatch.setattr(relay, "_KEEP_ALIVE_SECONDS", 0.001)
    seen = threading.Event()

    def slow(connection):
        connection.send(HEAD, chunk(KEEP_ALIVE))
        assert seen.wait(PATIENCE)
        connection.send(chunk(delta("one")), chunk(delta(finish="stop")), chunk(DONE), END)

    with ScriptedServer(slow) as server, behind(server) as front:
        sock = connect(front, body(stream=stream))
        received = until(sock, b"\r\n\r\n") + until(sock, sign)
        assert b"200 OK" in received
        assert b'"role"' not in received
        seen.set()
        until(sock, b'"content":"one"')
        sock.close()


def test_closing_the_emulator_leaves_nothing_running():
    before = threading.active_count()
    begun = threading.Event()

    def patient(connection):
        connection.send(HEAD, chunk(delta("one")))
        begun.set()
        connection.hold()

    with ScriptedServer(patient) as server:
        with behind(server) as front:
            sock = connect(front, body(stream=True))
            assert begun.wait(PATIENCE)
        everything(sock)
        sock.close()
        assert server.closed_by_client.wait(PATIENCE)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and threading.active_count() > before:
            thread.join(PATIENCE)
    assert threading.active_count() <= before


# --- What may stand behind it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://", "no base URL"),
        ("http://[::1", "no base URL"),
        ("http://127.0.0.1:port/v1", "no base URL"),
        ("http://user:secret@127.0.0.1/v1", "DSNB_ENGINE_KEY"),
        ("http://secret@127.0.0.1/v1", "DSNB_ENGINE_KEY"),
    ],
)
def test_what_is_no_server_is_told(url, words):
    with pytest.raises(EmulatorError, match=words) as caught:
        Emulator(engine=url)
    assert "secret" not in str(caught.value)


def test_a_key_that_is_none_is_told_without_showing_it():
    with pytest.raises(EmulatorError, match="copy it anew") as caught:
        UpstreamEngine("http://127.0.0.1/v1", key="sk-secret\r\nx: y")
    assert "secret" not in str(caught.value)


def test_offline_keeps_the_engine_on_this_machine(monkeypatch):
    Emulator(engine="https://api.example.org/v1")
    monkeypatch.setenv("DSNB_OFFLINE", "1")
    with pytest.raises(EmulatorError, match=r"DSNB_OFFLINE=1 .* api\.example\.org"):
        Emulator(engine="https://api.example.org/v1")
    for host in ("127.0.0.1", "localhost", "[::1]"):
        Emulator(engine=f"http://{host}:8000/v1")


def test_an_engine_of_ones_own_may_say_its_answer_in_pieces(caplog):
    class Counting:
        name = "counting"
        running = 0

        def start(self):
            self.running += 1

        def close(self):
            self.running -= 1

        async def pieces(self, request):
            if request.last_user == "break":
                raise ValueError("a slip")
            for number in range(3):
                yield Piece("content", f"{number} ")
            yield Counts(prompt=11, completion=3)
            if request.last_user != "forget":
                yield Ending("stop")

    engine = Counting()
    with Emulator(engine=engine) as emulator:
        assert engine.running == 1
        found = post(emulator)
        assert found.json()["choices"][0]["message"]["content"] == "0 1 2 "
        assert found.json()["usage"]["prompt_tokens"] == 11
        assert found.headers["x-dsnb-engine"] == "counting"
        assert post(emulator, body("forget")).json()["choices"][0]["finish_reason"] == "insufficient_system_resource"
        broken = post(emulator, body("break"))
        assert broken.status_code == 500
        assert "ValueError: a slip" in broken.headers["x-dsnb-reason"]
        with pytest.raises(EmulatorError, match="taken"):
            Emulator(engine=engine, port=int(emulator.base_url.rpartition(":")[2])).start()
        assert engine.running == 1
    assert engine.running == 0
    assert "a slip" in caplog.text


def test_time_that_a_model_takes_is_emulated_time(server):
    with Emulator(engine=server.base_url) as front:
        start = front.clock.now
        post(front)
        assert front.clock.now > start


def test_tool_results_find_their_way_back():
    asked = []

    def calling(request):
        asked.append(request.messages)
        return f"It is {request.results[0][1]}." if request.results else ToolCall("get_weather", '{"city":"Paris"}')

    with Emulator(engine=calling) as server, Emulator(engine=server.base_url) as front:
        first = post(front, body("Weather?", tools=[TOOL])).json()["choices"][0]["message"]
        history = [{"role": "user", "content": "Weather?"}, first]
        history.append({"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": "warm"})
        second = post(front, {**body(tools=[TOOL]), "messages": history}).json()["choices"][0]
    assert second["message"]["content"] == "It is warm."
    assert second["finish_reason"] == "stop"
    assert asked[1][1]["tool_calls"][0]["function"] == {"name": "get_weather", "arguments": '{"city":"Paris"}'}


def test_surrogates_and_control_characters_survive():
    answer = "a\u0000b\u2028c</script>\\ud83d 🙂"
    with Emulator(engine=lambda _: Answer(answer)) as server, Emulator(engine=server.base_url) as front:
        assert post(front).json()["choices"][0]["message"]["content"] == answer
