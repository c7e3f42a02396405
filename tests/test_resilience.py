"""What is done for a turn that fails: asked again, elsewhere, or gone on with; and what is never done."""

import asyncio
import random
import threading
from itertools import count

import pytest

import dsnb
from dsnb import errors
from dsnb.emulator.engines import Answer, ToolCall
from tests.once import ONCE, QUICK
from tests.patience import PATIENCE
from tests.servers import HEAD, ScriptedServer, chunk, delta

TEXT = "One two three four five six seven eight nine ten, and so on until the end of the story. " * 6


@pytest.fixture(params=["sync", "async"])
def connect(request):
    """Connect to emulators; sessions ask in one way or the other."""
    with asyncio.Runner() as runner:
        sessions = []

        def connect(place, **options):
            ds = dsnb.connect(place, quiet=True, **{"retry": QUICK, **options})
            sessions.append(ds)
            asked = ds.ask
            if request.param == "async":
                ds.ask = lambda *args, **options: runner.run(ds.aask(*args, **options))
            assert asked
            return ds

        yield connect
        for ds in sessions:
            runner.run(ds.aclose())


def story(_request):
    return Answer(reasoning="I tell a story.", content=TEXT)


@pytest.mark.parametrize(
    "fault", [429, 500, 502, 503, 504, "refuse", "empty", "malformed@3", "cut@2", "reset@2", "eof@2"]
)
@pytest.mark.parametrize("stream", [True, False])
def test_what_may_go_well_the_next_time_is_asked_again(connect, fault, stream):
    with dsnb.Emulator() as emulator:
        ds = connect(emulator.base_url)
        whole = ds.ask("hello", stream=stream)
        emulator.faults = [fault, "ok"]
        reply = ds.ask("hello", stream=stream)
        assert (reply.outcome, reply.answer, reply.reasoning) == ("stop", whole.answer, whole.reasoning)
        assert reply.attempts == 2
        assert len(ds.usage.frame("attempts")) == 3
        assert list(ds.usage.frame().attempts) == [1, 2]


@pytest.mark.parametrize("fault", [400, 401, 402])
def test_what_fails_again_the_next_time_is_not_asked_again(connect, fault):
    with dsnb.Emulator(faults=[fault]) as emulator:
        ds = connect(emulator.base_url)
        with pytest.raises(errors.ApiError):
            ds.ask("hello")
        assert len(emulator.ledger()) == 1


def test_attempts_are_counted_and_end(connect):
    with dsnb.Emulator(faults={503: 1.0}) as emulator:
        ds = connect(emulator.base_url, retry=dsnb.Retry(attempts=4, first=0.001, longest=0.002))
        with pytest.raises(errors.ServerFailed) as caught:
            ds.ask("hello")
        assert caught.value.attempts == 4
        assert len(emulator.ledger()) == 4


def test_retry_after_is_obeyed_within_its_limit(connect):
    slept = []

    async def asleep(seconds):
        slept.append(seconds)

    retry = dsnb.Retry(first=0.001, longest=0.002, sleep=slept.append, asleep=asleep, obeyed=60)
    with dsnb.Emulator(faults=["503@7", "429@60", "ok"]) as emulator:
        assert connect(emulator.base_url, retry=retry).ask("hello").outcome == "stop"
        assert slept == [7, 60]
        emulator.faults = ["503@61"]
        with pytest.raises(errors.ServerFailed):
            connect(emulator.base_url, retry=retry).ask("hello")
        assert slept == [7, 60]


@pytest.mark.slow
def test_pauses_are_random_grow_and_stay_within_their_limits(connect):
    slept = []

    async def asleep(seconds):
        slept.append(seconds)

    retry = dsnb.Retry(attempts=200, first=0.5, longest=20, sleep=slept.append, asleep=asleep, failures=1000)
    with dsnb.Emulator(faults={503: 1.0}) as emulator, pytest.raises(errors.ServerFailed):
        connect(emulator.base_url, retry=retry).ask("hello")
    assert len(slept) == 199
    assert all(0.5 <= pause <= 20 for pause in slept)
    assert slept[0] <= 1.5
    assert len(set(slept)) > 190, "also at their limit, or everybody would come back at once"
    assert max(slept) > 10


