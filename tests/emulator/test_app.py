"""The routes: what each path and method answers, and in which order a request is looked at."""

import json

import pytest

from dsnb.emulator import Emulator
from tests.emulator.talking import CLIENT, KEY, body, get, post

JSON = {**KEY, "content-type": "application/json"}


@pytest.fixture(scope="module")
def emulator():
    with Emulator() as emulator:
        yield emulator


def error(response):
    return list(response.json()["error"].items())


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions", "/beta/chat/completions"])
def test_chat_is_served_on_every_base(emulator, path):
    assert post(emulator, path=path).json()["object"] == "chat.completion"


@pytest.mark.parametrize("base", ["", "/v1"])
def test_models(emulator, base):
    listed = get(emulator, f"{base}/models")
    assert listed.headers["content-type"] == "application/json"
    assert list(listed.json()) == ["object", "data"]
    flash = listed.json()["data"][0]
    assert list(flash)[:3] == ["id", "object", "owned_by"]
    assert (flash["id"], flash["name"], flash["context_window"]) == ("deepseek-flash", "DeepSeek-V4.1-Flash", 1048576)
    assert flash["effort"] == {"supported_levels": ["low", "high", "max"], "default_level": "high"}
    assert get(emulator, f"{base}/models/deepseek-flash").json() == flash
    assert get(emulator, f"{base}/models/gpt-5").status_code == 404


def test_models_of_2026_07_are_the_recorded_bytes():
    with Emulator("2026-07-01") as emulator:
        assert get(emulator, "/models").content == (
            b'{"object":"list","data":[{"id":"deepseek-v4-flash","object":"model","owned_by":"deepseek"},'
            b'{"id":"deepseek-v4-pro","object":"model","owned_by":"deepseek"}]}'
        )


@pytest.mark.parametrize("base", ["", "/v1"])
def test_balance(emulator, base):
    found = get(emulator, f"{base}/user/balance")
    assert found.headers["content-type"] == "application/json"
    assert list(found.json()) == ["is_available", "balance_infos"]
    keys = ["currency", "total_balance", "granted_balance", "topped_up_balance"]
    assert list(found.json()["balance_infos"][0]) == keys
    assert all(isinstance(found.json()["balance_infos"][0][key], str) for key in keys)


@pytest.mark.parametrize(
    "path", ["/", "/chat", "/chat/completions/", "/v2/models", "/embeddings", "/beta", "/beta/models"]
)
def test_other_paths_are_404_and_empty(emulator, path):
    for found in (get(emulator, path), post(emulator, path=path)):
        assert (found.status_code, found.content) == (404, b"")
        assert "content-type" not in found.headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/chat/completions"),
        ("POST", "/models"),
        ("DELETE", "/v1/user/balance"),
        ("PUT", "/beta/chat/completions"),
    ],
)
def test_other_methods_are_405_and_empty(emulator, method, path):
    found = CLIENT.request(method, emulator.base_url + path, headers=KEY)
    assert (found.status_code, found.content) == (405, b"")
    assert "content-type" not in found.headers


def test_completions_are_for_the_beta_route(emulator):
    found = post(emulator, {"model": "deepseek-flash", "prompt": "x"}, path="/completions")
    assert found.status_code == 400
    assert found.headers["content-type"] == "application/octet-stream"
    assert "only available when using beta api" in found.json()["error"]["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Basic sk"},
        {"authorization": "sk-abc"},
    ],
)
def test_without_a_bearer_key_the_governor_answers(emulator, headers):
    found = post(emulator, headers=headers)
    assert (found.status_code, found.content) == (401, b"Authentication Fails (governor)")
    assert "content-type" not in found.headers


