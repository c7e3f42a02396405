"""The API's error answers, byte by byte."""

import json

import pytest

from dsnb.contract import at
from dsnb.contract.error_bodies import advice, error, invalid_key, misshapen, rows
from tests.recordings import recordings, requires_recordings

OCTETS, JSON, TEXT = "application/octet-stream", "application/json", "text/plain; charset=utf-8"


def envelope(message, type="invalid_request_error", code="invalid_request_error"):  # noqa: A002 — the API's own name
    content = {"error": {"message": message, "type": type, "param": None, "code": code}}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


REQUIRE = "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'"
TOO_MANY = (
    "Too many requests. Your current concurrency is 26, which exceeds your concurrency limit of 25 based on your "
    "remaining balance. Please top up your balance to restore your concurrency."
)
DISPLAY_ONLY = (
    "The reasoning_content is an intermediate result for display purposes only and will not be included in the context "
    "for inference. Please remove the reasoning_content from your message to reduce network traffic."
)
OVERFLOW = (
    "This model's maximum context length is 1048576 tokens. However, you requested 1250025 tokens (1250025 in the "
    "messages, 0 in the completion). Please reduce the length of the messages or completion."
)
IN_LOOP = (
    "Missing `reasoning_content` field in the assistant message at message index 4. For more information, please refer "
    "to https://api-docs.deepseek.com/guides/thinking_mode#tool-calls"
)
LAST = (
    "The last message of deepseek-reasoner must be a user message, or an assistant message with prefix mode on (refer "
    "to https://api-docs.deepseek.com/guides/chat_prefix_completion)."
)
SUCCESSIVE = (
    "deepseek-reasoner does not support successive user or assistant messages (messages[1] and messages[2] in your "
    "input). You should interleave the user/assistant messages in the message sequence."
)
SYSTEM = "The system message of deepseek-reasoner must be put on the beginning of the message sequence"
BETA = 'completions api is only available when using beta api (set base_url="https://api.deepseek.com/beta")'
LONG = (
    "Invalid 'user_id': string too long. Expected a string with maximum length 512, but got a string with length 513 "
    "instead"
)
SCHEMA = "Invalid schema for function 'X': schema must be a JSON Schema of 'type: \"object\"', got 'type: null'."
BUSY = "Service is too busy. We advise users to temporarily switch to alternative LLM API service providers."
PARSE = "Failed to parse the request body as JSON: EOF while parsing a value at line 1 column 0"

PLAIN = [
    ("key_missing", {}, 401, None, b"Authentication Fails (governor)"),
    ("path_unknown", {}, 404, None, b""),
    ("method_wrong", {}, 405, None, b""),
    ("content_type_wrong", {}, 415, TEXT, b"Expected request with `Content-Type: application/json`"),
    ("body_malformed", {"serde": PARSE.partition("JSON: ")[2]}, 400, OCTETS, PARSE.encode()),
]
REQUESTS = [
    ("context_length", {"limit": 1048576, "requested": 1250025, "prompt": 1250025, "completion": 0}, OVERFLOW),
    ("thinking_tool_choice", {}, "Thinking mode does not support this tool_choice"),
    ("reasoning_missing", {}, "The `reasoning_content` in the thinking mode must be passed back to the API."),
    ("reasoning_missing_loop", {"index": 4}, IN_LOOP),
    ("reasoning_present", {}, DISPLAY_ONLY),
    ("tool_messages_insufficient", {}, f"{REQUIRE}. (insufficient tool messages following tool_calls message)"),
    (
        "tool_message_orphan",
        {},
        "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'",
    ),
    ("assistant_empty", {}, "Invalid assistant message: content or tool_calls must be set"),
    ("tool_schema_type", {"name": "X", "found": "null"}, SCHEMA),
    (
        "json_word",
        {},
        "Prompt must contain the word 'json' in some form to use 'response_format' of type 'json_object'",
    ),
    ("response_format", {}, "This response_format type is unavailable now"),
    ("completions_beta", {}, BETA),
    ("prefix_beta", {}, "prefix is only available when using beta api"),
    ("user_id_length", {"maximum": 512, "length": 513}, LONG),
    (
        "max_tokens_range",
        {"maximum": 393216},
        "Invalid max_tokens value, the valid range of max_tokens is [1, 393216]",
    ),
    ("temperature_range", {}, "Invalid temperature value, the valid range of temperature is [0, 2]"),
    ("n_value", {}, "Invalid n value (currently only n = 1 is supported)"),
    ("stream_options", {}, "stream_options should be set along with stream = true"),
    ("reasoner_last", {"model": "deepseek-reasoner"}, LAST),
    ("reasoner_successive", {"model": "deepseek-reasoner", "first": 1, "second": 2}, SUCCESSIVE),
    ("reasoner_system", {"model": "deepseek-reasoner"}, SYSTEM),
    (
        "reasoning_missing_anthropic",
        {},
        "The `content[].thinking` in the thinking mode must be passed back to the API.",
    ),
    (
        "reasoning_missing_responses",
        {},
        "The `reasoning_text` in the thinking mode must be passed back to the API.",
    ),
    ("responses_unanswered", {"id": "call-a"}, "No tool output found for tool call call-a."),
]
SERVERS = [
    ("balance_empty", {}, 402, "Insufficient Balance", "unknown_error", "invalid_request_error"),
    ("concurrency", {"current": 26, "limit": 25}, 429, TOO_MANY, "rate_limit_error", "invalid_request_error"),
    ("overloaded", {}, 503, BUSY, "service_unavailable_error", "service_unavailable_error"),
]