def test_no_time_is_waited_for_that_is_not_there(connect):
    with dsnb.Emulator(faults={"503@30": 1.0}) as emulator:
        ds = connect(emulator.base_url)
        with pytest.raises(errors.ServerFailed):
            ds.ask("hello", deadline=5)
        assert len(emulator.ledger()) == 1


def test_events_say_what_is_waited_for_and_what_is_void():
    with (
        dsnb.Emulator(faults=[503, "cut@4", "ok"]) as emulator,
        dsnb.connect(emulator.base_url, quiet=True, retry=QUICK) as ds,
    ):
        events = list(ds.stream("hello"))
        retries = [event for event in events if event.type == "retry"]
        assert [event.anew for event in retries] == [False, True]
        assert "HTTP 503" in retries[0].text
        assert "attempt 2 of 6" in retries[0].text
        after = events[events.index(retries[-1]) :]
        assert "".join(event.text for event in after if event.type == "reasoning") == ds.last.reasoning
        assert "".join(event.text for event in after if event.type == "answer") == ds.last.answer


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("fault", ["cut", "eof", "reset", "stall"])
def test_an_answer_that_was_cut_is_gone_on_with(connect, fault, thinking):
    with dsnb.Emulator(engine=story) as emulator:
        stall = 0.5 if fault == "stall" else PATIENCE  # less, and a busy machine stalls by itself
        ds = connect(emulator.base_url, timeouts=dsnb.Timeouts(stall=stall))
        whole = ds.ask("tell", thinking=thinking)
        emulator.faults = [f"{fault}@60", f"{fault}@30", "ok"]
        reply = ds.ask("tell", thinking=thinking)
        assert (reply.outcome, reply.answer, reply.reasoning) == ("stop", TEXT, whole.reasoning)
        if fault != "reset":  # which may overtake what was sent before it
            assert len(reply.seams) == 2
            second = emulator.requests()[-1]["messages"][-1]
            assert (second["prefix"], second["content"]) == (True, TEXT[: reply.seams[1]])
            assert second.get("reasoning_content") == whole.reasoning
        assert len(ds.usage.frame("attempts")) == 4
        assert reply.messages[0]["content"] == TEXT


@pytest.fixture
def story_teller():
    """An emulator that tells a story in several scripts, and a session that asks it."""
    with (
        dsnb.Emulator(engine=lambda _request: Answer(SCRIPTS, THOUGHT)) as emulator,
        dsnb.connect(emulator.base_url, quiet=True, retry=QUICK) as ds,
    ):
        yield emulator, ds


SCRIPTS = (
    "Once 海 and 🦀🦀 met; 你好世界，很高兴认识你。 Naïve 👩‍👩‍👧 café\n\n  indented   code: x = 12345678 + 3.14159;\n"
    "\tThe END. 𓀀𓀁 And so on. "
) * 2
THOUGHT = "I tell a story 想 🤔."


def parts(reply):
    """Return all that has to be the same, cut or uncut."""
    return reply.text, reply.reasoning, reply.outcome, reply.message


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.slow
def test_wherever_it_is_cut_the_text_is_the_same_and_every_token_is_accounted_for(story_teller, thinking):
    emulator, ds = story_teller
    whole = ds.ask("tell", thinking=thinking)
    draw = random.Random(7)  # noqa: S311 — the same places each time, and no secrets
    for _ in range(50):
        place, kind = draw.randint(1, whole.usage.completion_tokens), draw.choice(["cut", "eof", "malformed"])
        emulator.faults = [f"{kind}@{place}"]
        reply = ds.ask("tell", thinking=thinking)
        assert parts(reply) == parts(whole), f"{kind} after {place} tokens"
        assert reply.attempts in (2, 3)  # after the last word there is nothing to go on with
    rows, frame = emulator.ledger(), ds.usage.frame("attempts")
    known = frame[~frame.unknown]
    by_id = {row.id: row for row in rows}
    assert len(rows) == len(frame)
    assert [by_id[each].completion_tokens for each in known.response_id] == list(known.completion_tokens)
    assert {row.outcome for row in rows if row.id not in set(known.response_id)} == {"cut", "eof", "malformed"}
    turns = ds.usage.frame()
    assert int(turns.completion_tokens.sum()) == int(known.completion_tokens.sum())
    assert list(turns.attempts - turns.unknown) == [1] + [
        int((known.turn == turn).sum()) for turn in turns.turn.iloc[1:]
    ]


