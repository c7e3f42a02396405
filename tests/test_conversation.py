"""Conversations: right for every generation, whatever happens in between, and the same from a file."""

import json
from copy import deepcopy
from itertools import pairwise

import pytest

import dsnb
from dsnb import Conversation, errors
from dsnb.client.body import decode_body
from dsnb.client.decoder import StreamDecoder
from dsnb.client.dialects import DEEPSEEK
from dsnb.client.reply import Reply
from dsnb.contract import at
from dsnb.contract.passback import REASONING
from dsnb.question import Question
from tests.once import ONCE
from tests.patience import PATIENCE
from tests.recordings import recordings, requires_recordings


@dsnb.tool
def get_price(symbol: str) -> float:
    """Return the price of a stock."""
    return {"AAPL": 12.5, "MSFT": 30.0}[symbol]


# (date, model that does not think, model that thinks)
DATES = [
    ("2025-02-01", "deepseek-chat", "deepseek-reasoner"),
    ("2025-06-15", "deepseek-chat", "deepseek-reasoner"),
    ("2025-09-01", "deepseek-chat", "deepseek-reasoner"),
    ("2025-10-15", "deepseek-chat", "deepseek-reasoner"),
    ("2026-02-15", "deepseek-chat", "deepseek-reasoner"),
    ("2026-05-20", "deepseek-v4-flash", "deepseek-v4-flash"),
    ("2026-08-20", "deepseek-v4-pro", "deepseek-v4-pro"),
    ("2026-11-20", "deepseek-flash", "deepseek-flash"),
]
QUESTIONS = ("get_price of AAPL, please", "and get_price of MSFT?")


def world(day, thinking, **options):
    """Return an emulator of a day, a session with it, and the way to think or not on that day."""
    _, plain, thinker = next(row for row in DATES if row[0] == day)
    emulator = dsnb.Emulator(day, **options).start()
    ds = dsnb.connect(emulator.base_url, model=thinker if thinking else plain, quiet=True)
    how = {} if plain != thinker else {"thinking": thinking}
    return emulator, ds, how


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("day", [row[0] for row in DATES])
def test_a_conversation_with_tools_is_accepted_at_every_date(day, thinking):
    emulator, ds, how = world(day, thinking, passback="documented")
    with emulator, ds:
        tools = None if ds.model == "deepseek-reasoner" and day < "2025-08-21" else [get_price]  # R1 had none
        chat = ds.conversation(system="Be brief.", tools=tools, **how)
        replies = [chat.ask(question) for question in QUESTIONS]
        assert {row.status for row in emulator.ledger()} == {200}
        assert [reply.outcome for reply in replies] == ["stop", "stop"]
        if tools:
            assert ["12.5" in str(replies[0]), "30.0" in str(replies[1])] == [True, True]
        assert bool(replies[1].reasoning) == thinking or day >= "2025-08-21"
        assert chat.replies == replies
        assert [message["role"] for message in chat.messages].count("tool") == (2 if tools else 0)


def naive(ds, emulator, how, strip):
    """Ask two questions as many clients do: always without the reasoning, or always with it; return the statuses."""
    messages = []
    for question in QUESTIONS:
        messages.append({"role": "user", "content": question})
        for _ in range(3):
            try:
                tools = None if emulator.contract.model(ds.model).generation.name == "R1" else [get_price.schema]
                reply = ds.ask(messages, tools=tools, lint=False, **how)
            except errors.InvalidRequest:
                return [row.status for row in emulator.ledger()]
            message = reply.message
            if strip:
                message.pop(REASONING, None)
            messages.append(message)
            for call in reply.tool_calls:
                result = json.dumps(get_price(**json.loads(call.arguments)))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
            if not reply.tool_calls:
                break
    return [row.status for row in emulator.ledger()]


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("day", [row[0] for row in DATES])
@pytest.mark.parametrize("strip", [True, False])
def test_naive_histories_fail_exactly_where_the_rules_say(day, thinking, strip):
    emulator, ds, how = world(day, thinking)
    with emulator, ds:
        rule = emulator.contract.model(ds.model).generation.reasoning
        statuses = naive(ds, emulator, how, strip)
    thinks = thinking and (ds.model != "deepseek-reasoner" or rule != "reject" or day < "2025-08-21")
    if thinks and strip and rule in {"tool_loop", "whole"}:
        assert statuses == [200, 400], "the answer to a tool call comes without its reasoning"
    elif thinks and not strip and rule == "reject":
        assert statuses == [200, 400], "the second question comes with the first answer's reasoning"
    else:
        assert 400 not in statuses


