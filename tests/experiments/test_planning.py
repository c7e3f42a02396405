"""A plan foretells tokens, hits and money: by the rules, as seen in live experiments, and as calls were recorded."""

from decimal import Decimal
from functools import cache, partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dsnb
from dsnb import contract
from dsnb.client.tool_call import ToolCall
from dsnb.client.usage import Usage
from dsnb.contract.cache import expected_hit
from dsnb.contract.tokens import completion_ids, count, prompt_ids, prompt_tokens
from dsnb.errors import RequestError, UnknownModel
from dsnb.experiments.planning import plan as planning
from dsnb.experiments.planning.memory import Memory
from tests.contract.traffic import dialogues
from tests.effort import effort
from tests.recordings import requires_recordings

LINE = "The ledger of the harbour lists {} crates of salt, and nobody asked for them back.\n"
# The days, model and switch of the published experiments (FACTS section 6).
live = partial(dsnb.plan, model="deepseek-v4-flash", at="2026-07-27", thinking=False)


@cache
def prompt_of(tokens):
    """Return a question whose prompt has exactly so many tokens (four are the template's)."""
    text = "".join(LINE.format(number) for number in range(tokens // 16))
    while (missing := tokens - 4 - count(text)) < 0:
        text = text[: text.rindex("\n", 0, -1) + 1]
    text += " a" * missing
    assert live(text).prompt_tokens == tokens
    return text


@pytest.mark.parametrize(
    ("tokens", "hit"),
    [(92, 0), (212, 128), (372, 256), (692, 640), (1332, 1280), (2612, 2560), (5172, 5120), (5901, 5888)],
)
@pytest.mark.slow
def test_the_same_again_as_it_was_seen_live(tokens, hit):
    text = prompt_of(tokens)
    assert live(text).cache_hit_tokens == 0
    found = live(text, after=[text])
    assert (found.prompt_tokens, found.cache_hit_tokens, found.cache_miss_tokens) == (tokens, hit, tokens - hit)
    assert found.unit is None if not hit else (found.unit.tokens, found.unit.end) == (hit, "prompt")


def test_the_one_repeat_that_does_not_fit_is_not_said_to_be_sure():
    text = prompt_of(132)  # hit nothing live on 2026-07-27, and 900 tokens hit 896 in recordings
    found = live(text, after=[text])
    assert (found.cache_hit_tokens, found.confidence) == (128, "M")
    assert any("132" in reason for reason in found.reasons)
    text = prompt_of(900)
    assert live(text, after=[text]).cache_hit_tokens == 896


@pytest.mark.slow
def test_an_extension_hits_what_was_there():
    text = prompt_of(6800)
    longer = text + "".join(LINE.format(number) for number in range(5))
    assert live(longer, after=[text]).cache_hit_tokens == 6784


def test_two_ends_of_one_beginning_hit_where_they_part_behind_the_unit():
    head = prompt_of(7044)
    one, other = head + " Count the crates, please, all of them.", head + " Name the harbour, please, in one word."
    assert live(other, after=[one]).cache_hit_tokens == 7040
    long = [head + "".join(LINE.format(seed + number) for number in range(20)) for seed in (1000, 2000)]
    assert live(long[1], after=[long[0]]).cache_hit_tokens == 0


@pytest.mark.parametrize("place", [0, 150, 290])
def test_a_changed_line_hits_nothing(place):
    lines = prompt_of(6000).splitlines(keepends=True)
    other = [*lines[:place], "This line is another one.\n", *lines[place + 1 :]]
    assert live("".join(other), after=["".join(lines)]).cache_hit_tokens == 0


def test_a_user_id_has_a_cache_of_its_own():
    text = prompt_of(700)
    warm = {"prompt": text, "user_id": "a", "thinking": False}
    assert live(text, user_id="a", after=[warm]).cache_hit_tokens == 640
    found = live(text, user_id="b", after=[warm])
    assert found.cache_hit_tokens == 0
    assert [note.rule for note in found.notes] == ["plan.other_user"]
    assert live(text, after=[warm]).cache_hit_tokens == 0  # none is one of its own, too
    assert live(text, user_id="b", after=[warm, {**warm, "user_id": "b"}]).cache_hit_tokens == 640


def test_another_model_shares_nothing():
    text = prompt_of(700)
    found = live(text, after=[{"prompt": text, "model": "deepseek-v4-pro", "thinking": False}])
    assert found.cache_hit_tokens == 0
    assert [note.rule for note in found.notes] == ["plan.other_model"]


def test_the_rule_goes_by_the_date():
    lines = prompt_of(2000).splitlines(keepends=True)
    other = "".join([*lines[:60], "Another.\n", *lines[61:]])
    then = dsnb.plan(other, model="deepseek-chat", at="2026-02-15", after=["".join(lines)])
    assert then.cache_hit_tokens % 64 == 0
    assert 0 < then.cache_hit_tokens < then.prompt_tokens * 0.6
    assert then.unit.end == "units"
    assert live(other, after=["".join(lines)]).cache_hit_tokens == 0
    with pytest.raises(UnknownModel):
        dsnb.plan("hello", model="deepseek-flash", at="2026-02-15")


def test_a_retired_name_is_planned_as_what_replaces_it():
    found = dsnb.plan("hello", model="deepseek-chat", at="2026-11-23")
    assert found.model == "deepseek-flash"
    assert not found.asked.frame.settings.thinking
    assert found.notes[0].rule == "plan.retired_model"


QUESTION = {"role": "user", "content": "Why does the harbour keep salt? " * 40}
THOUGHT = "Salt keeps fish. " * 60
ANSWER = {"role": "assistant", "content": "For the fish. " * 60, "reasoning_content": THOUGHT}
NEXT = {"role": "user", "content": "And the rest of it?"}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]


def ends(body, model, **reply):
    asked = prompt_tokens(body, model)
    return asked // 128 * 128, (asked + len(completion_ids(model, **reply))) // 128 * 128


def test_a_reply_gives_its_own_end_if_it_is_sent_back_whole():
    model = contract.at("2026-07-27").model("deepseek-v4-flash")
    body = {"messages": [QUESTION], "tools": TOOLS}
    prompt_end, reply_end = ends(body, model, content=ANSWER["content"], reasoning=THOUGHT)
    ask = partial(live, [QUESTION, ANSWER, NEXT], thinking=True, tools=TOOLS)
    reply = dsnb.Reply(answer=ANSWER["content"], reasoning=THOUGHT)
    found = ask(after=[[QUESTION], reply])
    assert (found.cache_hit_tokens, found.unit.end, found.confidence) == (reply_end, "reply", "H")
    read = ask(after=[[QUESTION]])  # what follows in the history stands for the reply
    assert (read.cache_hit_tokens, read.unit.end, read.confidence) == (reply_end, "reply", "M")
    dropped = live([QUESTION, ANSWER, NEXT], thinking=True, after=[[QUESTION], reply])  # without tools it is left out
    assert (dropped.cache_hit_tokens, dropped.unit.end) == (256, "prompt")
    silent = [QUESTION, {"role": "assistant", "content": ANSWER["content"]}, NEXT]
    unknown = live(silent, thinking=True, tools=TOOLS, after=[[QUESTION]])
    assert (unknown.cache_hit_tokens, unknown.confidence) == (prompt_end, "M")


def test_a_reply_of_several_rounds_leaves_all_of_them():
    call = ToolCall(0, "call_00_x", "look", '{"where": "' + "harbour " * 60 + '"}', result="salt " * 200)
    first = dsnb.Reply(answer="", tool_calls=[call], outcome="tool_calls")
    last = dsnb.Reply(answer="For the fish. " * 60)
    turn = dsnb.Reply(answer=last.answer, tool_calls=[call], rounds=(first, last))
    history = [QUESTION, *turn.messages]
    whole = live([*history, NEXT], tools=TOOLS, after=[[QUESTION], turn])
    model = contract.at("2026-07-27").model("deepseek-v4-flash")
    off = {"tools": TOOLS, "thinking": {"type": "disabled"}}
    _, reply_end = ends({"messages": history[:3], **off}, model, content=last.answer)
    assert whole.cache_hit_tokens == reply_end
    assert (whole.unit.earlier, whole.unit.of) == (1, 2)


def test_a_conversation_knows_what_it_has_asked():
    at = {"model": "deepseek-v4-flash", "as_of": "2026-07-27"}
    with dsnb.Emulator(as_of="2026-07-27") as emulator, dsnb.connect(emulator.base_url, "any", **at) as ds:
        chat = ds.conversation(system="Be brief. " * 60, thinking=False)
        for question in ("One " * 90, "Two " * 200, "Three " * 100):
            planned = dsnb.plan(chat, question)
            again = dsnb.plan("x", at="2026-07-27", model="deepseek-v4-flash", thinking=False, after=[chat])
            assert again.earlier == len(chat.replies)
            reply = chat.ask(question, render=None)
            told = (planned.prompt_tokens, planned.cache_hit_tokens)
            assert told == (reply.usage.prompt_tokens, reply.usage.cache_hit_tokens)
        assert planned.cache_hit_tokens > 500
        assert planned.unit.end == "reply"
        assert planned.output_tokens == round(sum(each.usage.completion_tokens for each in chat.replies[:-1]) / 2)


def test_money_is_exact_now_and_off_peak():
    text = prompt_of(692)
    peak = dsnb.plan(text, at="2026-11-23T02:00", thinking=False, after=[text], output=1000)
    hit, miss = peak.cache_hit_tokens, peak.cache_miss_tokens
    assert hit == 640
    assert peak.cost.usd == (hit * Decimal("0.006") + miss * Decimal("0.30")) / 1_000_000
    assert peak.off_peak_cost.usd * 2 == peak.cost.usd == peak.peak_cost.usd
    assert peak.total_cost.usd - peak.cost.usd == Decimal("0.0012")
    assert peak.off_peak_total_cost.cny - peak.off_peak_cost.cny == Decimal("0.004")
    assert peak.cost.price.peak
    note = next(note for note in peak.notes if note.rule == "plan.peak")
    assert "2026-11-23 04:00 UTC" in note.message
    quiet = dsnb.plan(text, at="2026-11-22T02:00", thinking=False)
    assert quiet.cost == quiet.off_peak_cost
    assert quiet.total_cost is None
    assert not [note for note in quiet.notes if note.rule == "plan.peak"]


def test_what_the_api_would_say_is_in_the_notes():
    found = live([QUESTION], temperature=9)
    assert found.notes[0].effect == "rejected"
    assert [note.rule for note in live("hi").notes] == ["plan.shorter_than_a_unit"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"after": [{"role": "user", "content": "x"}]}, "One message is no request"),
        ({"after": [{"model": "deepseek-v4-flash"}]}, "messages or a prompt"),
        ({"after": [dsnb.Reply(answer="x")]}, "begins with a reply"),
        ({"after": [[1]]}, r"messages\[0\] is int"),
        ({"after": [3]}, "not int"),
        ({"output": -1}, "no length"),
    ],
)
def test_what_is_no_request_is_told(given, words):
    with pytest.raises(RequestError, match=words):
        live("hello", **given)


