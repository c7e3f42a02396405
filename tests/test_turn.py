"""Turns of several requests: tools that run, JSON that is asked for again, limits that end both."""

import asyncio
import json
import threading
from dataclasses import dataclass

import pytest

import dsnb
from dsnb import errors
from dsnb.emulator.engines import Answer, ToolCall
from tests.once import ONCE
from tests.patience import PATIENCE


@dsnb.tool
def get_price(symbol: str) -> float:
    """Return the price of a stock.

    Args:
        symbol: its ticker
    """
    return {"AAPL": 12.5, "MSFT": 30.0}[symbol]


@pytest.fixture(params=["sync", "async"])
def both(request):
    """Ask in one way or the other; `both(emulator)` gives the function and the session."""
    with asyncio.Runner() as runner:
        sessions = []

        def connect(emulator, **options):
            ds = dsnb.connect(emulator.base_url, quiet=True, **options)
            sessions.append(ds)

            def ask(prompt="hello", **options):
                return runner.run(ds.aask(prompt, **options)) if request.param == "async" else ds.ask(prompt, **options)

            return ask, ds

        yield connect
        for ds in sessions:
            runner.run(ds.aclose())


def scripted(*answers):
    """Return an engine that gives one answer after the other, the last one for ever."""
    left = list(answers)
    lock = threading.Lock()

    def engine(request):
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return engine


def calling(name, arguments="{}", **options):
    return Answer(reasoning="I call", content="", tool_calls=(ToolCall(name, arguments),), **options)


def test_a_tool_is_called_and_its_result_told(both):
    with dsnb.Emulator() as emulator:
        ask, ds = both(emulator)
        reply = ask("get_price of the symbol AAPL", tools=[get_price])
        assert reply.outcome == "stop"
        assert "12.5" in reply.answer
        assert [(call.name, call.result, call.failed) for call in reply.tool_calls] == [("get_price", "12.5", False)]
        assert [one.outcome for one in reply.rounds] == ["tool_calls", "stop"]
        assert reply.usage.prompt_tokens == sum(row.prompt_tokens for row in emulator.ledger())
        assert reply.cost.usd == sum(row.cost.usd for row in emulator.ledger())
        assert reply.attempts == 2
        assert reply.timing.total >= sum(one.timing.total for one in reply.rounds)
        first, second = emulator.requests()
        assert second["messages"] == first["messages"] + reply.messages[:2]
        assert second["messages"][1]["reasoning_content"] == reply.rounds[0].reasoning
        assert ds.last is reply
        frame, attempts = ds.usage.frame(), ds.usage.frame("attempts")
        assert (len(frame), len(attempts)) == (1, 2)
        assert frame.prompt_tokens[0] == reply.usage.prompt_tokens


def test_events_tell_the_calls_and_their_results_and_add_up():
    with dsnb.Emulator() as emulator, dsnb.connect(emulator.base_url, quiet=True) as ds:
        events = list(ds.stream("get_price of the symbol AAPL", tools=[get_price]))
        reply = events[-1].reply
        assert "".join(event.text for event in events if event.type == "reasoning") == reply.reasoning
        assert "".join(event.text for event in events if event.type == "tool") == reply.tool_calls[0].arguments
        assert [event.tool.result for event in events if event.type == "tool"][-1] == "12.5"
        assert "".join(event.text for event in events if event.type == "answer") == reply.answer


def test_what_goes_wrong_in_a_tool_is_told_to_the_model(both):
    with dsnb.Emulator(
        engine=scripted(
            calling("get_price", '{"symbol": "NONE"}'),
            calling("get_prize", "{}"),
            calling("get_price", '{"symbol": '),
            calling("get_price", '{"ticker": "AAPL"}'),
            Answer(reasoning=None, content="I give up"),
        )
    ) as emulator:
        ask, _ = both(emulator)
        reply = ask(tools=[get_price])
        assert (reply.outcome, reply.answer) == ("stop", "I give up")
        assert all(call.failed for call in reply.tool_calls)
        said = [json.loads(call.result)["error"] for call in reply.tool_calls]
        for words, expected in zip(said, ["KeyError", "get_price", "JSON", "symbol"], strict=True):
            assert expected in words


