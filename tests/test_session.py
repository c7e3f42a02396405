"""The way of a question, end to end: session, client, real HTTP, emulator and back."""

import asyncio
from contextlib import aclosing

import pytest

import dsnb
from dsnb import errors
from tests.once import ONCE

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
def emulator():
    with dsnb.Emulator() as emulator:
        yield emulator


@pytest.fixture(params=["sync", "async"])
def ask(request, emulator):
    """Ask the emulator in one way or the other."""
    with asyncio.Runner() as runner, dsnb.connect(emulator.base_url, retry=ONCE) as ds:

        def ask(prompt="hello", **options):
            return runner.run(ds.aask(prompt, **options)) if request.param == "async" else ds.ask(prompt, **options)

        ask.session = ds
        yield ask
        runner.run(ds.aclose())


@pytest.mark.parametrize("stream", [True, False])
def test_a_reply_has_everything(ask, emulator, stream):
    reply = ask(stream=stream)
    row = emulator.ledger()[-1]
    assert reply.outcome == reply.finish_reason == "stop"
    assert reply.answer == str(reply) != ""
    assert reply.reasoning
    assert reply.message == {"role": "assistant", "content": reply.answer, "reasoning_content": reply.reasoning}
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (row.prompt_tokens, row.completion_tokens)
    assert reply.usage.cache_hit_tokens == row.cache_hit_tokens
    assert reply.cost.usd == row.cost.usd
    assert reply.id == row.id
    assert (reply.model, reply.asked_model) == ("deepseek-flash", "deepseek-flash")
    assert len(reply.trace_id) == 32
    assert reply.timing.total > 0
    assert "\n" not in repr(reply)
    assert ask.session.last is reply


def test_streamed_or_not_it_is_the_same_reply(ask):
    one, other = ask(), ask(stream=False)
    assert (one.answer, one.reasoning, one.usage.completion_tokens) == (
        other.answer,
        other.reasoning,
        other.usage.completion_tokens,
    )


def test_thinking_can_be_switched(ask):
    assert ask(thinking=False).reasoning is None
    assert ask(effort="none").reasoning is None
    assert ask(effort="max").reasoning


def test_tool_calls_come_back_with_their_raw_arguments(ask):
    for stream in (True, False):
        reply = ask("What is the weather in Paris?", tools=[WEATHER], stream=stream)
        assert reply.outcome == "tool_calls"
        assert [(call.name, call.arguments) for call in reply.tool_calls] == [("get_weather", '{"city": "Paris"}')]
        assert reply.message["tool_calls"][0]["id"] == reply.tool_calls[0].id


def test_json_mode_and_logprobs(ask):
    assert str(ask("Answer as json.", json=True, thinking=False)).startswith("{")
    reply = ask(thinking=False, max_tokens=3, logprobs=True)
    assert reply.outcome == "length"
    assert len(reply.logprobs["content"]) == 3


@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [
        (400, errors.InvalidRequest, 400),
        (401, errors.AuthenticationFailed, 401),
        (402, errors.InsufficientBalance, 402),
        (429, errors.TooManyRequests, 429),
        (500, errors.ServerFailed, 500),
        (502, errors.ServerFailed, 502),
        (503, errors.ServerFailed, 503),
        (504, errors.ServerFailed, 504),
    ],
)
def test_an_error_status_is_a_typed_error(ask, emulator, fault, kind, status):
    emulator.faults = [fault]
    with pytest.raises(kind) as caught:
        ask()
    error = caught.value
    assert (error.status, error.attempts, error.phase) == (status, 1, "connect")
    assert error.reply.outcome == "interrupted"
    assert len(error.trace_id) == 32
    assert error.__context__ is None, "the SDK's error holds the request, and that the key"
    assert ask().outcome == "stop"


@pytest.mark.parametrize("fault", ["cut@5", "eof@5", "reset@5"])
def test_a_broken_stream_is_truncated(ask, emulator, fault):
    emulator.faults = [fault]
    reply = ask(thinking=False)
    assert (reply.outcome, reply.finish_reason, reply.usage) == ("truncated", None, None)
    if fault != "reset@5":  # a reset may overtake what was sent before it
        assert reply.answer
    assert ask().outcome == "stop"