def test_a_plan_is_an_earlier_request_and_nobody_changes_it():
    messages = [dict(QUESTION)]
    found = live(messages)
    messages[0]["content"] = "Something else."
    assert live([QUESTION], after=[found]).cache_hit_tokens == found.prompt_tokens // 128 * 128
    assert live(messages, after=[found]).cache_hit_tokens == 0
    assert found.messages[1] == ("messages[0]", found.prompt_tokens - 3)


def test_each_turn_costs_what_is_new_in_it(monkeypatch):
    memory = Memory(capacity=1_000_000)
    monkeypatch.setattr(planning, "MEMORY", memory)
    messages, after, work = [], [], []
    for number in range(60):
        messages.append({"role": "user", "content": LINE.format(number)})
        work.append(effort(lambda: live(list(messages), after=after[-1:])))
        after.append(list(messages))
        messages.append({"role": "assistant", "content": LINE.format(-number)})
    assert max(work[4:]) < 1.5 * min(work[4:])
    assert len(memory._strands) == 1


def grown(turns):
    """Return a conversation's messages, so many of its turns."""
    return [
        {"role": ("user", "assistant")[place % 2], "content": LINE.format(place if place % 2 else -place)}
        for place in range(2 * turns - 1)
    ]


@dsnb.tool
def lookup(place: str) -> str:
    """Look a place up."""
    return place