@pytest.mark.slow
def test_one_conversation_survives_every_switch_of_model_and_generation():
    chat = Conversation(tools=[get_price])
    for day, plain, thinker in [*DATES, *reversed(DATES)]:
        with dsnb.Emulator(day) as emulator:
            for model in {plain, thinker}:
                if emulator.contract.model(model).generation.name == "R1":
                    continue  # no tools
                chat.session = dsnb.connect(emulator.base_url, model=model, quiet=True)
                assert chat.ask(QUESTIONS[0]).outcome == "stop"
                chat.session.close()
            assert {row.status for row in emulator.ledger()} <= {200}


def test_a_turn_that_fails_leaves_no_trace_and_the_next_one_works():
    with dsnb.Emulator() as emulator, dsnb.connect(emulator.base_url, quiet=True, retry=ONCE) as ds:
        chat = ds.conversation(system="Be brief.", tools=[get_price])
        chat.ask("hello")
        before = deepcopy(chat.messages)
        for fault in (503, 400, "refuse", "malformed@8"):
            emulator.faults = [fault]
            with pytest.raises(errors.DsnbError):
                chat.ask(QUESTIONS[0])
            assert chat.messages == before, fault
        assert len(chat.replies) == 1
        assert chat.ask(QUESTIONS[0]).outcome == "stop"


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("place", [1, 5, 20, 45, 60, 80, 100])
@pytest.mark.parametrize("fault", ["cut", "stall", "eof"])
@pytest.mark.slow
def test_a_turn_that_was_cut_off_leaves_a_history_that_the_api_accepts(fault, place, thinking):
    timeouts = dsnb.Timeouts(stall=0.3 if fault == "stall" else PATIENCE)
    with (
        dsnb.Emulator(passback="documented") as emulator,
        dsnb.connect(emulator.base_url, quiet=True, timeouts=timeouts, retry=ONCE) as ds,
    ):
        chat = ds.conversation(tools=[get_price], thinking=thinking)
        chat.ask(QUESTIONS[1])
        for first in ([f"{fault}@{place}"], ["ok", f"{fault}@{place}"]):  # in the call, and in the answer
            emulator.faults = first
            chat.ask(QUESTIONS[0])
            assert chat.ask("go on").outcome == "stop"
    assert {row.status for row in emulator.ledger()} == {200}


def test_a_fork_shares_the_past_and_not_the_future():
    with dsnb.connect(quiet=True) as ds:
        chat = ds.conversation(system="Be brief.")
        chat.ask("hello")
        other = chat.fork()
        chat.ask("one way")
        other.ask("the other")
        assert chat.messages[:3] == other.messages[:3]
        assert chat.messages[3:] != other.messages[3:]
        assert [len(chat.replies), len(other.replies)] == [2, 2]


def test_lint_says_per_message_what_will_be_rejected_ignored_and_billed():
    with (
        dsnb.Emulator("2025-02-01") as emulator,
        dsnb.connect(emulator.base_url, model="deepseek-reasoner", quiet=True) as ds,
    ):
        chat = ds.conversation(temperature=0.5)
        chat.ask("hello")
        findings = chat.lint("and now?")
        assert [f.effect for f in findings] == ["ignored", *["billed"] * 3]
        assert findings[0].where == "temperature"
        raw = ds.lint([*chat.messages, {"role": "user", "content": "and now?"}])
        assert (raw[0].effect, raw[0].where) == ("rejected", "messages[1].reasoning_content")
        tokens = [int(f.message.split()[0]) for f in findings if f.effect == "billed"]
        assert sum(tokens) <= chat.ask("and now?").usage.prompt_tokens <= sum(tokens) + 8
    assert emulator.requests()[-1]["messages"][-1] == {"role": "user", "content": "and now?"}


def test_what_dsnb_keeps_in_the_history_itself_is_told_by_lint_and_by_no_reply():
    with dsnb.Emulator() as emulator, dsnb.connect(emulator.base_url, quiet=True) as ds:
        chat = ds.conversation()
        for _ in range(2):
            assert chat.ask("hello", render=None).notes == ()
        assert "history.reasoning_ignored" in [finding.rule for finding in chat.lint("and now?")]
        given = [*chat.messages, {"role": "user", "content": "and now?"}]
        assert [note.rule for note in ds.ask(given, render=None).notes] == ["history.reasoning_ignored"]
        assert [note.rule for note in chat.ask(given, render=None).notes] == ["history.reasoning_ignored"]


