import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsnb.client.failures import failure, stream_failure
from dsnb.errors import (
    ApiError,
    AuthenticationFailed,
    InsufficientBalance,
    InvalidRequest,
    NotFound,
    ServerFailed,
    TooManyRequests,
)
from tests.effort import effort
from tests.recordings import Recording, recordings, requires_recordings

ERRORS = [r for r in recordings() if r.status >= 400]
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TYPES = {
    400: InvalidRequest,
    401: AuthenticationFailed,
    404: NotFound,
    422: InvalidRequest,
    429: TooManyRequests,
    503: ServerFailed,
}


def body(message: str, type: str = "invalid_request_error", code: object = "invalid_request_error") -> bytes:  # noqa: A002 — the API's own name
    return json.dumps({"error": {"message": message, "type": type, "param": None, "code": code}}).encode()


@requires_recordings
@pytest.mark.parametrize("recording", ERRORS, ids=lambda r: r.name)
def test_recorded_errors_become_the_right_type(recording: Recording) -> None:
    error = failure(recording.status, recording.headers, recording.raw)
    assert type(error) is TYPES[recording.status]
    assert error.status == recording.status
    said = recording.body if isinstance(recording.body, str) else recording.body["error"]["message"]
    for words in said.split("api key:")[0], said.split(" is ")[-1].strip():
        assert words in str(error)
    if isinstance(recording.body, dict):
        assert error.type == recording.body["error"].get("type")
        assert error.code == recording.body["error"].get("code")
    assert error.trace_id == next((v for k, v in recording.headers.items() if k.lower() == "x-ds-trace-id"), None)
    if recording.status == 401:
        assert "****" not in str(error)
        assert "-key" not in str(error)


@requires_recordings
def test_there_are_recorded_errors() -> None:
    assert {r.status for r in ERRORS} >= set(TYPES)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, InvalidRequest) for status in (400, 409, 413, 415, 418, 422)),
        *((status, AuthenticationFailed) for status in (401, 403)),
        (402, InsufficientBalance),
        *((status, NotFound) for status in (301, 404, 405, 410)),
        (429, TooManyRequests),
        *((status, ServerFailed) for status in (408, 500, 502, 503, 504, 520, 599)),
    ],
)
@pytest.mark.parametrize("contract", [False, True])
def test_every_status_has_its_type_and_says_what_to_do(status: int, kind: type[ApiError], contract: bool) -> None:
    error = failure(status, {}, b"", contract=contract, attempts=3, phase="connect")
    assert type(error) is kind
    assert (error.status, error.attempts, error.phase) == (status, 3, "connect")
    assert str(error).startswith(f"HTTP {status}: ")
    assert str(error).endswith(".")
    assert len(str(error).split(". ")) >= 2


def test_what_the_api_said_comes_first_then_what_to_do() -> None:
    error = failure(402, {}, body("Insufficient Balance", "unknown_error"), contract=True)
    assert str(error) == "HTTP 402: Insufficient Balance. Top up at https://platform.deepseek.com/top_up."
    assert (error.type, error.code) == ("unknown_error", "invalid_request_error")


def test_advice_for_other_hosts_names_no_page_of_deepseek() -> None:
    for status in (400, 401, 402, 403, 404, 405, 429, 500, 503):
        assert "deepseek" not in str(failure(status, {}, b"")).lower()


def test_too_many_requests_is_not_an_empty_account() -> None:
    concurrency = (
        "Too many requests. Your current concurrency is 26, which exceeds your concurrency limit of 25 based on "
    )
    "your remaining balance. Please top up your balance to restore your concurrency."
    assert type(failure(429, {}, body(concurrency, "rate_limit_error"))) is TooManyRequests
    assert type(failure(429, {}, body("You exceeded your current quota", "insufficient_quota"))) is InsufficientBalance
    assert type(failure(429, {}, body("You exceeded your quota", "x", "insufficient_quota"))) is InsufficientBalance