def test_a_call_that_was_cut_off_is_never_executed(both):
    ran = []

    @dsnb.tool
    def save(text: str) -> str:
        """Save a text."""
        ran.append(text)
        return "saved"

    whole = calling("save", json.dumps({"text": "word " * 50}))
    with dsnb.Emulator(engine=scripted(whole, Answer(reasoning=None, content="too long"))) as emulator:
        ask, _ = both(emulator)
        reply = ask(tools=[save], max_tokens=60)
        assert ran == []
        assert reply.rounds[0].outcome == "length"
        assert reply.tool_calls[0].failed
        assert reply.answer == "too long"


@pytest.mark.parametrize("fault", ["cut@15", "stall@15"])
def test_a_stream_that_breaks_in_a_call_runs_nothing(both, fault):
    with dsnb.Emulator(engine=scripted(calling("get_price", '{"symbol": "AAPL"}')), faults=[fault]) as emulator:
        ask, _ = both(emulator, timeouts=dsnb.Timeouts(stall=0.1), retry=ONCE)
        reply = ask(tools=[get_price])
        assert reply.outcome in {"truncated", "stalled"}
        assert [call.result for call in reply.tool_calls] == [None] * len(reply.tool_calls)
        assert len(emulator.requests()) == 1


def test_a_model_that_never_stops_calling_is_stopped(both):
    with dsnb.Emulator(engine=scripted(calling("get_price", '{"symbol": "AAPL"}'))) as emulator:
        ask, ds = both(emulator)
        reply = ask(tools=[get_price], max_rounds=4)
        assert len(emulator.requests()) == 4
        assert reply.outcome == "tool_calls"
        assert [call.failed for call in reply.tool_calls] == [False, False, False, True]
        assert "max_rounds" in reply.tool_calls[-1].result
        assert [note.where for note in reply.notes if note.effect == "changed"] == ["max_rounds"]
        assert ds.conversation().messages == []
        with pytest.raises(errors.RequestError, match="max_rounds=0"):
            ask(tools=[get_price], max_rounds=0)


def test_tools_that_are_only_schemas_are_left_to_the_caller(both):
    schema = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
    with dsnb.Emulator(engine=scripted(calling("now"))) as emulator:
        ask, _ = both(emulator)
        reply = ask(tools=[schema])
        assert reply.outcome == "tool_calls"
        assert reply.tool_calls[0].result is None
        assert len(emulator.requests()) == 1


def test_three_slow_tools_run_at_the_same_time(both):
    meeting = threading.Barrier(3)

    @dsnb.tool
    def meet(name: str) -> str:
        """Wait until three are here."""
        meeting.wait(PATIENCE)
        return f"{name} was there"

    calls = tuple(ToolCall("meet", json.dumps({"name": name})) for name in ("Ada", "Bob", "Eve"))
    answers = Answer(reasoning=None, content="", tool_calls=calls), Answer(reasoning=None, content="done")
    with dsnb.Emulator(engine=scripted(*answers)) as emulator:
        ask, _ = both(emulator)
        reply = ask(tools=[meet])
        assert [call.result for call in reply.tool_calls] == ["Ada was there", "Bob was there", "Eve was there"]


def test_the_deadline_holds_for_all_rounds_together(both):
    @dsnb.tool
    def wait() -> str:
        """Wait for ever."""
        over.wait(PATIENCE)
        return "never"

    over = threading.Event()
    try:
        with dsnb.Emulator(engine=scripted(calling("wait"))) as emulator:
            ask, ds = both(emulator)
            with pytest.raises(errors.DeadlineExceeded) as caught:
                ask(tools=[wait], deadline=1)
            assert caught.value.reply.tool_calls[0].failed
            assert ds.usage.frame().outcome[0] != "stop"
    finally:
        over.set()


def test_a_forced_call_is_made_without_thinking_and_said_so(both):
    with dsnb.Emulator() as emulator:
        ask, _ = both(emulator)
        reply = ask("the price of AAPL", tools=[get_price], tool_choice="required")
        assert [body["thinking"] for body in emulator.requests()] == [{"type": "disabled"}] * 2
        assert [body.get("tool_choice") for body in emulator.requests()] == ["required", "auto"]
        assert reply.outcome == "stop"
        assert [note.effect for note in reply.notes if "thinking" in note.rule] == ["changed"]
        with pytest.raises(errors.RequestRejected, match="tool_choice"):
            ask("the price of AAPL", tools=[get_price], tool_choice="required", thinking=True)