def test_a_conversation_comes_back_from_its_file_as_it_was(tmp_path):
    with dsnb.connect(quiet=True, retry=ONCE) as ds:
        chat = ds.conversation(system="Be brief. 简短", tools=[get_price], effort="low")
        chat.ask(QUESTIONS[0], thinking=True)
        chat.ask("as json, please: {}", json=True, logprobs=True)
        ds.emulator.faults = ["cut@90"]
        chat.ask(QUESTIONS[1])
        chat.save(tmp_path / "chat.jsonl")
        loaded = Conversation.load(tmp_path / "chat.jsonl", ds, tools=[get_price])
        assert loaded == chat
        assert loaded.messages == chat.messages
        assert loaded.replies == chat.replies
        assert [type(reply.cost.usd) for reply in loaded.replies[:1]] == [type(chat.replies[0].cost.usd)]
        assert loaded.options == chat.options
        assert loaded.ask("go on").outcome == "stop"
        loaded.save(tmp_path / "again.jsonl")
        again = Conversation.load(tmp_path / "again.jsonl")
        assert (again.messages, again.replies) == (loaded.messages, loaded.replies)
        with pytest.raises(errors.ConfigurationError, match="no session"):
            again.ask("hello")
        lines = (tmp_path / "chat.jsonl").read_text(encoding="utf-8").splitlines()
        assert all(isinstance(json.loads(line), dict) for line in lines)
        assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("nonsense", "line 1, is no JSON"),
        ("[]\n", "no JSON object"),
        ('{"conversation": 99}\n', "newer"),
        ('{"other": 1}\n', "no conversation"),
        ('{"conversation": 1}\n{"message": []}\n', "line 2, is neither"),
        ('{"conversation": 1}\n{"reply": {"answer": 5}}\n', "line 2, holds no reply"),
        ('{"conversation": 1}\n{"message": {"role": "user", "con', "line 2, is no JSON"),
    ],
)
def test_a_damaged_file_is_told_with_its_line(tmp_path, text, words):
    path = tmp_path / "chat.jsonl"
    path.write_text(text)
    with pytest.raises(errors.DsnbError, match=words):
        Conversation.load(path)


def test_what_json_cannot_hold_is_told_and_the_old_file_stays(tmp_path):
    chat = Conversation()
    chat.messages.append({"role": "user", "content": "hello"})
    chat.save(tmp_path / "chat.jsonl")
    chat.messages.append({"role": "user", "content": object()})
    with pytest.raises(errors.DsnbError, match="cannot be saved"):
        chat.save(tmp_path / "chat.jsonl")
    assert len(Conversation.load(tmp_path / "chat.jsonl").messages) == 1


# --- the recorded dialogues ---


def decoded(recording) -> Reply:
    """Return the recorded answer as a reply."""
    if isinstance(recording.body, str):
        source = StreamDecoder(DEEPSEEK)
        source.feed(recording.raw)
        source.finish()
    else:
        source = decode_body(recording.raw, DEEPSEEK)
    return Reply(answer=source.answer, reasoning=source.reasoning, tool_calls=source.tool_calls, outcome=source.outcome)


def dialogues():
    """Yield pairs of recordings of which the second goes on where the first ended, and was accepted."""
    chats = [each for each in recordings() if each.first_party and each.asked and each.status == 200]
    for one, other in pairwise(chats):
        said, goes_on = one.asked.get("messages") or [], other.asked.get("messages") or []
        if 0 < len(said) < len(goes_on) and goes_on[: len(said)] == said and goes_on[len(said)]["role"] == "assistant":
            yield one, other


def plain(message):
    """Return what of a message counts: no content is the same as an empty one, and JSON may have other blanks."""
    kept = {key: message.get(key) for key in ("role", "tool_call_id", "name") if message.get(key) is not None}
    kept["content"] = message.get("content") or ""
    kept["calls"] = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"] or "{}"))
        for call in message.get("tool_calls") or ()
    ]
    return kept


@requires_recordings
def test_conversations_send_what_the_recorded_dialogues_sent():
    compared = 0
    endpoint = dsnb.connect(quiet=True).endpoint
    for one, other in dialogues():
        chat = Conversation()
        chat.take(one.asked["messages"], decoded(one))
        place = len(one.asked["messages"])
        asked = other.asked["messages"]
        last = max(index for index in range(place, len(asked)) if asked[index]["role"] == "assistant")
        if last != place:
            continue  # more than one turn lies between the two
        contract = at(other.date)
        thinking = (other.asked.get("thinking") or {}).get("type")
        question = Question(
            asked[place + 1 :],
            history=chat.messages,
            model=other.asked["model"],
            thinking=None if thinking is None else thinking == "enabled",
            tools=other.asked.get("tools"),
        )
        exchange = question.exchange((), endpoint, contract, dsnb.Timeouts())
        sent = exchange.request.body["messages"]
        mine, theirs = map(plain, sent), list(map(plain, asked))
        if not theirs[place]["content"]:
            theirs[place]["content"] = decoded(one).answer  # llm.rb sends a call without the text that came with it
        assert list(mine) == theirs, other.name
        for mine, theirs in zip(sent, asked, strict=True):
            if theirs.get(REASONING):
                assert mine.get(REASONING) == theirs[REASONING], other.name
        compared += 1
    print(f"{compared} recorded dialogues are sent as they were recorded")
    assert compared