@pytest.mark.parametrize(("name", "fields", "status", "content_type", "body"), PLAIN)
def test_plain_bodies(name, fields, status, content_type, body):
    answer = error(name, **fields)
    assert (answer.status, answer.content_type, answer.body) == (status, content_type, body)


@pytest.mark.parametrize(("name", "fields", "message"), REQUESTS)
def test_answers_to_wrong_requests(name, fields, message):
    answer = error(name, **fields)
    assert (answer.status, answer.content_type, answer.body) == (400, OCTETS, envelope(message))


@pytest.mark.parametrize(("name", "fields", "status", "message", "type", "code"), SERVERS)
def test_answers_about_the_account_and_the_server(name, fields, status, message, type, code):  # noqa: A002 — see above
    answer = error(name, **fields)
    assert (answer.status, answer.content_type, answer.body) == (status, JSON, envelope(message, type, code))


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_every_failure_of_the_server_has_a_body(status):
    name = {500: "internal", 502: "bad_gateway", 503: "overloaded", 504: "gateway_timeout"}[status]
    content = json.loads(error(name).body)
    assert list(content["error"]) == ["message", "type", "param", "code"]
    assert error(name).status == status
    assert rows()[name].confidence == ("M" if status == 503 else "L")


def test_two_bodies_have_their_known_lengths():
    assert len(error("reasoning_missing").body) == 175
    assert len(error("response_format").body) == 143


@pytest.mark.parametrize(
    ("key", "shown"), [("sk-1230000", "****0000"), ("abcde", "****bcde"), ("test", "test"), ("x", "x"), ("", "")]
)
def test_a_wrong_key_shows_its_end(key, shown):
    answer = invalid_key(key)
    message = f"Authentication Fails, Your api key: {shown} is invalid"
    assert answer.body == envelope(message, "authentication_error")
    assert (answer.status, answer.content_type) == (401, JSON)


def test_a_misshapen_body_is_answered_by_its_time():
    words = "missing field `messages` at line 1 column 2"
    old, new = at("2025-04-04").wire, at("2026-08-15").wire
    plain = misshapen(words, old.shape_error_status, old.shape_error_content_type)
    message = f"Failed to deserialize the JSON body into the target type: {words}"
    assert (plain.status, plain.content_type, plain.body) == (422, TEXT, message.encode())
    wrapped = misshapen(words, new.shape_error_status, new.shape_error_content_type)
    assert (wrapped.status, wrapped.content_type, wrapped.body) == (400, JSON, envelope(message))


def test_text_stays_as_it_is():
    answer = error("model_unknown", words="{x} “é” \ud800", hint="")
    assert json.loads(answer.body)["error"]["message"] == "{x} “é” ?"


@pytest.mark.parametrize("name", sorted(rows()))
def test_every_row_is_complete(name):
    row = rows()[name]
    assert row.source
    assert row.confidence in {"H", "M", "L"}
    assert bool(row.rule) == bool(row.mend)
    assert row.status in {400, 401, 402, 404, 405, 415, 429, 500, 502, 503, 504}


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 413, 415, 418, 422])
def test_a_wrong_request_is_not_worth_a_retry(status):
    assert advice(status).retry is False


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
def test_a_busy_server_is_worth_a_retry(status):
    assert advice(status).retry is True


@pytest.mark.parametrize(
    ("type", "retry"),
    [("service_unavailable_error", True), ("invalid_request_error", False), ("new", True), (None, True)],
)
def test_an_error_inside_a_stream_is_judged_by_its_type(type, retry):  # noqa: A002 — the API's own name
    assert advice(None, type).retry is retry


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 408, 413, 415, 422, 429, 500, 502, 503, 504])
def test_advice_is_a_sentence(status):
    told = advice(status)
    assert told.meaning
    assert told.next[0].isupper()
    assert told.next.endswith(".")


@requires_recordings
@pytest.mark.parametrize(
    "recording",
    [r for r in recordings() if r.status >= 400 and (r.first_party or "quoted" in r.tags)],
    ids=lambda recording: recording.name,
)
def test_recorded_bodies_have_a_row(recording):
    content = recording.body["error"] if isinstance(recording.body, dict) else None
    for row in rows().values():
        if content is None:
            found = recording.body.startswith(row.message.partition("{")[0]) and row.name == "body_misshapen"
        else:
            start, _, end = row.message.partition("{")
            end = end.rpartition("}")[2]
            fits = content["message"].startswith(start) and content["message"].endswith(end)
            found = fits and (content["type"], content["code"]) == (row.type, row.code) and len(start) > 10
        if found:
            assert row.status in {recording.status, 400 if recording.status == 422 else recording.status}
            recorded = recording.headers.get("content-type")
            assert recorded in {row.content_type, TEXT if recording.status == 422 else row.content_type, None}
            return
    pytest.fail(f"no row for {recording.body}")
