"""From what an endpoint says went wrong to the typed error that says what to do."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from dsnb.client.text import quote
from dsnb.contract.error_bodies import advice
from dsnb.errors import (
    ApiError,
    AuthenticationFailed,
    InsufficientBalance,
    InvalidRequest,
    MalformedReply,
    NotFound,
    ServerFailed,
    TooManyRequests,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_BY_STATUS: Final[Mapping[int, type[ApiError]]] = {
    401: AuthenticationFailed,
    402: InsufficientBalance,
    403: AuthenticationFailed,
    404: NotFound,
    405: NotFound,
    408: ServerFailed,  # the server gave up waiting: nothing is wrong with the request
    410: NotFound,
    429: TooManyRequests,
}
_NO_FUNDS: Final = frozenset({"insufficient_quota", "insufficient_balance", "insufficient_funds"})  # OpenAI and others
_ADVICE: Final[Mapping[type[ApiError], str]] = {  # for any host; what DeepSeek's own needs is in its contract
    InvalidRequest: "Change the request: sent again as it is, it fails again.",
    AuthenticationFailed: "Check the API key of this endpoint, and where it is taken from (`dsnb doctor` says).",
    InsufficientBalance: "Top up the account at this endpoint, or use the key of another.",
    NotFound: "Check the base URL, and that this endpoint has the model and what the request asks for.",
    TooManyRequests: "Wait and try again, with fewer requests at a time.",
    ServerFailed: "Try again: the failure is on the endpoint's side.",
}
_READ: Final = 16 * 1024  # bytes of an error body that are looked at; recorded ones are below 1 KiB


def failure(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    contract: bool = False,
    attempts: int | None = None,
    phase: str | None = None,
    now: datetime | None = None,
) -> ApiError:
    """Return the error for an HTTP answer with an error status.

    Its message is what the endpoint said, shortened and without any part of a key, and what to do next. ``body`` is
    JSON in any of the shapes that endpoints use, plain text, a proxy's HTML page, or nothing. ``contract``: the
    endpoint is DeepSeek's, so the advice may name its pages. ``now`` is the instant from which a ``Retry-After`` date
    counts; by default the clock's.
    """
    named = {name.lower(): value for name, value in headers.items()}
    said, type_, code = _read(body[:_READ])
    kind = _BY_STATUS.get(status, ServerFailed if status >= 500 else NotFound if status < 400 else InvalidRequest)
    if kind is TooManyRequests and not _NO_FUNDS.isdisjoint({type_, code}):
        kind = InsufficientBalance
    next_step = advice(status, type_).next if contract and status >= 400 else _ADVICE[kind]
    return kind(
        f"HTTP {status}: {_sentence(said or _phrase(status))} {next_step}",
        status=status,
        type=type_,
        code=code,
        trace_id=named.get("x-ds-trace-id"),
        retry_after=_retry_after(named, now or datetime.now(UTC)),
        attempts=attempts,
        phase=phase,
    )


def stream_failure(payload: object) -> ServerFailed:
    """Return the error for an error object that came where tokens should, after a status of 200."""
    said, type_, code = _unpack(payload)
    message = f"The endpoint broke off: {_sentence(said or 'it gave no reason')} {_ADVICE[ServerFailed]}"
    return ServerFailed(message, status=None, type=type_, code=code)


def malformed(what: str, expected: str, found: object) -> MalformedReply:
    """Return the error for a part of a reply that has not the type that the API promises."""
    return MalformedReply(
        f"The endpoint's reply breaks the format: {what} should be {expected}, and is {_TYPES[type(found)]}. "
        "Ask again; if it stays so, this endpoint does not speak the chat completions format."
    )


_TYPES: Final[Mapping[type, str]] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}

_Said = tuple[str, str | None, str | int | None]  # message, type, code


def _read(body: bytes) -> _Said:
    text = body.decode("utf-8", "replace").strip()
    try:
        return _unpack(json.loads(text))
    except (ValueError, RecursionError):  # no JSON
        return _plain(text), None, None


def _unpack(payload: Any) -> _Said:
    if type(payload) is list:  # Gemini's compatible endpoint
        payload = payload[0] if payload else None
    if type(payload) is not dict:
        return (payload if type(payload) is str else ""), None, None
    error = payload["error"] if type(payload.get("error")) is dict else payload
    said = next((error[name] for name in ("message", "error", "detail", "msg") if error.get(name)), "")
    if type(said) is not str:
        said = _written(said)
    metadata = error.get("metadata")
    if type(metadata) is dict and type(metadata.get("raw")) is str:  # OpenRouter: what the host behind it said
        said = f"{said} ({metadata['raw']})"
    type_, code = error.get("type"), error.get("code")
    if type(code) is str:
        code = quote(code, 100)
    return said, quote(type_, 100) if type(type_) is str else None, code if type(code) in {str, int} else None


def _written(value: object) -> str:
    try:
        return str(value)
    except RecursionError:
        return ""


def _plain(text: str) -> str:
    if not text.startswith("<"):
        return text
    text = re.sub(r"(?is)<(script|style)\b.*?</\1\s*>", " ", text)
    return unescape(re.sub(r"<[^<>]*>", " ", text))


def _sentence(text: str) -> str:
    text = quote(text)
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "the endpoint gave no reason"


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that ``Retry-After`` asks for: a number, or a date (RFC 9110, section 10.2.3)."""
    text = headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now.timestamp()
    return max(seconds, 0.0) if math.isfinite(seconds) else None
