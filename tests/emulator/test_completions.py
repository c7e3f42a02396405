"""Fill-in-the-middle completion: its shapes on the wire, its rules, and that it is billed like chat."""

import ast
import json
from decimal import Decimal

import httpx
import pytest

from dsnb.contract import prompt, tokens
from dsnb.emulator import Answer, Emulator, ToolCall
from tests.emulator.talking import CLIENT, KEY, chunks, complete, fim, post

BODY = ["id", "choices", "created", "model", "system_fingerprint", "object", "usage"]
USAGE = [
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "prompt_tokens_details",
    "prompt_cache_hit_tokens",
    "prompt_cache_miss_tokens",
]


@pytest.fixture(scope="module")
def emulator():
    with Emulator() as emulator:
        yield emulator


def written(objects):
    return "".join(chunk["choices"][0]["text"] for chunk in objects)


def text(emulator, request=None):
    return complete(emulator, request).json()["choices"][0]["text"]


def test_a_body_has_the_published_keys_in_their_order(emulator):
    found = complete(emulator)
    assert (found.status_code, found.headers["content-type"]) == (200, "application/json")
    body = found.json()
    assert list(body) == BODY
    assert (body["object"], body["model"]) == ("text_completion", "deepseek-flash")
    assert list(body["choices"][0]) == ["text", "index", "logprobs", "finish_reason"]
    assert (body["choices"][0]["logprobs"], body["choices"][0]["finish_reason"]) == (None, "stop")
    assert list(body["usage"]) == USAGE
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]


def test_the_default_engine_fills_the_gap_and_says_so(emulator):
    middle = text(emulator)
    assert "dsnb emulator, not by a model" in middle
    tree = ast.parse(fim()["prompt"] + middle + fim()["suffix"])
    assert ast.unparse(tree) == "def fib(a):\n    return fib(a - 1) + fib(a - 2)"


def test_tokens_are_those_of_the_prompt_with_its_marks(emulator):
    body = complete(emulator).json()
    assert body["usage"]["prompt_tokens"] == len(tokens.ids(prompt.fill_in_middle(fim())))
    assert body["usage"]["completion_tokens"] == tokens.count(body["choices"][0]["text"])
    alone = complete(emulator, fim(suffix=None)).json()
    assert alone["usage"]["prompt_tokens"] == 1 + tokens.count(fim()["prompt"])


@pytest.mark.parametrize("include", [None, False, True])
def test_a_stream_has_the_published_form(emulator, include):
    asked = fim(stream=True, **({} if include is None else {"stream_options": {"include_usage": include}}))
    found = complete(emulator, asked)
    assert found.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert found.text.endswith("}\n\ndata: [DONE]\n\n")
    first, *middle, last = chunks(found)
    keys = BODY if include else BODY[:-1]
    assert all(list(chunk) == keys for chunk in (first, *middle))
    assert list(last) == BODY
    assert first["choices"] == [{"text": "", "index": 0, "logprobs": None, "finish_reason": None}]
    assert last["choices"] == [{"text": "", "index": 0, "logprobs": None, "finish_reason": "stop"}]
    assert [chunk.get("usage") for chunk in (first, *middle)] == [None] * (len(middle) + 1)
    plain = complete(emulator).json()
    assert written(chunks(found)) == plain["choices"][0]["text"]
    assert len(middle) == plain["usage"]["completion_tokens"] == last["usage"]["completion_tokens"]


def test_a_stream_differs_from_the_published_one_by_its_text_alone():
    # docs.rs, deepseek-sdk, completion::fim: a stream of 2026-05-23
    published = (
        'data: {"id":"I","choices":[{"text":"-year","index":0,"logprobs":{"tokens":["-year"],'
        '"token_logprobs":[0],"top_logprobs":[{"-year":0,"X":0}],"text_offset":[20]},"finish_reason":null}],'
        '"created":1779494400,"model":"deepseek-v4-flash","system_fingerprint":"F","object":"text_completion"}'
    )
    asked = {"model": "deepseek-v4-flash", "prompt": "Once upon a time, ", "logprobs": 2, "stream": True}
    with Emulator("2026-05-23", engine=lambda _: "18-year-old") as emulator:
        frame = complete(emulator, asked).text.split("\n\n")[2]
    found = json.loads(frame.removeprefix("data: "))
    choice = found["choices"][0]
    assert choice["text"] == "-year"
    alternative = list(choice["logprobs"]["top_logprobs"][0])[1]
    choice["logprobs"] |= {"token_logprobs": [0], "top_logprobs": [{"-year": 0, "X": 0}]}
    assert alternative != "-year"
    found |= {"id": "I", "system_fingerprint": "F"}
    assert f"data: {json.dumps(found, separators=(',', ':'))}" == published