def in_lists(messages, **options):
    return [messages[:place] for place in range(1, len(messages), 2)]


def with_replies(messages, **options):
    replies = [dsnb.Reply(answer=message["content"]) for message in messages[1::2]]
    return [each for pair in zip(in_lists(messages), replies, strict=True) for each in pair]


def in_keywords(messages, **options):
    body = {"temperature": 0, "thinking": False, "model": "deepseek-v4-flash", **options}
    return [{"messages": each, **body} if isinstance(each, list) else each for each in with_replies(messages)]


MOST_LINES = 45  # of Python for one earlier request more; a plan takes some 2,000


@pytest.mark.parametrize("form", [in_lists, with_replies, in_keywords])
@pytest.mark.parametrize("options", [{}, {"tools": TOOLS}, {"tools": [lookup]}])
def test_one_earlier_request_more_costs_next_to_nothing(monkeypatch, form, options):
    monkeypatch.setattr(planning, "MEMORY", Memory(capacity=1_000_000))
    work = {}
    for turns in (4, 5, 44, 45):
        messages = grown(turns)
        after = form(messages, **options)
        work[turns] = effort(partial(live, messages, after=after, **options))
    assert work[45] - work[5] < 40 * MOST_LINES


@pytest.mark.parametrize("tools", [None, TOOLS, [lookup]])
def test_a_conversation_that_grew_is_not_read_anew(monkeypatch, tools):
    monkeypatch.setattr(planning, "MEMORY", Memory(capacity=1_000_000))
    chat = dsnb.Conversation(model="deepseek-v4-flash", thinking=False, tools=tools)
    work, hits = [], []
    for number in range(45):
        found = []
        work.append(effort(lambda: found.append(dsnb.plan(chat, LINE.format(number), at="2026-07-27"))))  # noqa: B023
        hits.append(found[0].cache_hit_tokens)
        chat.take([{"role": "user", "content": LINE.format(number)}], dsnb.Reply(answer=LINE.format(-number)))
    assert work[44] - work[4] < 40 * MOST_LINES
    assert hits[44] > hits[34] > 0
    chat.messages[0]["content"] = "Another beginning."
    for rest in (90, 40, 7):
        del chat.messages[rest:]
        chat.replies.pop()
        told = [dsnb.plan(each, "and?", at="2026-07-27") for each in (chat, chat.fork())]
        assert told[0].asked.request.body["messages"][0]["content"] == "Another beginning."
        assert [(each.prompt_tokens, each.cache_hit_tokens, each.earlier) for each in told[:1]] == [
            (each.prompt_tokens, each.cache_hit_tokens, each.earlier) for each in told[1:]
        ]