def test_a_wrong_key_is_shown_by_its_last_four_characters():
    with Emulator(keys=["sk-right"]) as emulator:
        assert post(emulator, headers={"authorization": "Bearer sk-right"}).status_code == 200
        found = post(emulator, headers={"authorization": "Bearer sk-wrong-1234"})
        assert found.status_code == 401
        assert found.content == (
            b'{"error":{"message":"Authentication Fails, Your api key: ****1234 is invalid",'
            b'"type":"authentication_error","param":null,"code":"invalid_request_error"}}'
        )
        assert "api key: test is" in post(emulator, headers={"authorization": "Bearer test"}).json()["error"]["message"]
        assert get(emulator, "/models", headers={"authorization": "Bearer x"}).status_code == 401
        assert [row.status for row in emulator.ledger()] == [200]  # a wrong key reaches no account


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_that_does_not_say_json_is_415(emulator, kind):
    headers = KEY if kind is None else {**KEY, "content-type": kind}
    found = CLIENT.post(f"{emulator.base_url}/chat/completions", content=b"{}", headers=headers)
    assert (found.status_code, found.text) == (415, "Expected request with `Content-Type: application/json`")
    assert found.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_may_be_written_in_other_ways(emulator, kind):
    headers = {**KEY, "content-type": kind}
    found = CLIENT.post(f"{emulator.base_url}/chat/completions", content=json.dumps(body()).encode(), headers=headers)
    assert found.status_code == 200


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "EOF while parsing a value at line 1 column 0"),
        (b'{"model":', "model: EOF while parsing a value at line 1 column 9"),
    ],
)
def test_a_body_that_is_no_json(emulator, content, text):
    found = CLIENT.post(f"{emulator.base_url}/chat/completions", content=content, headers=JSON)
    assert (found.status_code, found.text) == (400, f"Failed to parse the request body as JSON: {text}")
    assert found.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("request_body", "status", "words"),
    [
        ({}, 400, "missing field `messages` at line 1 column 2"),
        (body(messages={}), 400, "expected a sequence"),
        (body(model="gpt-5"), 400, "but you passed gpt-5"),
        (body(max_tokens=393217), 400, "the valid range of max_tokens is [1, 393216]"),
        (body(temperature=3), 400, "the valid range of temperature is [0, 2]"),
        (body(reasoning_effort="extreme"), 422, "unknown variant `extreme`"),
        (
            body(
                thinking={"type": "enabled"},
                tools=[{"type": "function", "function": {"name": "f"}}],
                tool_choice="required",
            ),
            400,
            "Thinking mode does not support this tool_choice",
        ),
        (body(stream_options={"include_usage": True}), 400, "stream_options should be set along with stream = true"),
        (
            body(messages=[{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", "prefix": True}]),
            400,
            "prefix is only available when using beta api",
        ),
        (body("give me an object", response_format={"type": "json_object"}), 400, "must contain the word 'json'"),
    ],
)
def test_what_is_wrong_with_a_request_is_told_in_the_words_of_the_api(emulator, request_body, status, words):
    found = post(emulator, request_body)
    assert found.status_code == status
    assert words in found.json()["error"]["message"]
    assert [key for key, _ in error(found)] == ["message", "type", "param", "code"]


def test_fed_back_reasoning_is_refused_by_r1_and_wanted_by_v4():
    history = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "reasoning_content": "c"},
        {"role": "user", "content": "d"},
    ]
    with Emulator("2025-02-01") as emulator:
        found = post(emulator, {"model": "deepseek-reasoner", "messages": history})
        assert found.status_code == 400
        assert found.json()["error"]["message"].startswith("The reasoning_content is an intermediate result")
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    loop = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
    ]
    with Emulator() as emulator:
        found = post(emulator, {"model": "deepseek-flash", "messages": loop, "tools": [tool]})
        assert found.content == (
            b'{"error":{"message":"The `reasoning_content` in the thinking mode must be passed back to the API.",'
            b'"type":"invalid_request_error","param":null,"code":"invalid_request_error"}}'
        )


def test_a_warm_server_remembers_its_own_calls():
    tool = {"type": "function", "function": {"name": "roll_dice", "parameters": {"type": "object", "properties": {}}}}
    user = {"role": "user", "content": "roll the dice"}
    for passback, status in (("warm", 200), ("enforced", 400)):
        with Emulator(passback=passback) as emulator:
            asked = {"model": "deepseek-flash", "messages": [user], "tools": [tool]}
            message = post(emulator, asked).json()["choices"][0]["message"]
            call = message["tool_calls"][0]
            bare = {"role": "assistant", "content": "", "tool_calls": [call]}
            result = {"role": "tool", "tool_call_id": call["id"], "content": "4"}
            assert post(emulator, {**asked, "messages": [user, bare, result]}).status_code == status
            foreign = {**bare, "tool_calls": [{**call, "id": "call_00_foreign"}]}
            cold = [user, foreign, {**result, "tool_call_id": "call_00_foreign"}]
            assert post(emulator, {**asked, "messages": cold}).status_code == 400


def test_a_context_that_is_too_long_is_refused_with_its_numbers():
    with Emulator("2025-07-15") as emulator:
        found = post(emulator, {"model": "deepseek-chat", "messages": [{"role": "user", "content": "word " * 70_000}]})
    assert found.status_code == 400
    assert found.headers["content-type"] == "application/octet-stream"
    assert "maximum context length is 65536 tokens. However, you requested 70" in found.json()["error"]["message"]
    assert "in the messages, 0 in the completion" in found.json()["error"]["message"]


def test_the_order_of_the_checks():
    with Emulator(keys=["sk-test"], balance=0) as emulator:
        url = f"{emulator.base_url}/chat/completions"
        wrong = {"authorization": "Bearer other"}
        assert CLIENT.get(url, headers=wrong).status_code == 401  # the key before the method
        assert CLIENT.post(url, content=b"{", headers=KEY).status_code == 415  # the content type before JSON
        assert CLIENT.post(url, content=b"{", headers=JSON).status_code == 400
        assert post(emulator, {"model": "gpt-5"}).json()["error"]["message"].endswith("column 17")  # shape before model
        assert "gpt-5" in post(emulator, body(model="gpt-5", temperature=9)).json()["error"]["message"]  # then values
        assert post(emulator, body(temperature=9)).status_code == 400  # values before the balance
        assert post(emulator).status_code == 402