def test_no_part_of_a_key_is_shown() -> None:
    for shown in ("****0000", "test", "sk-0123456789abcdef0123456789abcdef"):
        error = failure(
            401, {}, body(f"Authentication Fails, Your api key: {shown} is invalid", "authentication_error")
        )
        assert shown not in str(error)
        assert str(error).startswith("HTTP 401: Authentication Fails, Your api key: [hidden] is invalid. ")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"Authentication Fails (governor)", "Authentication Fails (governor)."),
        (b"", "Bad Request."),
        (b"  \n", "Bad Request."),
        (b"{}", "Bad Request."),
        (b"null", "Bad Request."),
        (b"[]", "Bad Request."),
        (b'"Bad model"', "Bad model."),
        (b'{"error": "Bad model"}', "Bad model."),
        (b'{"message": "Bad model!"}', "Bad model!"),
        (b'{"detail": "Bad model"}', "Bad model."),
        (b'{"detail": [{"loc": ["body"], "msg": "missing"}]}', "[{'loc': ['body'], 'msg': 'missing'}]."),
        (b'{"object": "error", "message": "Bad model", "code": 400}', "Bad model."),
        (b'[{"error": {"message": "Bad model"}}]', "Bad model."),
        (
            b'{"error": {"message": "Provider returned error", "metadata": {"raw": "busy"}}}',
            "Provider returned error (busy).",
        ),
        (
            b"<html><head><title>502 Bad Gateway</title><style>a{}</style></head><h1>Sorry &amp; bye</h1>",
            "502 Bad Gateway Sorry & bye.",
        ),
        (b'{"error": {"message": "cut', '{"error": {"message": "cut.'),
        (b"\xff\xfe", "\ufffd\ufffd."),
        (b"[" * 15_000, "[" * 499 + "…"),
    ],
)
def test_shapes_of_error_bodies(said: bytes, shown: str) -> None:
    assert str(failure(400, {}, said)) == f"HTTP 400: {shown} Change the request: sent again as it is, it fails again."


def test_long_messages_are_shortened() -> None:
    assert len(str(failure(400, {}, body("word " * 1000)))) < 600


@pytest.mark.parametrize("filler", [b"<", b"<script>", b"<script", b"a", b"sk-", b"***", b"api key", b" "])
@pytest.mark.slow
def test_hostile_bodies_cost_little(filler: bytes) -> None:
    def cost(size: int) -> int:
        page, message = b"<html>" + filler * size * 100, json.dumps({"error": {"message": (filler * size).decode()}})
        return effort(lambda: (failure(500, {}, page), failure(500, {}, message.encode())))

    cost(1)
    assert cost(2_000) <= 8 * 1.1 * cost(250)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Fri, 20 Nov 2026 12:00:30 GMT", 30.0),
        ("Fri, 20 Nov 2026 12:00:30 -0000", 30.0),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("Fri, 20 Nov 99999 12:00:30 GMT", None),
        ("Fri, 20 Nov 2026 12:00:30 +99999999999", None),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    assert failure(429, {"Retry-After": header}, b"", now=NOW).retry_after == seconds
    assert failure(429, {}, b"", now=NOW).retry_after is None


def test_the_trace_id_is_kept() -> None:
    assert failure(500, {"X-Ds-Trace-Id": "0123"}, b"").trace_id == "0123"


def test_errors_inside_a_stream() -> None:
    error = stream_failure({"error": {"message": "Overloaded", "type": "service_unavailable_error", "code": 503}})
    assert str(error) == "The endpoint broke off: Overloaded. Try again: the failure is on the endpoint's side."
    assert (error.status, error.type, error.code) == (None, "service_unavailable_error", 503)
    deep = json.loads('{"message": ' + "[" * 900 + "]" * 900 + "}")
    assert isinstance(stream_failure(deep), ServerFailed)
    assert str(stream_failure(None)).startswith("The endpoint broke off: it gave no reason. ")


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(300, 599))
def test_any_body_gives_an_error_that_can_be_written(said: bytes, status: int) -> None:
    error = failure(status, {}, said)
    assert isinstance(error, ApiError)
    str(error).encode()
