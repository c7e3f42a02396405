"""The routes: chat completions, models and balance with and without ``/v1``; on ``/beta`` chat and text completions.

What is looked at, in this order: the key (401), path and method (404, 405), for a completion then a scheduled fault,
the content type (415), JSON and its shape (400, 422), the model, the values, the balance (402), the concurrency (429).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dsnb.contract.error_bodies import ErrorBody, error, invalid_key
from dsnb.emulator import wire
from dsnb.emulator.backend import Backend
from dsnb.emulator.connection import Connection
from dsnb.emulator.exchange import Exchange
from dsnb.emulator.headers import KEY, Headers, bearer
from dsnb.emulator.ledger import LedgerRow
from dsnb.emulator.server import App, Receive, Scope, Send
from dsnb.errors import UnknownModel

_PLAIN = ("", "/v1")
_BASES = {"": False, "/v1": False, "/beta": True}  # each with whether it is the beta API


def app(backend: Backend, headers: Headers) -> App:
    """Return the ASGI app of one emulator."""

    async def models(_: Request) -> Response:
        return answer(200, "application/json", wire.models(backend.contract(backend.clock.now)))

    async def model(request: Request) -> Response:
        contract = backend.contract(backend.clock.now)
        try:
            found = contract.model(request.path_params["name"])
        except UnknownModel:
            return refuse(error("path_unknown"))
        row = wire.model_row(found, detailed=contract.wire.models_detailed)
        return answer(200, "application/json", wire.dumps(row).encode())

    async def balance(_: Request) -> Response:
        return answer(200, "application/json", wire.dumps(backend.account.balance_body()).encode())

    def answer(status: int, content_type: str | None, body: bytes) -> Response:
        response = Response(body, status)
        response.raw_headers = headers.fixed(content_type, body)
        return response

    def refuse(found: ErrorBody) -> Response:
        return answer(found.status, found.content_type, found.body)

    async def astray(_: Request, problem: Exception) -> Response:
        wrong_method = isinstance(problem, HTTPException) and problem.status_code == 405
        return refuse(error("method_wrong" if wrong_method else "path_unknown"))

    async def turn_away(key: str, found: ErrorBody, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse whoever has no right key; the referee hears of it."""
        if scope["method"] == "POST":
            raw = await Connection(scope, receive, send).body()
            if raw is None:
                return
            visit = backend.referee.arrive(key, scope["path"], raw, backend.clock.pace)
            backend.referee.leave(visit, LedgerRow(None, None, found.status, "rejected"))
        await refuse(found)(scope, receive, send)

    routes = [
        *(
            Route(base + path, _Completions(backend, headers, beta=beta, completion=completion), methods=["POST"])
            for base, beta in _BASES.items()
            for path, completion in (("/chat/completions", False), ("/completions", True))
        ),
        *(Route(f"{base}/models", models) for base in _PLAIN),
        *(Route(f"{base}/models/{{name}}", model) for base in _PLAIN),
        *(Route(f"{base}/user/balance", balance) for base in _PLAIN),
    ]
    router = Starlette(routes=routes, exception_handlers={HTTPException: astray})
    router.router.redirect_slashes = False

    async def authenticated(scope: Scope, receive: Receive, send: Send) -> None:
        key = bearer(scope["headers"])
        if key is None:
            await turn_away("", error("key_missing"), scope, receive, send)
        elif not backend.account.accepts(key):
            await turn_away(key, invalid_key(key), scope, receive, send)
        else:
            scope[KEY] = key
            await router(scope, receive, send)

    return authenticated


class _Completions:
    """Serve one route of completions; an object and not a function, because a route takes that for an ASGI app."""

    def __init__(self, backend: Backend, headers: Headers, *, beta: bool, completion: bool) -> None:
        self._backend = backend
        self._headers = headers
        self._beta = beta
        self._completion = completion

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = Connection(scope, receive, send)
        exchange = Exchange(
            self._backend,
            self._headers,
            connection,
            key=scope[KEY],
            beta=self._beta,
            completion=self._completion,
        )
        with suppress(asyncio.CancelledError):  # the server closes: nobody is left to answer
            await exchange.serve()