@pytest.mark.parametrize("thinking", [True, False])
def test_a_limit_of_tokens_holds_over_the_seam(story_teller, thinking):
    emulator, ds = story_teller
    total = ds.ask("tell", thinking=thinking).usage.completion_tokens
    for limit in (1, 9, 10, 24, 25, 60, total - 1, total, total + 1):
        emulator.faults = None
        whole = ds.ask("tell", thinking=thinking, max_tokens=limit)
        for place in range(max(1, limit - 3), min(limit, total) + 1):
            emulator.faults = [f"cut@{place}"]
            reply = ds.ask("tell", thinking=thinking, max_tokens=limit)
            assert parts(reply) == parts(whole), f"cut after {place} of {limit} tokens"


@pytest.mark.parametrize("stop", ["很高", "END", "🦀 m", "\n\n", "5678 +"])
def test_a_stop_string_holds_over_the_seam(story_teller, stop):
    emulator, ds = story_teller
    whole = ds.ask("tell", thinking=False, stop=stop)
    assert whole.answer == SCRIPTS.partition(stop)[0]
    for place in range(1, whole.usage.completion_tokens + 1, 2):
        emulator.faults = [f"cut@{place}"]
        assert parts(ds.ask("tell", thinking=False, stop=stop)) == parts(whole)


@pytest.mark.parametrize(
    "prompt",
    [
        {"start": SCRIPTS[:9]},
        {"start": SCRIPTS[:9], "thinking": True},
        {"start": SCRIPTS[:9], "thinking": False, "max_tokens": 30},
    ],
)
@pytest.mark.slow
def test_an_answer_that_was_begun_is_gone_on_with(story_teller, prompt):
    emulator, ds = story_teller
    whole = ds.ask("tell", **prompt)
    for place in range(1, whole.usage.completion_tokens, 3):
        emulator.faults = [f"cut@{place}", "cut@2"]
        reply = ds.ask("tell", **prompt)
        assert parts(reply) == parts(whole)
        assert reply.text.startswith(SCRIPTS[:9])
        assert sum(message["role"] == "assistant" for message in emulator.requests()[-1]["messages"]) == 1


def test_reasoning_that_was_begun_is_gone_on_with(story_teller):
    emulator, ds = story_teller
    begun = {"role": "assistant", "content": "", "reasoning_content": THOUGHT[:6], "prefix": True}
    asked = [{"role": "user", "content": "tell"}, begun]
    whole = ds.ask(asked, thinking=True)
    assert whole.reasoning == THOUGHT[6:]
    for place in range(1, whole.usage.completion_tokens, 5):
        emulator.faults = [f"cut@{place}"]
        reply = ds.ask(asked, thinking=True)
        assert parts(reply) == parts(whole)
        last = emulator.requests()[-1]["messages"]
        assert [message["role"] for message in last] == ["user", "assistant"]
        assert last[-1]["reasoning_content"] in (THOUGHT, THOUGHT[:6])


def test_json_is_gone_on_with(connect):
    with dsnb.Emulator() as emulator:
        ds = connect(emulator.base_url)
        whole = ds.ask('Answer in JSON: {"name": "Ada", "born": 1815}', json=True)
        for place in range(1, whole.usage.completion_tokens, 4):
            emulator.faults = [f"cut@{place}"]
            reply = ds.ask('Answer in JSON: {"name": "Ada", "born": 1815}', json=True)
            assert (reply.parsed, reply.answer) == (whole.parsed, whole.answer)


