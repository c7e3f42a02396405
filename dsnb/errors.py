"""Everything that can go wrong, as one tree.

DsnbError                      what happened, and what to do next
├── ConfigurationError         the set-up is wrong: nothing was sent
│   ├── MissingKey             a live endpoint without a key
│   └── EmulatorError          the emulator cannot start or was asked for something it is not
├── RequestError               the request is wrong: told before sending
│   ├── UnknownModel           no such model at that date
│   │   └── RetiredModel       there was one; `.replacement` names what to ask for now
│   ├── RequestRejected        the API would answer with an error; `.findings` name each rule and its mend
│   └── BudgetSpent            the session's budget has not enough left for it
├── ApiError                   the endpoint answered with an error status
│   ├── InvalidRequest         400, 413, 415, 422: change the request
│   ├── AuthenticationFailed   401, 403: change the key
│   ├── InsufficientBalance    402: top up
│   ├── NotFound               404, 405: change the URL
│   ├── TooManyRequests        429: slow down
│   └── ServerFailed           5xx, or an error inside a stream: try again
├── ConnectionFailed           no answer came: refused, reset, timed out while connecting or waiting
├── DeadlineExceeded           the turn's own time limit ran out
├── MalformedReply             what came back is not what the API promises
└── InvalidOutput              the answer is not the JSON that was asked for

An error that belongs to a turn carries the partial `.reply`; it never carries a key, not even in part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class DsnbError(Exception):
    """Say what happened and what to do next.

    ``phase`` is where it happened (``connect``, ``queued``, ``reasoning``, ``answer``, ``tool``), ``attempts`` how
    many requests were sent, and ``reply`` the Reply as far as it had arrived; each is None where it does not apply.
    """

    def __init__(
        self, message: str, *, phase: str | None = None, attempts: int | None = None, reply: Any = None
    ) -> None:
        super().__init__(message)
        self.phase = phase
        self.attempts = attempts
        self.reply = reply

    def __reduce__(self) -> tuple[object, ...]:
        # what Exception itself does calls the class again, which fails where that wants more than the message
        return _restored, (type(self), self.args, self.__dict__)


class ConfigurationError(DsnbError):
    """Report a set-up that cannot work; nothing was sent."""


class MissingKey(ConfigurationError):
    """Report a live endpoint without an API key."""


class EmulatorError(ConfigurationError):
    """Report an emulator that cannot start, or that was asked for something it refuses."""


class RequestError(DsnbError):
    """Report a request that was stopped before it was sent."""


class UnknownModel(RequestError):
    """Report a model name that the API does not know at the contract's date."""

    def __init__(self, message: str, *, model: str) -> None:
        super().__init__(message)
        self.model = model


class RetiredModel(UnknownModel):
    """Report a model name that was switched off, and what replaces it.

    ``replacement`` is the model to ask for, ``thinking`` the switch that gives the old behaviour.
    """

    def __init__(self, message: str, *, model: str, replacement: str, thinking: bool | None) -> None:
        super().__init__(message, model=model)
        self.replacement = replacement
        self.thinking = thinking


class RequestRejected(RequestError):
    """Report a request that the API would reject, with the rule broken and the mend.

    ``findings`` lists every reason (a Finding each), first the one that the API would name. ``lint=False`` sends the
    request anyway.
    """

    def __init__(self, message: str, *, findings: Sequence[Any]) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


class BudgetSpent(RequestError):
    """Report a request that the budget has not enough left for; nothing was sent."""


class ApiError(DsnbError):
    """Report an error that the endpoint answered with.

    ``status`` is the HTTP status (None for an error inside a stream), ``type`` and ``code`` the fields of the same
    names in the body, ``trace_id`` the ``x-ds-trace-id`` header to quote to support, ``retry_after`` seconds where
    the endpoint names them.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None,
        type: str | None = None,  # noqa: A002 — the API's own name for the field
        code: str | int | None = None,
        trace_id: str | None = None,
        retry_after: float | None = None,
        **context: Any,
    ) -> None:
        super().__init__(message, **context)
        self.status = status
        self.type = type
        self.code = code
        self.trace_id = trace_id
        self.retry_after = retry_after


class InvalidRequest(ApiError):
    """Report a request that the endpoint refuses as it stands (400, 413, 415, 422)."""


class AuthenticationFailed(ApiError):
    """Report a key that the endpoint does not accept (401, 403)."""


class InsufficientBalance(ApiError):
    """Report an account without money (402)."""


class NotFound(ApiError):
    """Report a path or method that the endpoint does not have (404, 405)."""


class TooManyRequests(ApiError):
    """Report too many requests at once (429)."""


class ServerFailed(ApiError):
    """Report a failure on the endpoint's side (5xx, or an error inside a stream)."""


class ConnectionFailed(DsnbError):
    """Report that no answer came: refused, reset, or timed out while connecting or waiting."""


class DeadlineExceeded(DsnbError):
    """Report that the whole turn's time limit ran out; keep-alives do not extend it."""


class MalformedReply(DsnbError):
    """Report an answer that breaks the API's own format; ``reply`` holds what had been read."""


class InvalidOutput(DsnbError):
    """Report an answer that is not the JSON that was asked for, or does not fit the type; ``reply`` holds it whole.

    ``problems`` are what is wrong, one each, in words that the model can act on.
    """

    def __init__(self, message: str, *, problems: Sequence[str] = (), **context: Any) -> None:
        super().__init__(message, **context)
        self.problems = tuple(problems)


class DsnbWarning(UserWarning):
    """Warn of something that was put right, and say how to write it instead."""


def _restored(kind: type[DsnbError], arguments: tuple[object, ...], state: dict[str, object]) -> DsnbError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(state)
    return error
