"""Any OpenAI-compatible server as the engine: vLLM, SGLang, Ollama, llama.cpp, another emulator.

What is the server's: the text, in the pieces in which it streams; reasoning (``reasoning_content``, ``reasoning``, or
``<think>`` at the beginning of the content); tool calls; logprobs; the finish reason; and every count in ``usage``, in
tokens of the server's own tokenizer. What is the emulator's: everything else that DeepSeek's contract says, and what
those tokens would cost there.

Cached prompt tokens are those that the server reports. One that reports none leaves the API's field at 0, which the log
tells once: vLLM wants ``--enable-prompt-tokens-details``, SGLang ``--enable-cache-report``; Ollama reports none.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from typing import Any
from urllib.parse import urlsplit

import httpx

from dsnb.contract.error_bodies import error
from dsnb.emulator.engines.live import Counts, Ending, EngineFailure, Piece, Told, broken, overloaded
from dsnb.emulator.engines.protocol import ARGUMENTS, CALL, CONTENT, REASONING, EngineRequest
from dsnb.emulator.engines.thoughts import Thoughts
from dsnb.emulator.logprobs import entry
from dsnb.emulator.output import BROKEN_OFF
from dsnb.errors import EmulatorError
from dsnb.offline import LOOPBACK, OFFLINE_VARIABLE, offline

KEY_VARIABLE = "DSNB_ENGINE_KEY"

_UNREPORTED = "The server at %s does not report cached prompt tokens: prompt_cache_hit_tokens says 0 for them."
_CONNECT_SECONDS = 10.0  # as the client's own default; how long a reply may take is the emulator's to say
_LONGEST_LINE = 16 * 2**20  # bytes; the client takes no longer frame either
_ERROR_BYTES = 4096  # of an error's body that are read
_BUSY = (429, 502, 503, 504)
_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
# Reasons of vLLM, SGLang, Ollama and llama.cpp beside the API's own; one that nobody knows counts as a stop.
_FINISHES = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    BROKEN_OFF: BROKEN_OFF,
    "abort": BROKEN_OFF,
    "error": BROKEN_OFF,
}
# The API's own words, which vLLM and SGLang use too.
_TOO_LONG = re.compile(
    r"maximum context length is (\d{1,9}) tokens.{0,80}?requested (\d{1,9}) tokens"
    r" \((\d{1,9}) in the messages, (\d{1,9}) in the completion\)"
)


class UpstreamEngine:
    """Ask an OpenAI-compatible server at ``url``, such as ``"http://127.0.0.1:8000/v1"``.

    ``model`` is the name to ask for, by default the first that the server lists; it can also stand behind the URL, as
    in ``"http://127.0.0.1:11434/v1#qwen3:0.6b"``. ``key`` is the server's API key, by default what DSNB_ENGINE_KEY
    holds (a server on this machine gets some text for one); the key that a client shows the emulator goes nowhere.

    The server gets the messages, tools, ``max_tokens``, ``stop``, JSON mode, logprobs and those sampling parameters
    that the model in DeepSeek's contract heeds, with temperature 0 where the request names none and the emulator's
    seed. A server may still answer the same request differently another time: batches, caches and threads change the
    order of floating-point sums. Whether to think is told as ``chat_template_kwargs``, which templates may ignore:
    without reasoning from the server, a reply in thinking mode has an empty ``reasoning_content``; reasoning that was
    not asked for is dropped, and counted. ``effort``, ``user_id`` and strict schemas have no counterpart, and the
    server's cache is shared by all users. A gap to fill goes to ``/completions`` with its ``suffix``, which servers may
    ignore.

    Raises `EmulatorError` for a URL that is none, that holds a password, or that leaves this machine under
    DSNB_OFFLINE=1, and for a key that cannot be one.
    """

    name = "upstream"

    def __init__(self, url: str, *, model: str | None = None, key: str | None = None) -> None:
        address, _, behind = url.partition("#")
        self._url = _checked(address)
        self._model = model or behind or None
        self._local = urlsplit(self._url).hostname in LOOPBACK
        self._key = key or os.environ.get(KEY_VARIABLE, "").strip() or ("local" if self._local else "")
        if not all("!" <= sign <= "~" for sign in self._key):
            raise EmulatorError("the engine's key has spaces or other signs that no key has: copy it anew.")
        # Plain HTTP needs no certificates, and reading them takes a tenth of a second.
        self._verify = httpx.create_ssl_context() if self._url.startswith("https") else False
        self._more: dict[str, Any] = {}  # what only some servers understand
        self._told = False  # that this server does not report what it had in its cache

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url})"

    def start(self) -> None:
        """Do nothing: the server runs already, or will."""

    def close(self) -> None:
        """Do nothing: the server is somebody else's."""

    async def pieces(self, request: EngineRequest) -> AsyncGenerator[Told]:
        """Yield the server's answer as it streams. Closing the generator closes the connection, which ends the work."""
        chat = request.prompt is None
        try:
            async with self._client() as client:
                model = self._model = self._model or await self._first_model(client)
                body = {"model": model, **(_chat(request) if chat else _text(request)), **self._more}
                path = "/chat/completions" if chat else "/completions"
                async with client.stream("POST", self._url + path, json=body) as response:
                    await _check(response)
                    # Closed here and in this order, and not by the garbage collector some time later.
                    async with (
                        aclosing(_frames(response)) as frames,
                        aclosing(_Reading(request).read(frames)) as parts,
                    ):
                        async for told in parts:
                            if isinstance(told, Counts) and told.cached is None and not self._told:
                                self._told = True
                                logging.getLogger(__name__).warning(_UNREPORTED, self._url)
                            yield told
        except httpx.ConnectError as problem:
            raise overloaded(f"nothing answers at {self._url}: start the server, or mend the URL.") from problem
        except httpx.TimeoutException as problem:
            raise overloaded(f"{self._url} took too long: {type(problem).__name__}.") from problem
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            why = f"{type(problem).__name__} {problem}".strip()
            raise broken(f"the exchange with {self._url} broke: {why}") from problem

    def _client(self) -> httpx.AsyncClient:
        """Return a client for one exchange: a connection to this machine costs less than keeping one for later."""
        headers = {"authorization": f"Bearer {self._key}"} if self._key else {}
        timeout = httpx.Timeout(None, connect=_CONNECT_SECONDS)
        # A proxy of the environment has no business on loopback.
        return httpx.AsyncClient(headers=headers, timeout=timeout, trust_env=not self._local, verify=self._verify)

    async def _first_model(self, client: httpx.AsyncClient) -> str:
        response = await client.get(f"{self._url}/models", timeout=_CONNECT_SECONDS)
        await _check(response)
        rows = _mapping(_parsed(response.content)).get("data")
        names = [_mapping(row).get("id") for row in rows] if isinstance(rows, list) else []
        name = next((name for name in names if isinstance(name, str) and name), None)
        if name is None:
            raise broken(f"{self._url}/models lists no model: name one behind the URL, as in {self._url}#NAME.")
        return name