def test_strict_tools_go_to_the_beta_route_by_themselves(both):
    with dsnb.Emulator() as emulator:
        ask, _ = both(emulator)
        assert ask("get_price of AAPL", tools=[get_price]).outcome == "stop"
        assert emulator.requests()[0]["tools"][0]["function"]["strict"] is True

        @dsnb.tool
        def maybe(name: str = "x") -> str:
            """Take a name or none."""
            return name

        reply = ask("get_price of AAPL", tools=[get_price, maybe])
        assert not any(tool["function"].get("strict") for tool in emulator.requests()[-1]["tools"])
        assert any("name" in note.message or "name" in note.mend for note in reply.notes if "strict" in note.rule)


@dataclass
class Person:
    name: str
    age: int


def test_json_of_a_type_comes_back_as_that_type(both):
    with dsnb.Emulator(engine=scripted(Answer(reasoning=None, content='{"name": "Ada", "age": 36}'))) as emulator:
        ask, _ = both(emulator)
        reply = ask("Who is Ada?", json=Person)
        assert reply.parsed == Person("Ada", 36)
        body = emulator.requests()[0]
        assert body["response_format"] == {"type": "json_object"}
        assert "json" in body["messages"][0]["content"].lower()


def test_json_that_is_none_is_asked_for_again_once(both):
    good, bad = '{"name": "Ada", "age": 36}', '{"name": "Ada", "age": "old"}'
    engine = scripted(Answer(reasoning=None, content=bad), Answer(reasoning=None, content=good))
    with dsnb.Emulator(engine=engine) as emulator:
        ask, ds = both(emulator)
        reply = ask("Who is Ada?", json=Person)
        assert reply.parsed == Person("Ada", 36)
        assert reply.answer == good
        assert "age" in emulator.requests()[1]["messages"][-1]["content"]
        assert reply.usage.prompt_tokens == sum(row.prompt_tokens for row in emulator.ledger())
        assert [message["content"] for message in reply.messages] == [good], "a history needs no failed attempts"
        assert len(ds.usage.frame("attempts")) == 2


def test_json_that_never_comes_is_an_error_that_keeps_the_text(both):
    with dsnb.Emulator(engine=scripted(Answer(reasoning=None, content="no json from me"))) as emulator:
        ask, _ = both(emulator)
        with pytest.raises(errors.InvalidOutput) as caught:
            ask("Who is Ada?", json=Person)
        assert len(emulator.requests()) == 2
        assert caught.value.reply.answer == "no json from me"


def test_a_model_that_writes_blanks_for_ever_is_cut_off(both):
    blanks = Answer(reasoning=None, content="{" + " \n" * 3000)
    engine = scripted(blanks, Answer(reasoning=None, content='{"name": "Ada", "age": 36}'))
    with dsnb.Emulator(engine=engine) as emulator:
        ask, _ = both(emulator)
        reply = ask("Who is Ada?", json=Person)
        assert reply.parsed == Person("Ada", 36)
        assert len(reply.rounds[0].answer) < 3000


def test_interrupting_a_tool_leaves_a_history_that_can_be_sent():
    def interrupt() -> str:
        """Press Ctrl-C."""
        raise KeyboardInterrupt

    engine = scripted(calling("interrupt"), Answer(reasoning=None, content="fine"))
    with dsnb.Emulator(engine=engine) as emulator, dsnb.connect(emulator.base_url, quiet=True) as ds:
        chat = ds.conversation(tools=[interrupt])
        with pytest.raises(KeyboardInterrupt):
            chat.ask("go")
        assert ds.last.outcome == "interrupted"
        assert ds.last.tool_calls[0].failed
        assert [message["role"] for message in chat.messages] == ["user", "assistant", "tool"]
        assert chat.ask("and now?").answer == "fine"
        assert list(ds.usage.frame().outcome) == ["interrupted", "stop"]


def test_json_that_was_cut_off_is_not_asked_for_again(both):
    with dsnb.Emulator(
        engine=scripted(Answer(reasoning=None, content='{"name": "Ada, the first of all"}'))
    ) as emulator:
        ask, _ = both(emulator)
        with pytest.raises(errors.InvalidOutput, match="max_tokens"):
            ask("Who is Ada?", json=Person, max_tokens=5)
        assert len(emulator.requests()) == 1