@pytest.mark.slow
def test_a_conversation_and_its_tools_do_not_notice(connect):
    @dsnb.tool
    def look(what: str) -> str:
        """Look at something."""
        return f"{what}: 42"

    def looking(request):
        if request.last_user == "look" and not request.results:
            return Answer("I look at it. 看！", "A tool.", (ToolCall("look", '{"what": "海"}'),))
        return f"Then it was {request.results or request.last_user} 🦀, and they all went home."

    def talk(ds, emulator, faults):
        chat = ds.conversation(tools=[look])
        for prompt in ("hello", "look", "and then?"):
            emulator.faults = faults
            assert ds.ask(prompt, into=chat).outcome == "stop"
        return chat.messages

    def without_ids(messages):
        kept = []
        for message in messages:
            calls = [call["function"] for call in message.get("tool_calls", ())]
            kept.append({**message, "tool_calls": calls, "tool_call_id": None})
        return kept

    with dsnb.Emulator(engine=looking) as emulator:
        ds = connect(emulator.base_url)
        whole = without_ids(talk(ds, emulator, None))
        for place in range(1, 30, 4):
            found = talk(ds, emulator, [f"cut@{place}", f"eof@{place + 1}", 503, f"cut@{place + 2}"])
            assert without_ids(found) == whole


@pytest.mark.slow
def test_what_a_continuation_said_before_its_call_was_cut_is_told_again():
    @dsnb.tool
    def look(what: str) -> str:
        """Look at something."""
        return "42"

    def looking(request):
        if request.results:
            return "Done."
        return Answer("I look at it, here and there.", None, (ToolCall("look", '{"what": "the sea and the sky"}'),))

    with (
        dsnb.Emulator(engine=looking) as emulator,
        dsnb.connect(emulator.base_url, quiet=True, retry=QUICK) as ds,
    ):
        for place in range(5, 30):  # some of them within the text, some within the call
            emulator.faults = ["cut@3", f"cut@{place}"]
            reply = ds.ask("look", tools=[look], thinking=False)
            assert reply.rounds[0].answer == "I look at it, here and there."
            assert [call.result for call in reply.tool_calls] == ["42"]


@pytest.mark.parametrize("faults", [["malformed@9"], ["cut@9", "malformed@9", 503], ["eof@5", "empty", "malformed@5"]])
def test_the_events_say_what_the_reply_says(faults):
    with (
        dsnb.Emulator(engine=story, faults=faults) as emulator,
        dsnb.connect(emulator.base_url, quiet=True, retry=QUICK) as ds,
    ):
        told = ""
        for event in ds.stream("tell", thinking=False):
            told = "" if event.anew else told + (event.text if event.type == "answer" else "")
        assert told == ds.last.answer == TEXT


def test_nobody_waits_for_an_answer_that_is_broken_already():
    with (
        ScriptedServer(
            lambda talk: (talk.send(HEAD, chunk(delta("Hm")), chunk(b"data: {no\n\n")), talk.hold())
        ) as server,
        dsnb.connect(server.base_url, "any", quiet=True, retry=ONCE, usage=dsnb.UsageLog()) as ds,
        pytest.raises(errors.MalformedReply) as caught,
    ):
        ds.ask("hello")
    assert caught.value.reply.answer == "Hm"


def test_those_who_wait_for_the_endpoint_do_not_wait_for_the_end_of_its_first_answer():
    retry = dsnb.Retry(first=0.001, longest=0.002, probe=0.01, longest_probe=0.01, failures=2)
    with (
        dsnb.Emulator(engine=story, faults=[503, 503, "stall@9", "ok"]) as emulator,
        dsnb.connect(emulator.base_url, quiet=True, retry=retry) as ds,
    ):
        slow = ds.stream("tell", thinking=False)
        while next(slow).type != "answer":  # it has met the outage, and found its end
            pass
        assert ds.gate().open
        assert ds.ask("hello", thinking=False).outcome == "stop"
        slow.close()