class _Reading:
    """Read one reply's chunks."""

    def __init__(self, request: EngineRequest) -> None:
        self._logprobs = request.settings.logprobs and request.prompt is None
        self._most = request.settings.top_logprobs
        self._thoughts = Thoughts()
        self._calls: dict[object, int] = {}
        self._finish = ""

    async def read(self, frames: AsyncIterator[bytes]) -> AsyncGenerator[Told]:
        """Yield what the chunks say. Raises EngineFailure for what is no stream of chunks, or not a whole one."""
        done = False
        async for frame in frames:
            if frame == b"[DONE]":
                done = True
                break
            chunk = _mapping(_parsed(frame))
            if chunk.get("error"):
                raise broken(f"the server broke off: {_short(json.dumps(chunk['error'], ensure_ascii=False))}")
            for piece in self._pieces(chunk):
                yield piece
            counts = _counts(chunk)
            if counts is not None:
                yield counts
        for kind, text in self._thoughts.finish():
            yield Piece(kind, text)
        if not self._finish and not done:
            raise broken("the server's stream ended before the reply did.")
        yield Ending(_FINISHES.get(self._finish, "stop"))

    def _pieces(self, chunk: Mapping[str, Any]) -> Iterator[Piece]:
        choices = chunk.get("choices")
        choice = _mapping(choices[0]) if isinstance(choices, list) and choices else {}
        delta = _mapping(choice.get("delta"))
        logprobs = _mapping(choice.get("logprobs")) if self._logprobs else {}
        rows = logprobs.get("content")
        thought = _string(delta.get("reasoning_content")) or _string(delta.get("reasoning"))
        if thought:
            yield Piece(REASONING, thought, logprobs=self._entries(logprobs.get("reasoning_content") or rows))
        if "delta" not in choice:
            if text := _string(choice.get("text")):
                yield Piece(CONTENT, text)
        elif text := _string(delta.get("content")):
            for kind, part in self._thoughts.feed(text):
                yield Piece(kind, part, logprobs=self._entries(rows))
                rows = None
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            yield from self._call(_mapping(call))
        if finish := _string(choice.get("finish_reason")):
            self._finish = finish

    def _call(self, call: Mapping[str, Any]) -> Iterator[Piece]:
        """Yield what one delta of a tool call says; some servers number no call, and send each whole."""
        function = _mapping(call.get("function"))
        name, arguments = _string(function.get("name")), _string(function.get("arguments"))
        place: object = call.get("index")
        if not isinstance(place, int):
            place = len(self._calls) if name else len(self._calls) - 1
        if place not in self._calls:
            if not name:
                return
            self._calls[place] = len(self._calls)
            yield Piece(CALL, call=self._calls[place], name=name)
        if arguments:
            yield Piece(ARGUMENTS, arguments, self._calls[place])

    def _entries(self, rows: object) -> str:
        entries = []
        for row in rows if isinstance(rows, list) else ():
            pair, others = _pair(row), _mapping(row).get("top_logprobs")
            if pair is not None:
                top = [one for one in map(_pair, others if isinstance(others, list) else ()) if one is not None]
                entries.append(entry(*pair, top[: self._most]))
        return ",".join(entries)