@pytest.mark.parametrize("most", [0, 1, 5, 20])
def test_logprobs_have_a_shape_of_their_own(emulator, most):
    asked = fim(logprobs=most)
    choice = complete(emulator, asked).json()["choices"][0]
    found = choice["logprobs"]
    assert list(found) == ["tokens", "token_logprobs", "top_logprobs", "text_offset"]
    assert "".join(found["tokens"]) == choice["text"]
    assert len({len(values) for values in found.values()}) == 1
    assert all(logprob <= 0 for logprob in found["token_logprobs"])
    assert {len(top) for top in found["top_logprobs"]} == {most}
    for token, logprob, top in zip(found["tokens"], found["token_logprobs"], found["top_logprobs"], strict=True):
        assert not most or top[token] == logprob == max(top.values())
    joined = asked["prompt"] + choice["text"]
    for token, place in zip(found["tokens"], found["text_offset"], strict=True):
        assert joined[place : place + len(token)] == token
    streamed = [chunk["choices"][0]["logprobs"] for chunk in chunks(complete(emulator, {**asked, "stream": True}))]
    assert streamed[0] is streamed[-1] is None
    assert {key: [value for part in streamed[1:-1] for value in part[key]] for key in found} == found


@pytest.mark.parametrize("stream", [False, True])
def test_echo_brings_the_prompt_back_unbilled(emulator, stream):
    asked = {"model": "deepseek-flash", "prompt": "def fib(a):", "echo": True}
    found = complete(emulator, {**asked, "stream": stream})
    said = written(chunks(found)) if stream else found.json()["choices"][0]["text"]
    usage = (chunks(found)[-1] if stream else found.json())["usage"]
    bare = complete(emulator, {**asked, "echo": False}).json()
    assert said == asked["prompt"] + bare["choices"][0]["text"]
    assert usage["completion_tokens"] == bare["usage"]["completion_tokens"]


def test_stop_and_max_tokens_cut(emulator):
    whole = text(emulator)
    cut = complete(emulator, fim(max_tokens=7)).json()
    assert cut["choices"][0]["finish_reason"] == "length"
    assert cut["usage"]["completion_tokens"] == 7
    assert whole.startswith(cut["choices"][0]["text"])
    stopped = complete(emulator, fim(stop=["emulator", "never"])).json()["choices"][0]
    assert (stopped["text"], stopped["finish_reason"]) == (whole.partition("emulator")[0], "stop")


def test_without_max_tokens_a_completion_ends_at_4k():
    with Emulator(engine=lambda _: "word " * 5000) as emulator:
        found = complete(emulator).json()
    assert (found["usage"]["completion_tokens"], found["choices"][0]["finish_reason"]) == (4096, "length")


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"max_tokens": 4097}, 400, "Invalid max_tokens value, the valid range of max_tokens is [1, 4096]"),
        ({"max_tokens": 0}, 400, "Invalid max_tokens value, the valid range of max_tokens is [1, 4096]"),
        ({"echo": True}, 400, "echo is not supported together with suffix"),
        ({"echo": True, "suffix": None, "logprobs": 1}, 400, "echo is not supported together with logprobs"),
        ({"logprobs": 21}, 400, "Invalid logprobs value, the valid range of logprobs is [0, 20]"),
        ({"thinking": {"type": "enabled"}}, 400, "Thinking mode is not supported by the completions api"),
        ({"temperature": 2.5}, 400, "Invalid temperature value, the valid range of temperature is [0, 2]"),
        ({"top_p": 0}, 400, "Invalid top_p value, the valid range of top_p is (0, 1.0]"),
        ({"stop": ["x"] * 17}, 400, "Stop string array too long: 17"),
        ({"stream_options": {"include_usage": True}}, 400, "stream_options should be set along with stream = true"),
        ({"model": "deepseek-v3"}, 400, "The supported API model names are deepseek-flash, deepseek-v4-pro, but you"),
        ({"prompt": None}, 400, "prompt: invalid type: null, expected a string"),
    ],
)
def test_rules_are_told_in_the_form_of_the_api(emulator, fields, status, words):
    found = complete(emulator, fim(**fields))
    assert (found.status_code, list(found.json()["error"])) == (status, ["message", "type", "param", "code"])
    assert words in found.json()["error"]["message"]


def test_a_prompt_that_is_too_long_is_refused_with_its_numbers():
    with Emulator("2025-07-15") as emulator:
        found = complete(emulator, {"model": "deepseek-chat", "prompt": "word " * 70_000, "max_tokens": 9})
    assert found.status_code == 400
    words = (
        "maximum context length is 65536 tokens. However, you requested 70011 tokens (70002 in the messages, 9 in the"
    )
    assert words in found.json()["error"]["message"]


@pytest.mark.parametrize("fields", [{"thinking": {"type": "disabled"}}, {"logprobs": 20}, {"max_tokens": 4096}])
def test_what_the_rules_allow_passes(emulator, fields):
    assert complete(emulator, fim(**fields)).status_code == 200