def test_memory_is_bounded(monkeypatch):
    memory = Memory(capacity=3_000)
    monkeypatch.setattr(planning, "MEMORY", memory)
    for number in range(30):
        live([{"role": "user", "content": str(number) * 300}, {"role": "assistant", "content": "x"}, QUESTION])
    assert len(memory._strands) < 15
    assert sum(strand.size for _, strand in memory._strands) <= 3_000 + memory._strands[-1][1].size


def test_what_another_plan_has_shown_is_nobodys_reply():
    words = [{"role": "user", "content": "One " * 200}]
    said = {"role": "assistant", "content": "Two " * 200}
    given = {"at": "2026-07-27", "model": "deepseek-v4-flash", "thinking": False}
    following = [*words, said, {"role": "user", "content": "and?"}]
    other = [*words, {"role": "assistant", "content": "Two " * 150}, {"role": "user", "content": "and?"}]
    dsnb.plan(other, **given)  # a conversation of somebody else's that begins alike
    alone = dsnb.plan([*words, {"role": "user", "content": "Two " * 200}], after=[words], **given)
    assert alone.unit.end == "prompt"
    assert dsnb.plan(following, after=[words], **given).cache_hit_tokens == 384


PARTS = st.sampled_from(["One " * 70, "Two " * 130, "Three " * 200, "", "four"])
TALK = st.lists(PARTS, min_size=1, max_size=6).map(
    lambda texts: [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]
)


@settings(max_examples=60, deadline=None)
@given(
    TALK,
    st.lists(TALK, max_size=5),
    st.sampled_from([("2026-07-27", "deepseek-v4-flash"), ("2026-02-15", "deepseek-chat")]),
)
def test_no_earlier_request_is_left_out_that_counts(planned, others, when):
    at, name = when
    model = contract.at(at).model(name)
    off = {"thinking": {"type": "disabled"}} if name != "deepseek-chat" else {}
    after = [*others, *(planned[:count] for count in range(1, len(planned), 2))]
    earlier = []
    for messages in after:
        count = len(messages)
        longer = [other for other in [planned, *after] if len(other) > count and other[:count] == messages]
        told = [
            other[count] for other in sorted(longer, key=lambda other: (other is planned, len(other)), reverse=True)
        ]
        reply = completion_ids(model, content=told[0]["content"]) if told and told[0]["role"] == "assistant" else ()
        earlier.append((prompt_ids({"messages": messages, **off}, model), reply))
    at_most = expected_hit(earlier, prompt_ids({"messages": planned, **off}, model), model.generation.cache)
    found = dsnb.plan(planned, after=after, at=at, model=name, **({"thinking": False} if off else {}))
    assert found.cache_hit_tokens == at_most


def reply_of(call):
    return dsnb.Reply(
        answer=call.content,
        reasoning=call.reasoning,
        tool_calls=[
            ToolCall(0, "", part["function"]["name"], part["function"]["arguments"]) for part in call.tool_calls
        ],
        outcome=call.finish_reason,
        usage=Usage.read(call.usage),
    )


@requires_recordings
@pytest.mark.parametrize(("ends", "exact", "near"), [(True, 0.95, 0.95), (False, 0.65, 0.90)])
def test_recorded_calls_are_foretold(ends, exact, near):
    errors = []
    for chain in dialogues():
        rule = chain[0].model.generation.cache
        if chain[0].hit or rule.whole_units_at_ends != ends:
            continue
        after = []
        for call in chain:
            found = dsnb.plan(call.body, after=after, at=call.recording.date)
            assert found.prompt_tokens == call.prompt_tokens or call.recording.keys_sorted
            errors.append((call.hit - found.cache_hit_tokens) // rule.unit)
            after += [call.body, reply_of(call)]
    assert errors.count(0) >= exact * len(errors)
    assert sum(abs(error) <= 1 for error in errors) >= near * len(errors)
