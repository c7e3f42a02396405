"""Fill-in-the-middle and prefix completion: what is sent, what is refused, and what comes back."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsnb.client.body import decode_body
from dsnb.client.credentials import Secret
from dsnb.client.decoder import StreamDecoder
from dsnb.client.dialects import DEEPSEEK, OPENAI_COMPATIBLE
from dsnb.client.echo import Echo
from dsnb.client.endpoint import Endpoint, Provider
from dsnb.client.exchange import Exchange
from dsnb.client.lint import examine, without_idle_thinking
from dsnb.client.pricing import price_of
from dsnb.client.reply import Reply
from dsnb.client.request import Request, build, build_completion
from dsnb.client.text import well_formed
from dsnb.client.timeouts import Timeouts
from dsnb.client.transport import Transport
from dsnb.connection import connect
from dsnb.contract import at
from dsnb.emulator import Emulator
from dsnb.errors import DsnbError, MalformedReply, RequestError, RequestRejected
from tests.client.streams import DONE, cut, frame
from tests.servers import END, HEAD, JSON_HEAD, ScriptedServer
from tests.servers import chunk as piece

NOW = at("2026-11-15")
USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 3,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 0},
    "prompt_cache_hit_tokens": 0,
    "prompt_cache_miss_tokens": 9,
}


def fim(prompt: str = "def f(", **options: Any) -> Request:
    return build_completion(prompt, model="deepseek-flash", **options)


def text(words: Any, finish: str | None = None, logprobs: Any = None, **others: Any) -> dict[str, Any]:
    """Return a text completion, or a chunk of one: they have the same shape."""
    choice = {"text": words, "index": 0, "logprobs": logprobs, "finish_reason": finish}
    head = {"id": "1", "object": "text_completion", "created": 1794830400, "model": "deepseek-flash"}
    return head | {"system_fingerprint": "fp", "choices": [choice], **others}


def probable(word: str, offset: int) -> dict[str, Any]:
    return {"tokens": [word], "token_logprobs": [-0.5], "top_logprobs": [{word: -0.5}], "text_offset": [offset]}


def stream(*words: str, finish: str = "stop") -> bytes:
    return b"".join([*(frame(text(word)) for word in words), frame(text("", finish, usage=USAGE)), DONE])


def reply_to(request: Request, base_url: str) -> Reply:
    provider = Provider("deepseek", base_url, dialect=DEEPSEEK, contract=True)
    endpoint, timeouts = Endpoint(provider, Secret("k")), Timeouts()
    transport = Transport(endpoint, timeouts, None)
    exchange = Exchange(request, endpoint, timeouts, pricing=price_of(NOW))
    told = "".join(event.text for event in transport.run(exchange) if event.type == "answer")
    transport.close()
    if exchange.error is not None:
        raise exchange.error
    assert told == exchange.reply.answer or not request.stream
    return exchange.reply


# ---- what is sent


def test_a_completion_goes_to_its_own_route_with_what_was_said_only() -> None:
    request = fim()
    assert (request.path, request.beta, request.completion) == ("/beta/completions", True, True)
    expected = {"model": "deepseek-flash", "prompt": "def f(", "stream": True}
    assert request.body == expected | {"stream_options": {"include_usage": True}}
    assert (request.start, request.suffix, request.echo) == ("def f(", "", "")


def test_every_keyword_of_a_completion_reaches_its_place() -> None:
    request = fim(suffix=")", max_tokens=5, logprobs=2, stop=("a",), temperature=0.0, top_p=0.5, stream=False, user="x")
    assert request.body == {
        "model": "deepseek-flash",
        "prompt": "def f(",
        "suffix": ")",
        "max_tokens": 5,
        "logprobs": 2,
        "stop": ["a"],
        "temperature": 0.0,
        "top_p": 0.5,
        "stream": False,
        "user": "x",
    }
    assert (request.start, request.suffix) == ("def f(", ")")
    assert fim(echo=True).echo == "def f("


@pytest.mark.parametrize("prompt", [None, 3, b"x", ["x"], [{"role": "user", "content": "x"}]])
def test_a_completion_of_no_text_is_told(prompt: Any) -> None:
    with pytest.raises(RequestError, match="A completion goes on with a text, not with"):
        fim(prompt)
    with pytest.raises(RequestError, match="suffix is int"):
        fim(suffix=3)


def test_a_start_is_a_message_that_the_answer_goes_on_from() -> None:
    request = build("Hi", model="deepseek-flash", start="Hel")
    assert request.path == "/beta/chat/completions"
    assert request.body["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hel", "prefix": True},
    ]
    assert (request.start, request.suffix, request.echo, request.completion) == ("Hel", "", "", False)


def test_a_message_may_be_the_start_and_begin_the_reasoning_too() -> None:
    begun = {"role": "assistant", "content": "Hel", "reasoning_content": "A greeting", "prefix": True}
    request = build([{"role": "user", "content": "Hi"}, begun], model="deepseek-flash")
    assert (request.path, request.start) == ("/beta/chat/completions", "Hel")
    assert request.body["messages"][-1] == begun
    with pytest.raises(RequestError, match="two beginnings"):
        build([{"role": "user", "content": "Hi"}, begun], model="deepseek-flash", start="Hel")


def test_other_requests_go_to_the_beta_route_when_told_to() -> None:
    assert build("Hi", model="m", beta=True).path == "/beta/chat/completions"
    assert build("Hi", model="m", start="").path == "/chat/completions"
    past = [{"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}]
    assert build(past, model="m").start == ""
    with pytest.raises(RequestError, match="start is int, not text"):
        build("Hi", model="m", start=3)  # type: ignore[arg-type] # which people do


# ---- what is refused, and what is put right


@pytest.mark.parametrize(
    ("options", "rule", "mend"),
    [
        ({"suffix": "x", "echo": True}, "completion.echo", "Leave echo or suffix out"),
        ({"logprobs": 2, "echo": True}, "completion.echo", "Leave echo or logprobs out"),
        ({"logprobs": 21}, "completion.logprobs", "between 0 and 20"),
        ({"max_tokens": 4097}, "max_tokens.range", "between 1 and 4096"),
        ({"thinking": True}, "completion.thinking", "Leave thinking out"),
        ({"stop": ["x"] * 17}, "stop.count", "at most 16"),
        ({"temperature": 3.0}, "temperature.range", "between 0 and 2"),
    ],
    ids=repr,
)
def test_a_broken_rule_of_completions_is_named_with_its_mend(options: Any, rule: str, mend: str) -> None:
    with pytest.raises(RequestRejected, match=mend) as caught:
        examine(fim(**options), NOW)
    assert [finding.rule for finding in caught.value.findings] == [rule]


def test_a_model_that_always_thinks_has_no_completions() -> None:
    then = at("2026-02-01")
    with pytest.raises(RequestRejected, match="Ask a model that need not think") as caught:
        examine(build_completion("x", model="deepseek-reasoner"), then)
    assert caught.value.findings[0].where == "model"
    assert examine(build_completion("x", model="deepseek-chat"), then) == ()


@pytest.mark.parametrize("options", [{}, {"suffix": "x", "logprobs": 20}, {"echo": True}, {"max_tokens": 4096}])
def test_completions_by_the_rules_pass(options: Any) -> None:
    assert examine(fim(**options), NOW) == ()
    assert examine(fim(thinking=False), NOW) == ()


def test_thinking_is_switched_off_where_the_answer_has_begun_and_said_so() -> None:
    request, notes = without_idle_thinking(build("Hi", model="deepseek-flash", start="Hel"), NOW)
    assert request.body["thinking"] == {"type": "disabled"}
    assert [(note.rule, note.where) for note in notes] == [("prefix.thinking", "thinking")]
    assert examine(request, NOW) == ()


REASONED = {"role": "assistant", "content": "", "reasoning_content": "Hm", "prefix": True}


@pytest.mark.parametrize(
    "request_",
    [
        build("Hi", model="deepseek-flash"),
        build("Hi", model="deepseek-flash", start="Hel", thinking=True),
        build("Hi", model="deepseek-flash", start="Hel", thinking=False),
        build("Hi", model="deepseek-flash", start="Hel", effort="max"),
        build([REASONED], model="deepseek-flash"),
        build([REASONED | {"content": "Hel"}], model="deepseek-flash"),
        build("Hi", model="nobody", start="Hel"),
        fim(),
    ],
)
def test_thinking_is_left_alone_everywhere_else(request_: Request) -> None:
    assert without_idle_thinking(request_, NOW) == (request_, ())


@pytest.mark.parametrize("model", ["deepseek-chat", "deepseek-reasoner"])
def test_thinking_is_left_alone_where_there_is_no_switch(model: str) -> None:
    request = build("Hi", model=model, start="Hel")
    assert without_idle_thinking(request, at("2025-02-01")) == (request, ())


# ---- the echo


@given(st.text(max_size=6), st.text(max_size=6), st.integers(0, 2**32))
def test_an_echo_is_swallowed_however_it_is_cut(prompt: str, answer: str, seed: int) -> None:
    units = (prompt + answer).encode("utf-16-le", "surrogatepass")
    size = 2 * (1 + seed % 3)
    pieces = [units[at : at + size].decode("utf-16-le", "surrogatepass") for at in range(0, len(units), size)]
    echo = Echo(prompt)
    assert well_formed("".join(echo.feed(piece) for piece in pieces) + echo.rest()) == answer


@given(st.text("ab", max_size=6), st.lists(st.text("ab", max_size=4), max_size=4))
def test_what_is_no_echo_passes_whole(prompt: str, pieces: list[str]) -> None:
    echo = Echo(prompt)
    said = "".join(echo.feed(piece) for piece in pieces) + echo.rest()
    whole = "".join(pieces)
    assert said == (whole.removeprefix(prompt) if whole.startswith(prompt) else whole)


def test_an_echo_that_was_cut_off_is_not_the_models() -> None:
    decoder = StreamDecoder(DEEPSEEK, "def f(")
    assert decoder.feed(frame(text("def"))) == []
    assert decoder.finish() == []
    assert (decoder.answer, decoder.outcome) == ("", "truncated")


def test_an_endpoint_that_does_not_echo_is_heard() -> None:
    decoder = StreamDecoder(DEEPSEEK, "def f(")
    events = decoder.feed(stream("de"))
    assert (decoder.answer, "".join(event.text for event in events)) == ("de", "de")
    assert decode_body(json.dumps(text("de", "stop")).encode(), DEEPSEEK, "def").answer == "de"


# ---- hostile streams


WORDS = st.lists(st.text(max_size=5) | st.sampled_from(["\ud83d", "\ude00", "<think>", "</think>"]), max_size=5)


@settings(max_examples=20, deadline=None)
@given(WORDS, st.booleans())
@pytest.mark.slow
def test_a_completion_reads_the_same_split_at_every_byte(words: list[str], echo: bool) -> None:
    prompt = "p 😀\n" if echo else ""
    data = stream(prompt, *words)
    for place in range(len(data) + 1):
        decoder = StreamDecoder(DEEPSEEK, prompt)
        events = [*decoder.feed(data[:place]), *decoder.feed(data[place:]), *decoder.finish()]
        assert decoder.answer == well_formed("".join(words))
        assert len(events) == sum(map(bool, words))
        assert (decoder.done, decoder.usage is not None) == (True, True)


VALUE = st.recursive(
    st.sampled_from([None, True, 0, -1.5, "", "Hi", "def", "\ud83d", "stop"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "tokens", "a"]), inner),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.builds(text, VALUE, VALUE, VALUE), max_size=4), st.integers(0, 2**32))
@pytest.mark.slow
def test_malformed_completions_raise_nothing_but_our_errors(chunks: list[Any], seed: int) -> None:
    data = b"".join(map(frame, chunks))
    seen = []
    for pieces in ([data], cut(data, seed)):
        decoder, error = StreamDecoder(DEEPSEEK, "def f("), None
        try:
            for part in pieces:
                decoder.feed(part)
            decoder.finish()
        except DsnbError as raised:
            error = str(raised)
        seen.append((error, decoder.answer, repr(decoder.logprobs), decoder.tokens))
    assert seen[0] == seen[1]


def test_a_text_of_another_type_is_malformed() -> None:
    with pytest.raises(MalformedReply, match="should be a text, and is a list"):
        StreamDecoder().feed(frame(text(["x"])))


# ---- over HTTP


def streamed(data: bytes) -> Callable[[Any], None]:
    return lambda connection: connection.send(HEAD, piece(data), END)


def plain(body: dict[str, Any]) -> Callable[[Any], None]:
    return lambda connection: connection.send(JSON_HEAD, piece(b"\n\n" + json.dumps(body).encode()), END)


def test_a_streamed_completion_with_logprobs() -> None:
    chunks = [text("r", logprobs=probable("r", 6)), text("):", logprobs=probable("):", 7))]
    data = b"".join(map(frame, [*chunks, text("", "length", usage=USAGE)])) + DONE
    with ScriptedServer(streamed(data)) as server:
        reply = reply_to(fim(suffix="\n    return r", logprobs=1), server.base_url)
    assert json.loads(server.requests[0])["suffix"] == "\n    return r"
    assert (reply.start, reply.answer, reply.suffix) == ("def f(", "r):", "\n    return r")
    assert reply.text == "def f(r):\n    return r"
    assert (reply.outcome, reply.model, reply.reasoning) == ("length", "deepseek-flash", None)
    assert reply.logprobs == {
        "tokens": ["r", "):"],
        "token_logprobs": [-0.5, -0.5],
        "top_logprobs": [{"r": -0.5}, {"):": -0.5}],
        "text_offset": [6, 7],
    }
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 3
    assert reply.cost is not None
    assert reply.cost.usd


def test_a_plain_completion_without_its_echo() -> None:
    body = text("def f(r):", "stop", probable("r", 6), usage=USAGE)
    with ScriptedServer(plain(body)) as server:
        reply = reply_to(fim(echo=True, stream=False), server.base_url)
    assert (reply.start, reply.answer, reply.text) == ("def f(", "r):", "def f(r):")
    assert reply.logprobs == probable("r", 6)
    assert reply.message == {"role": "assistant", "content": "def f(r):"}


def test_tags_of_thinking_are_text_in_a_completion() -> None:
    endpoint = Endpoint(Provider("other", "http://127.0.0.1", dialect=OPENAI_COMPATIBLE), Secret("k"))
    exchange = Exchange(fim(), endpoint, Timeouts())
    exchange.opened({})
    exchange.received(stream("<think>", "x</think>y"))
    exchange.settle()
    assert (exchange.reply.answer, exchange.reply.reasoning) == ("<think>x</think>y", None)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("options", [{}, {"suffix": "\n    return area"}, {"echo": True}, {"logprobs": 2}], ids=repr)
def test_the_emulator_completes(emulator: Emulator, options: Any, stream: bool) -> None:
    prompt = "def area(r): # 😀\n"
    reply = reply_to(fim(prompt, stream=stream, max_tokens=20, **options), emulator.base_url)
    assert reply.answer
    assert (reply.start, reply.suffix) == (prompt, options.get("suffix", ""))
    assert not reply.answer.startswith(prompt)
    assert reply.emulated
    billed = emulator.ledger()[-1]
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (
        billed.prompt_tokens,
        billed.completion_tokens,
    )
    if "logprobs" in options:
        assert reply.logprobs is not None
        assert "".join(reply.logprobs["tokens"]) == reply.answer
        assert len(reply.logprobs["top_logprobs"]) == reply.usage.completion_tokens


@pytest.mark.parametrize("stream", [True, False])
def test_the_emulator_goes_on_from_a_start(emulator: Emulator, stream: bool) -> None:
    request = build("Write code.", model="deepseek-flash", start="```python\n", stop=["```"], stream=stream)
    request, _ = without_idle_thinking(request, emulator.contract)
    reply = reply_to(request, emulator.base_url)
    assert (reply.start, reply.reasoning) == ("```python\n", None)
    assert reply.message == {"role": "assistant", "content": "```python\n" + reply.answer}
    assert not reply.answer.startswith("```")


def test_reasoning_that_was_begun_is_whole_in_the_history():
    begun = {"role": "assistant", "content": "It is", "reasoning_content": "I think that", "prefix": True}
    with Emulator() as emulator, connect(emulator.base_url, quiet=True) as ds:
        reply = ds.ask([{"role": "user", "content": "what is it?"}, begun], render=None)
        assert reply.message["content"] == "It is" + reply.answer
        assert reply.message["reasoning_content"] == "I think that" + (reply.reasoning or "")
