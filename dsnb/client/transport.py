"""The one room that touches HTTP. The SDK does keys, URLs, errors and timeouts; the bytes of an answer are ours.

openai 3 runs on httpx2 and still takes a client of httpx, its predecessor; both are accepted here and fail alike.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Iterator, MutableMapping
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx
import httpx2
from openai import APIConnectionError, APIStatusError, APITimeoutError, AsyncOpenAI, AsyncStream, OpenAI, Stream

from dsnb.client.endpoint import Endpoint
from dsnb.client.events import Event
from dsnb.client.exchange import Exchange, no_answer
from dsnb.client.failures import failure
from dsnb.client.timeouts import Timeouts
from dsnb.client.unanswered import answered, cutter, sending, watched
from dsnb.client.watchdog import watchdog
from dsnb.errors import ConfigurationError, DsnbError, MalformedReply

SyncClient = httpx2.Client | httpx.Client
AsyncClient = httpx2.AsyncClient | httpx.AsyncClient

_LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)  # fewer starve 500 streams (measured)
_TIMED_OUT = (httpx2.TimeoutException, httpx.TimeoutException, APITimeoutError)
_BROKEN = (
    *(httpx2.TransportError, httpx2.DecodingError, httpx2.StreamError),
    *(httpx.TransportError, httpx.DecodingError, httpx.StreamError),
    APIConnectionError,
)


class Transport:
    """Carry exchanges to one endpoint, through the SDK's tuned clients.

    ``http_client`` is a client of httpx2 or httpx, sync or async, that the caller owns and closes; the other kind is
    made here. On a sync one that was given, a stop is heard from the first byte of the answer on. Raises
    ConfigurationError for anything else.
    """

    def __init__(self, endpoint: Endpoint, timeouts: Timeouts, http_client: SyncClient | AsyncClient | None) -> None:
        if http_client is not None and not isinstance(http_client, SyncClient | AsyncClient):
            raise ConfigurationError(
                f"http_client is {type(http_client).__module__}.{type(http_client).__name__}: "
                "give a Client or AsyncClient of httpx2 or httpx."
            )
        self.endpoint = endpoint
        self.timeouts = timeouts
        self._http_client = http_client
        self._async_clients: MutableMapping[object, AsyncOpenAI] = WeakKeyDictionary()

    @cached_property
    def openai(self) -> OpenAI:
        """The SDK's client: its own retries are off, since one layer retries and it is ours."""
        given = self._http_client
        client = given if isinstance(given, SyncClient) else watched(httpx2.Client(**self._http_options))
        return OpenAI(http_client=client, **self._sdk_options)  # type: ignore[arg-type] # httpx.Client is accepted

    @property
    def async_openai(self) -> AsyncOpenAI:
        """The SDK's async client, tuned like the other; one for each event loop, since connections belong to theirs."""
        loop = _running_loop()
        if loop not in self._async_clients:
            given = self._http_client
            client = given if isinstance(given, AsyncClient) else httpx2.AsyncClient(**self._http_options)
            self._async_clients[loop] = AsyncOpenAI(http_client=client, **self._sdk_options)  # type: ignore[arg-type] # as above
        return self._async_clients[loop]

    def run(self, exchange: Exchange) -> Iterator[Event]:
        """Send the request and yield its events; `exchange` then knows how it ended."""
        response: Any = None
        exchange.began()
        try:
            try:
                with sending(exchange.watch):
                    response = self.openai.post(**self._posted(exchange), stream_cls=Stream[Any])
                exchange.opened(response.headers)
                with watchdog.guard(exchange.watch, cutter(response.extensions.get("network_stream"))):
                    for data in response.iter_bytes():
                        yield from exchange.received(data)
                        if exchange.over:
                            break
            except APIStatusError as error:
                exchange.refused(error.status_code, error.response.headers, error.response.content)
            except _BROKEN as error:
                exchange.broke(_describe(error))
            yield from exchange.ended()
        except BaseException:
            exchange.interrupted()
            raise
        finally:
            exchange.settle()
            if response is not None:
                response.close()

    async def arun(self, exchange: Exchange) -> AsyncGenerator[Event]:
        """Do as `run` does, for an event loop."""
        response: Any = None
        exchange.began()
        try:
            try:
                posted = self.async_openai.post(**self._posted(exchange), stream_cls=AsyncStream[Any])
                response = await answered(exchange.watch, posted)
                exchange.opened(response.headers)
                with watchdog.guard(exchange.watch, cutter(response.extensions.get("network_stream"))):
                    async for data in response.aiter_bytes():
                        for event in exchange.received(data):
                            yield event
                        if exchange.over:
                            break
            except APIStatusError as error:
                exchange.refused(error.status_code, error.response.headers, error.response.content)
            except _BROKEN as error:
                exchange.broke(_describe(error))
            for event in exchange.ended():
                yield event
        except BaseException:
            exchange.interrupted()
            raise
        finally:
            exchange.settle()
            if response is not None:
                await response.aclose()

    def get(self, path: str) -> Any:
        """Return the JSON of one of the API's free calls; raise ApiError, ConnectionFailed or MalformedReply."""
        try:
            response: Any = self.openai.get(path, cast_to=httpx2.Response)
            return response.json()
        except APIStatusError as error:
            answer = error.response
            problem: DsnbError = failure(
                error.status_code, answer.headers, answer.content, contract=self.endpoint.provider.contract
            )
        except _BROKEN as error:
            problem = no_answer(self.endpoint, _describe(error))
        except ValueError:
            problem = MalformedReply(f"{self.endpoint.base_url}{path} answered with something that is not JSON.")
        raise problem  # out here, so that no request, and no key, hangs on to it as its context

    def close(self) -> None:
        """Close the sync connections that were opened here; a client that was given stays open."""
        if "openai" in self.__dict__ and not isinstance(self._http_client, SyncClient):
            self.openai.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and those that `close` closes."""
        self.close()
        client = self._async_clients.pop(_running_loop(), None)
        if client is not None and not isinstance(self._http_client, AsyncClient):
            await client.close()

    @property
    def _http_options(self) -> dict[str, Any]:
        parts = urlsplit(self.endpoint.base_url)
        secure = parts.scheme == "https"
        return {
            "base_url": self.endpoint.base_url,
            "limits": _LIMITS,
            "timeout": self._transport_timeout(),
            # without TLS there is nothing to verify, and to read the certificates takes 50 ms
            "verify": secure,
            "follow_redirects": secure,
            # a proxy named by the environment has no business between us and our own machine
            "trust_env": parts.hostname not in {"127.0.0.1", "localhost", "::1"},
        }

    @property
    def _sdk_options(self) -> dict[str, Any]:
        return {
            "base_url": self.endpoint.base_url,
            "api_key": self.endpoint.key.reveal(),
            "max_retries": 0,
            "timeout": self._transport_timeout(),
        }

    def _transport_timeout(self, within: float = math.inf) -> httpx2.Timeout:
        own = {name: getattr(self.timeouts, name) for name in ("connect", "read", "write", "pool")}
        limits = {name: min(within, math.inf if limit is None else limit) for name, limit in own.items()}
        return httpx2.Timeout(**{name: None if limit == math.inf else limit for name, limit in limits.items()})

    def _posted(self, exchange: Exchange) -> dict[str, Any]:
        return {
            "path": exchange.request.path,
            "body": exchange.request.body,
            "cast_to": httpx2.Response,
            "options": {"timeout": self._timeout(exchange)},
            "stream": True,
        }

    def _timeout(self, exchange: Exchange) -> httpx2.Timeout:
        # until the first byte there is no socket to cut, so the transport's own limits keep within the deadline
        return self._transport_timeout(max(exchange.watch.remaining, 0.001))


class _NoLoop:
    """Stand for the absence of an event loop among the keys of a weak mapping."""


_NO_LOOP = _NoLoop()


def _running_loop() -> object:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return _NO_LOOP


def _describe(error: BaseException) -> str:
    """Say what broke, in words; never the request, which holds the key."""
    cause = error.__cause__ or error
    if isinstance(error, _TIMED_OUT) or isinstance(cause, _TIMED_OUT):
        kind = {
            "ConnectTimeout": "connecting",
            "ReadTimeout": "reading",
            "WriteTimeout": "writing",
            "PoolTimeout": "waiting for a free connection",
        }
        return f"{kind.get(type(cause).__name__, 'waiting')} timed out"
    text = str(cause).strip()
    return f"{text} ({type(cause).__name__})" if text else type(cause).__name__