@pytest.mark.parametrize("path", ["/completions", "/v1/completions"])
def test_off_the_beta_route_the_error_is_the_reported_one(emulator, path):
    found = complete(emulator, path=path)
    assert (found.status_code, found.headers["content-type"]) == (400, "application/octet-stream")
    assert found.content == (
        b'{"error":{"message":"completions api is only available when using beta api '
        b'(set base_url=\\"https://api.deepseek.com/beta\\")",'
        b'"type":"invalid_request_error","param":null,"code":"invalid_request_error"}}'
    )


@pytest.mark.parametrize("model", ["deepseek-chat", "deepseek-reasoner"])
def test_the_chat_model_of_2025_fills_in_and_the_reasoner_does_not(model):
    with Emulator("2025-06-15") as emulator:
        assert complete(emulator, fim(model=model)).status_code == (200 if model == "deepseek-chat" else 400)


def test_a_chat_request_is_no_completion_nor_the_other_way_round(emulator):
    chat = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "hi"}]}
    assert "missing field `prompt`" in complete(emulator, chat).json()["error"]["message"]
    assert "missing field `messages`" in post(emulator, fim()).json()["error"]["message"]


def test_it_is_billed_cached_and_entered_like_chat():
    asked = fim(prompt="x = 1\n" * 200, suffix="\nprint(x)\n")
    with Emulator(balance="1.00") as emulator:
        first, second = (complete(emulator, asked).json()["usage"] for _ in range(2))
        rows, left = emulator.ledger(), emulator.balance
        assert emulator.requests() == [asked, asked]
    assert first["prompt_cache_hit_tokens"] == 0
    assert second["prompt_cache_hit_tokens"] == second["prompt_tokens"] // 128 * 128 > 0
    assert [row.outcome for row in rows] == ["stop", "stop"]
    assert [row.cache_hit_tokens for row in rows] == [0, second["prompt_cache_hit_tokens"]]
    assert [row.completion_tokens for row in rows] == [first["completion_tokens"]] * 2
    assert left == Decimal("1.00") - sum(row.cost.usd for row in rows)
    assert rows[0].cost.usd > rows[1].cost.usd > 0


def test_account_and_concurrency_are_looked_at_as_for_chat():
    with Emulator(balance=0) as emulator:
        assert complete(emulator).status_code == 402
    with Emulator(keys=["sk-right"]) as emulator:
        assert complete(emulator).status_code == 401
    with Emulator() as emulator:
        wrong = CLIENT.post(f"{emulator.base_url}/beta/completions", content=b"{}", headers=KEY)
        assert wrong.status_code == 415
        assert CLIENT.get(f"{emulator.base_url}/beta/completions", headers=KEY).status_code == 405


def test_faults_meet_it_as_they_meet_chat():
    asked = fim(stream=True)
    with Emulator(faults=[503, "eof@3", "malformed@2", "empty", "cut@4", "queue@30"]) as emulator:
        assert complete(emulator, asked).status_code == 503
        ended = complete(emulator, asked)
        assert (len(chunks(ended)), "[DONE]" in ended.text) == (4, False)
        malformed = complete(emulator, asked).text.split("\n\n")[-2]
        with pytest.raises(json.JSONDecodeError):
            json.loads(malformed.removeprefix("data: "))
        assert written(chunks(complete(emulator, asked))) == ""
        with pytest.raises(httpx.RemoteProtocolError):
            complete(emulator, asked)
        assert complete(emulator, asked).text.startswith(": keep-alive\n\n")
        assert [row.outcome for row in emulator.ledger()] == ["rejected", "eof", "malformed", "stop", "cut", "stop"]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_text_is_a_function_of_the_request(seed):
    asked = [fim(), fim(prompt="Once upon a time, ", suffix=None), fim(prompt="x = ", suffix="\n")]
    with Emulator(seed=seed) as one, Emulator("2026-08-15", seed=7, faults=["queue@5"]) as other:
        old = [{**request, "model": "deepseek-v4-flash"} for request in asked]
        assert [text(one, request) for request in asked] == [text(other, request) for request in reversed(old)][::-1]


def test_every_kind_of_engine_fills_in():
    with Emulator(engine="echo") as emulator:
        assert text(emulator) == "def fib(a):"
    with Emulator(engine=lambda request: f"<{request.prompt}|{request.suffix}|{request.last_user}>") as emulator:
        assert text(emulator, fim("a", "b")) == "<a|b|a>"

    class Model:
        def answer(self, request):
            return Answer("text", "thought", (ToolCall("f", "{}"),))

    with Emulator(engine=Model()) as emulator:  # a completion neither thinks nor calls
        found = complete(emulator).json()
        assert (found["choices"][0]["text"], found["choices"][0]["finish_reason"]) == ("text", "stop")
        assert found["usage"]["completion_tokens"] == 1
        assert found["usage"]["prompt_tokens"] == len(tokens.ids(prompt.fill_in_middle(fim())))