def _chat(request: EngineRequest) -> dict[str, Any]:
    """Return the body of a chat request, in words that the servers share."""
    settings, thinking = request.settings, request.settings.thinking
    body = _common(request)
    body["messages"] = [
        {key: value for key, value in message.items() if key != "prefix"} for message in request.messages
    ]
    body["chat_template_kwargs"] = {"enable_thinking": thinking, "thinking": thinking}
    body["thinking"] = {"type": "enabled" if thinking else "disabled"}
    if settings.prefix:  # llama.cpp and Ollama go on with a last message of the assistant's anyway
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    if settings.json_mode:
        body["response_format"] = {"type": "json_object"}
    if settings.tools:
        body["tools"] = list(settings.tools)
        if request.body.get("tool_choice") is not None:
            body["tool_choice"] = request.body["tool_choice"]
    if settings.logprobs:
        body |= {"logprobs": True, "top_logprobs": settings.top_logprobs}
    return body


def _text(request: EngineRequest) -> dict[str, Any]:
    """Return the body of a request to fill a gap."""
    gap = {"suffix": request.suffix} if request.suffix else {}
    return {**_common(request), "prompt": request.prompt, **gap}


def _common(request: EngineRequest) -> dict[str, Any]:
    settings, asked = request.settings, request.body
    unheeded = {finding.where for finding in request.ignored}
    sampling = {name: asked[name] for name in _SAMPLING if asked.get(name) is not None and name not in unheeded}
    body = {
        "stream": True,
        "stream_options": {"include_usage": True},
        "seed": request.seed,
        "temperature": 0,
        **sampling,
    }
    if settings.explicit_max_tokens:
        body["max_tokens"] = settings.max_tokens
    if settings.stop:
        body["stop"] = list(settings.stop)
    return body