def test_what_is_cut_again_and_again_comes_back_as_far_as_it_came(connect):
    with dsnb.Emulator(engine=story, faults={"cut@9": 1.0}) as emulator:
        ds = connect(emulator.base_url, retry=dsnb.Retry(attempts=4, first=0.001, longest=0.002))
        reply = ds.ask("tell", thinking=False)
        assert reply.outcome == "truncated"
        assert TEXT.startswith(reply.answer)
        assert len(reply.seams) == 3
        emulator.faults = ["cut@9", 503, 503, 503]
        reply = ds.ask("tell", thinking=False)
        assert reply.outcome == "truncated"
        assert TEXT.startswith(reply.answer) != ""


def test_never_in_the_middle_of_a_call():
    @dsnb.tool
    def get_price(symbol: str) -> float:
        """Return the price of a stock."""
        return 12.5

    with dsnb.Emulator() as emulator, dsnb.connect(emulator.base_url, quiet=True, retry=QUICK) as ds:
        whole = ds.ask("get_price of AAPL", tools=[get_price])
        for place in range(1, 50, 4):
            emulator.faults = [f"cut@{place}"]
            reply = ds.ask("get_price of AAPL", tools=[get_price])
            assert (reply.outcome, reply.answer) == ("stop", whole.answer)
            assert [call.result for call in reply.tool_calls] == ["12.5"]


# --- other endpoints ---


def test_the_chain_is_asked_in_its_order_and_says_who_answered(connect):
    with dsnb.Emulator(faults={503: 1.0}) as one, dsnb.Emulator() as other:
        ds = connect(one.base_url, fallback=[dsnb.Provider("other", other.base_url, contract=True)])
        reply = ds.ask("hello")
        assert reply.outcome == "stop"
        assert len(one.ledger()) == QUICK.elsewhere
        assert len(other.ledger()) == 1
        assert list(ds.usage.frame("attempts").status) == [503, 503, 200]


def test_an_account_without_money_is_left_at_once(connect):
    with dsnb.Emulator(faults=[402]) as one, dsnb.Emulator() as other:
        ds = connect(one.base_url, fallback=[other.base_url])
        assert ds.ask("hello").outcome == "stop"
        assert (len(one.ledger()), len(other.ledger())) == (1, 1)
        one.faults = other.faults = [402]
        with pytest.raises(errors.InsufficientBalance):
            ds.ask("hello")


def test_what_is_wrong_with_the_request_is_not_carried_elsewhere(connect):
    with dsnb.Emulator(faults=[400]) as one, dsnb.Emulator() as other:
        ds = connect(one.base_url, fallback=[other.base_url])
        with pytest.raises(errors.InvalidRequest):
            ds.ask("hello")
        assert other.ledger() == []


def test_a_host_of_another_kind_gets_its_names_and_no_reasoning(connect):
    with dsnb.Emulator() as one, dsnb.Emulator() as other:
        host = dsnb.Provider("host", other.base_url, models={"deepseek-flash": "deepseek-v4-pro"})
        ds = connect(one.base_url, fallback=[host])
        chat = ds.conversation()
        ds.ask("hello", into=chat)
        one.faults = {503: 1.0}
        reply = ds.ask("and now?", into=chat)
        body = other.requests()[-1]
        assert (reply.outcome, body["model"]) == ("stop", "deepseek-v4-pro")
        assert not any("reasoning_content" in message for message in body["messages"])
        assert reply.cost is None, "nobody knows its prices"


def test_a_cut_answer_is_gone_on_with_elsewhere(connect):
    with dsnb.Emulator(engine=story) as one, dsnb.Emulator(engine=story) as other:
        ds = connect(one.base_url, fallback=[other.base_url])
        one.faults = ["cut@60", 503, 503]
        reply = ds.ask("tell", thinking=False)
        assert (reply.outcome, reply.answer) == ("stop", TEXT)
        assert other.requests()[0]["messages"][-1]["prefix"] is True


# --- many callers ---


