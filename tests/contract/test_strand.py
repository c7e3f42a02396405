"""A strand says of every prompt along a conversation what rendering it whole says, with less work."""

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsnb import contract
from dsnb.contract import tokens
from dsnb.contract.cache import units
from dsnb.contract.strand import Strand
from dsnb.contract.tokens import completion_ids, prompt_ids
from tests.effort import effort

MODELS = [
    contract.at("2025-02-01").model("deepseek-chat"),
    contract.at("2025-02-01").model("deepseek-reasoner"),
    contract.at("2025-09-01").model("deepseek-chat"),
    contract.at("2025-09-01").model("deepseek-reasoner"),
    contract.at("2026-02-15").model("deepseek-chat"),
    contract.at("2026-02-15").model("deepseek-reasoner"),
    contract.at("2026-06-01").model("deepseek-v4-flash"),
    contract.at("2026-11-23").model("deepseek-flash"),
]
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in "ab"]
WORDS = st.sampled_from(["", "one", " two\n", "three three three. " * 9, "</think>", "<｜User｜>", "\n\n", "四", "5"])
CALLS = st.lists(
    st.builds(
        lambda number, key: {"id": str(number), "function": {"name": "a", "arguments": f'{{"k": {key}}}'}},
        st.integers(0, 3),
        st.integers(0, 9),
    ),
    max_size=3,
)
MESSAGES = st.lists(
    st.one_of(
        st.builds(lambda text: {"role": "user", "content": text}, WORDS),
        st.builds(
            lambda text, call: {"role": "tool", "tool_call_id": str(call), "content": text}, WORDS, st.integers(0, 3)
        ),
        st.builds(lambda text: {"role": "assistant", "content": text}, WORDS),
        st.builds(
            lambda text, thought, calls: (
                {"role": "assistant", "content": text, "reasoning_content": thought}
                | ({"tool_calls": calls} if calls else {})
            ),
            WORDS,
            WORDS,
            CALLS,
        ),
        st.sampled_from([{"role": "system", "content": "Be brief."}, {"role": "latest_reminder", "content": "Now."}]),
    ),
    min_size=1,
    max_size=12,
)


def prefixes(body, model, reply=()):
    found = prompt_ids(body, model) + array("I", reply)
    return len(found), units(found, model.generation.cache.unit)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(MODELS),
    MESSAGES,
    st.fixed_dictionaries(
        {},
        optional={
            "tools": st.just(TOOLS),
            "thinking": st.sampled_from([{"type": "enabled"}, {"type": "disabled"}]),
            "response_format": st.just({"type": "json_object"}),
        },
    ),
    st.permutations(range(1, 13)),
    st.integers(0, 12),
)
@pytest.mark.slow
def test_every_prompt_is_what_it_is_when_rendered_whole(model, messages, options, order, cut):
    strand = Strand(options, model)
    strand.grow(messages)
    places = [place for place in order if place <= len(messages)]
    for place in places:
        found = strand.prompt(place)
        assert (found.length, list(found.units)) == prefixes(options | {"messages": messages[:place]}, model)
    cut = min(cut, len(messages))
    other = [*messages[:cut], {"role": "user", "content": "otherwise"}]
    branch = strand.branch(cut)
    branch.grow(other)
    for place in range(len(other), 0, -1):
        found = branch.prompt(place)
        assert (found.length, list(found.units)) == prefixes(options | {"messages": other[:place]}, model)


@pytest.mark.parametrize("model", MODELS)
def test_the_next_message_tells_the_reply(model):
    thinking = model.thinking == "always" or (model.thinking == "switch" and model.thinking_default)
    thought = {"reasoning_content": "Hm. " * 50} if thinking else {}
    messages = [
        {"role": "user", "content": "Why? " * 90},
        {"role": "assistant", "content": "So. " * 90, **thought},
        {"role": "user", "content": "And?"},
    ]
    strand = Strand({}, model)
    strand.grow(messages)
    reply = completion_ids(model, content="So. " * 90, reasoning=thought.get("reasoning_content"))
    left = strand.left(1, strand.messages[1])
    assert (left.whole.length, list(left.whole.units)) == prefixes({"messages": messages[:1]}, model, reply)
    assert strand.left(3, {}).whole is None
    said = {"content": "So. " * 90, "reasoning": thought.get("reasoning_content"), "calls": ()}
    assert strand.answered(1, **said) == left
    assert strand.answered(1, **said | {"content": "So."}) != left


def test_a_reply_without_its_reasoning_is_not_known():
    strand = Strand({}, MODELS[-1])
    strand.grow([{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}])
    assert strand.left(1, strand.messages[1]).whole is None


def test_what_is_new_is_all_that_is_rendered_and_encoded(monkeypatch):
    messages = []
    for turn in range(60):
        messages += [{"role": "user", "content": f"Why {turn}? "}, {"role": "assistant", "content": f"So {turn}."}]
    encoded = []
    encode = tokens._encoded
    monkeypatch.setattr(tokens, "_encoded", lambda text: encoded.append(text) or encode(text))
    monkeypatch.setattr(tokens, "_remembered", tokens._Memory(1_000_000))
    strand = Strand({"thinking": {"type": "disabled"}}, MODELS[-1])
    work = []
    for count in range(1, 120, 2):
        strand.grow(messages[:count])
        work.append(effort(lambda count=count: strand.prompt(count)))
    assert max(work[2:]) < 2 * min(work[2:])
    assert len(encoded) <= 120


def test_nobody_changes_a_message_afterwards():
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "a", "arguments": "{}"}}]}
    messages = [{"role": "user", "content": "Go"}, call, {"role": "user", "content": "on"}]
    strand = Strand({}, MODELS[-1])
    strand.grow(messages)
    assert strand.common(messages) == 3
    call["tool_calls"][0]["function"]["name"] = "b"
    assert strand.common(messages) == 1
    messages[0]["content"] = "Stop"
    assert strand.common(messages) == 0
    assert strand.common([*strand.messages, messages[0]]) == 3