def test_an_empty_reply_is_told_from_an_answer(ask, emulator):
    emulator.faults = ["empty"]
    reply = ask(thinking=False)
    assert (reply.outcome, reply.finish_reason, reply.answer) == ("empty", "stop", "")


def test_a_malformed_frame_is_an_error_that_keeps_what_came(ask, emulator):
    emulator.faults = ["malformed@8"]
    with pytest.raises(errors.MalformedReply, match="not JSON") as caught:
        ask(thinking=False)
    whole = ask(thinking=False)
    assert caught.value.reply.outcome == "truncated"
    assert whole.answer.startswith(caught.value.reply.answer)
    assert caught.value.reply is not whole


def test_a_plain_reply_that_breaks_off_is_no_reply(ask, emulator):
    emulator.faults = ["cut@5"]
    with pytest.raises(errors.ConnectionFailed):
        ask(stream=False)


def test_a_refused_connection_is_told(ask, emulator):
    emulator.faults = ["refuse"]
    with pytest.raises(errors.ConnectionFailed) as caught:
        ask()
    assert caught.value.phase == "connect"


def test_events_come_in_order_and_add_up(emulator):
    with dsnb.connect(emulator.base_url) as ds:
        events = list(ds.stream("What is the weather in Paris?", tools=[WEATHER]))
        kinds = [event.type for event in events]
        assert kinds == ["reasoning"] * kinds.count("reasoning") + ["tool"] * kinds.count("tool") + ["end"]
        reply = events[-1].reply
        assert "".join(event.text for event in events if event.type == "reasoning") == reply.reasoning
        assert "".join(event.text for event in events if event.type == "tool") == reply.tool_calls[0].arguments
        assert reply is ds.last


def test_async_events_are_the_same_events(emulator):
    async def collect():
        async with dsnb.connect(emulator.base_url) as ds, aclosing(ds.astream("hello")) as events:
            return [(event.type, event.text) async for event in events]

    with dsnb.connect(emulator.base_url) as ds:
        assert asyncio.run(collect()) == [(event.type, event.text) for event in ds.stream("hello")]


def test_a_keyboard_interrupt_keeps_the_partial_reply():
    with dsnb.Emulator(pace=0.5) as emulator, dsnb.connect(emulator.base_url) as ds:
        events = ds.stream("hello", thinking=False)
        first = next(event for event in events if event.type == "answer")
        with pytest.raises(KeyboardInterrupt):
            events.throw(KeyboardInterrupt)
        assert ds.last.outcome == "interrupted"
        assert ds.last.answer.startswith(first.text)
        partial, emulator.clock.pace = ds.last.answer, 0
        whole = ds.ask("hello", thinking=False)
        assert whole.outcome == "stop"
        assert whole.answer.startswith(partial)
        assert len(partial) < len(whole.answer)


def test_lint_speaks_at_the_call_not_at_the_first_event(emulator):
    with dsnb.connect(emulator.base_url) as ds:
        with pytest.raises(errors.RequestRejected):
            ds.stream("hello", temperature=3)
        with pytest.raises(errors.RequestRejected):
            ds.astream("hello", temperature=3)


def test_the_raw_sdk_is_tuned_and_at_hand(emulator):
    with dsnb.connect(emulator.base_url) as ds:
        completion = ds.openai.chat.completions.create(
            model="deepseek-flash", messages=[{"role": "user", "content": "hello"}]
        )
        assert completion.choices[0].message.content == ds.ask("hello").answer
        assert ds.openai.max_retries == 0


def test_two_event_loops_may_use_one_session(emulator):
    ds = dsnb.connect(emulator.base_url)

    async def once():
        reply = await ds.aask("hello")
        await ds.aclose()
        return reply.outcome

    assert [asyncio.run(once()), asyncio.run(once())] == ["stop", "stop"]