def test_when_an_endpoint_is_down_everybody_waits_for_one_to_find_out():
    retry = dsnb.Retry(first=0.001, longest=0.002, probe=0.05, longest_probe=0.05, failures=5)
    with dsnb.Emulator(faults={503: 1.0}) as emulator, dsnb.connect(emulator.base_url, quiet=True, retry=retry) as ds:
        replies = []
        threads = [threading.Thread(target=lambda: replies.append(ds.ask("hello"))) for _ in range(20)]
        for thread in threads:
            thread.start()
        gate = ds.gate()
        while gate.open or gate.waiting < 15:
            pass
        sent = len(emulator.ledger())
        emulator.faults = None
        for thread in threads:
            thread.join(PATIENCE)
        assert [reply.outcome for reply in replies] == ["stop"] * 20
        assert sent <= 20 + 10
        assert gate.open


def test_a_gate_that_stays_shut_ends_at_the_deadline(connect):
    with dsnb.Emulator(faults={503: 1.0}) as emulator:
        ds = connect(
            emulator.base_url, retry=dsnb.Retry(attempts=2, first=0.001, longest=0.002, failures=2, probe=1000)
        )
        with pytest.raises(errors.ServerFailed):
            ds.ask("hello")  # twice, which shuts the gate
        with pytest.raises(errors.DeadlineExceeded, match="endpoint is down"):
            ds.ask("hello", deadline=0.1)
        assert len(emulator.ledger()) == 2
        assert not ds.gate().open
        assert repr(ds).endswith("deepseek-flash down>")
        assert repr(ds.gate()) == "<Gate shut · 0 under way · 0 waiting · limit 1000>"


def watch(emulator, refused):
    """Tell when the emulator has answered 429."""
    looks = count()
    while next(looks) < 1000 * PATIENCE and not any(row.status == 429 for row in emulator.ledger()):
        refused.wait(0.001)
    refused.set()


def test_a_limit_of_requests_at_once_is_learned():
    retry = dsnb.Retry(attempts=50, first=0.001, longest=0.01)

    async def everybody(url):
        async with dsnb.connect(url, quiet=True, retry=retry) as ds:
            replies = await asyncio.gather(*(ds.aask(f"hello {number}", render=None) for number in range(30)))
            return replies, ds.gate().limit

    def hello(_request):
        refused.wait(PATIENCE)  # nobody is answered before somebody was too many
        return "hello"

    refused = threading.Event()
    with dsnb.Emulator(concurrency=10, engine=hello) as emulator:
        watching = threading.Thread(target=lambda: watch(emulator, refused))
        watching.start()
        replies, limit = asyncio.run(everybody(emulator.base_url))
        watching.join()
    assert [reply.outcome for reply in replies] == ["stop"] * 30
    assert limit < 30


def test_without_retries_everything_is_as_it_comes(connect):
    with dsnb.Emulator(engine=story, faults=["cut@60"]) as emulator:
        reply = connect(emulator.base_url, retry=ONCE).ask("tell")
        assert (reply.outcome, reply.seams, reply.attempts) == ("truncated", (), 1)


@pytest.mark.parametrize(
    "wrong", [{"attempts": 0}, {"attempts": 1.5}, {"first": -1}, {"seconds": "long"}, {"probe": True}]
)
def test_what_is_no_way_to_try_again_is_told(wrong):
    with pytest.raises(errors.ConfigurationError, match=next(iter(wrong))):
        dsnb.Retry(**wrong)


def test_a_continuation_that_says_nothing_is_no_end():
    with (
        dsnb.Emulator(engine=story, faults=["cut@60", "empty"]) as emulator,
        dsnb.connect(emulator.base_url, quiet=True, retry=QUICK) as ds,
    ):
        reply = ds.ask("tell")
        assert (reply.outcome, reply.answer, reply.attempts) == ("stop", TEXT, 3)


def test_events_of_a_healed_answer_add_up_to_it():
    @dsnb.tool
    def get_price(symbol: str) -> float:
        """Return the price of a stock."""
        return 12.5

    with dsnb.Emulator() as emulator, dsnb.connect(emulator.base_url, quiet=True, retry=QUICK) as ds:
        emulator.faults = ["ok", "cut@45"]
        events = list(ds.stream("get_price of AAPL", tools=[get_price]))
        reply = events[-1].reply
        assert reply.rounds[1].seams
        assert "".join(event.text for event in events if event.type == "answer") == reply.answer