async def _check(response: httpx.Response) -> None:
    """Raise EngineFailure for an error status."""
    if response.status_code == 200:
        return
    body = b""
    async for data in response.aiter_bytes():
        body += data
        if len(body) >= _ERROR_BYTES:
            break
    said = f"{response.url} answered {response.status_code}: {_short(body[:_ERROR_BYTES].decode('utf-8', 'replace'))}"
    if response.status_code == 400 and (found := _context(body)):
        raise EngineFailure(said, error("context_length", **found))
    raise (overloaded if response.status_code in _BUSY else broken)(said)


def _context(body: bytes) -> dict[str, int] | None:
    """Return the numbers of an error that says that the prompt is too long for the server's model."""
    found = _TOO_LONG.search(body.decode("utf-8", "replace"))
    if found:
        return dict(zip(("limit", "requested", "prompt", "completion"), map(int, found.groups()), strict=True))
    try:
        told = _mapping(_mapping(json.loads(body)).get("error"))
    except (ValueError, RecursionError):
        return None
    prompt, limit = _count(told.get("n_prompt_tokens")), _count(told.get("n_ctx"))  # llama.cpp
    if prompt is None or limit is None:
        return None
    return {"limit": limit, "requested": prompt, "prompt": prompt, "completion": 0}


async def _frames(response: httpx.Response) -> AsyncGenerator[bytes]:
    """Yield the data of each event; those of these servers have one line."""
    kind = response.headers.get("content-type", "")
    if "text/event-stream" not in kind:
        raise broken(f"{response.url} answered with {kind or 'no content type'} where a stream was asked for.")
    rest = bytearray()
    async for data in response.aiter_bytes():
        rest += data
        *lines, last = rest.split(b"\n") if b"\n" in data else [rest]
        if len(last) > _LONGEST_LINE:
            raise broken(f"{response.url} sent a line of more than {_LONGEST_LINE // 2**20} MiB.")
        rest = last
        for line in lines:
            if line.startswith(b"data:"):
                yield bytes(line[5:].strip())
    if rest.startswith(b"data:"):
        yield bytes(rest[5:].strip())


def _counts(chunk: Mapping[str, Any]) -> Counts | None:
    """Return what a chunk counts: at the end ``usage``, and on the way llama.cpp's ``timings``."""
    usage, timings = _mapping(chunk.get("usage")), _mapping(chunk.get("timings"))
    if usage:
        cached = _count(_mapping(usage.get("prompt_tokens_details")).get("cached_tokens"))
        thought = _count(_mapping(usage.get("completion_tokens_details")).get("reasoning_tokens"))
        hit = _count(usage.get("prompt_cache_hit_tokens"))
        prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
        return Counts(prompt, hit if cached is None else cached, completion, thought)
    cached, computed = _count(timings.get("cache_n")), _count(timings.get("prompt_n"))
    if cached is None or computed is None:
        return None
    return Counts(cached + computed, cached, _count(timings.get("predicted_n")))


def _pair(row: object) -> tuple[str, float] | None:
    """Return a token and its log probability, None for anything else."""
    token, logprob = _mapping(row).get("token"), _mapping(row).get("logprob")
    if not isinstance(token, str) or isinstance(logprob, bool) or not isinstance(logprob, int | float):
        return None
    return (token, float(logprob)) if abs(logprob) < 1e9 and math.isfinite(logprob) else None


def _checked(url: str) -> str:
    """Return a base URL without its last slash."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise EmulatorError(f"{url!r} is no base URL of a server: write one such as 'http://127.0.0.1:8000/v1'.")
    if parts.password is not None or parts.username is not None:
        raise EmulatorError(f"a key does not belong into a URL: put it into {KEY_VARIABLE}, or pass key=....")
    if host not in LOOPBACK and offline():
        raise EmulatorError(
            f"{OFFLINE_VARIABLE}=1 keeps every call on this machine, but the engine is at {host}. "
            f"Name a server on 127.0.0.1, or unset {OFFLINE_VARIABLE}."
        )
    return url.rstrip("/")


def _parsed(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as problem:
        raise broken(f"the server sent what is no JSON: {_short(data[:200].decode('utf-8', 'replace'))}") from problem


def _short(text: str) -> str:
    return " ".join(text.split())[:200]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**12 else None
