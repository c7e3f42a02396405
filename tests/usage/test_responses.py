from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from dsnb.client.reply import Reply
from dsnb.emulator import Emulator
from dsnb.errors import DsnbError
from dsnb.usage import UsageLog
from tests.recordings import recordings, requires_recordings
from tests.usage.calls import reply

USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "total_tokens": 1200,
    "prompt_cache_hit_tokens": 512,
    "prompt_cache_miss_tokens": 488,
    "completion_tokens_details": {"reasoning_tokens": 150},
}
HEAD = {"id": "f" * 32, "created": 1794830400, "model": "deepseek-flash", "system_fingerprint": "fp_1"}
CHAT = {
    **HEAD,
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": USAGE,
}
TEXT = {**HEAD, "object": "text_completion", "choices": [{"index": 0, "text": "Hi", "finish_reason": "length"}]}


def chunk(text="", finish=None, usage=None):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return {**HEAD, "object": "chat.completion.chunk", "choices": [choice], "usage": usage}


CHUNKS = [chunk("H"), chunk("i"), chunk("", "stop", USAGE)]
LAST = {**chunk(usage=USAGE), "choices": []}  # as hosts send it that give usage a chunk of its own


@pytest.fixture
def log():
    return UsageLog()


@pytest.mark.parametrize(
    ("response", "outcome", "streamed"),
    [
        (CHAT, "stop", False),
        (ChatCompletion.model_validate(CHAT), "stop", False),
        (TEXT | {"usage": USAGE}, "length", None),
        (Completion.model_validate(TEXT | {"usage": USAGE}), "length", None),
        (CHUNKS, "stop", True),
        ([ChatCompletionChunk.model_validate(part) for part in CHUNKS], "stop", True),
        (CHUNKS[-1], "stop", True),
        (ChatCompletionChunk.model_validate(CHUNKS[-1]), "stop", True),
        ([CHUNKS[-1]], "stop", True),
        (LAST, None, True),
        ([TEXT, {**TEXT, "choices": [], "usage": USAGE}], "length", True),
    ],
)
def test_what_the_sdk_returns_is_logged(log, response, outcome, streamed) -> None:
    log.add(response)
    (row,) = log.frame().to_dict("records")
    assert (row["prompt_tokens"], row["completion_tokens"], row["cache_hit_tokens"]) == (1000, 200, 512)
    assert row["reasoning_tokens"] == 150
    assert row["cost_usd"] == 0.000194736  # at the reply's own `created`, which is off-peak
    assert row["price_period"] == "V4.1-Flash"
    assert (row["model"], row["asked_model"], row["fingerprint"]) == ("deepseek-flash", "deepseek-flash", "fp_1")
    assert (row["source"], row["provider"]) == ("live", "deepseek")
    assert [None if row["streamed"] is pd.NA else row["streamed"]] == [streamed]
    assert row["time"].isoformat() == "2026-11-16T12:00:00+00:00"
    frame = log.frame()
    assert frame["outcome"].tolist() == [outcome] or frame["outcome"].isna().tolist() == [outcome is None]
    assert frame[["total", "first_token", "queued", "messages", "prompt_hash"]].isna().all(axis=None)
    assert log.frame("attempts")["response_id"].tolist() == ["f" * 32]


def test_an_iterator_of_chunks(log) -> None:
    log.add(iter(CHUNKS))
    assert log.frame()["total_tokens"].tolist() == [1200]


def test_a_stream_that_was_cut_is_unknown(log) -> None:
    log.add(CHUNKS[:-1])
    (row,) = log.frame().to_dict("records")
    assert (row["outcome"], row["unknown"]) == ("truncated", 1)
    assert log.cost().unknown == 1


def test_what_is_known_besides(log) -> None:
    with log.run("raw"):
        log.add(CHAT, asked_model="my-model", provider="other.example", seconds=1.5)
    (row,) = log.frame().to_dict("records")
    assert (row["asked_model"], row["provider"], row["total"], row["run"]) == ("my-model", "other.example", 1.5, "raw")
    assert log.frame()["cost_usd"].isna().all()  # nobody knows what others charge
    assert log.frame()["prompt_tokens"].tolist() == [1000]


def test_the_source_is_that_of_the_ledger_or_of_the_call() -> None:
    log = UsageLog(source="emulator")
    log.add(CHAT)
    log.add(CHAT, source="live")
    assert log.frame()["source"].tolist() == ["emulator", "live"]
    with pytest.raises(DsnbError, match="'live' or 'emulator'"):
        log.add(CHAT, source="elsewhere")


def test_a_reply_of_our_own(log) -> None:
    log.add(reply())
    log.add(reply(emulated=True))
    frame = log.frame()
    assert frame["source"].tolist() == ["live", "emulator"]
    assert frame["total"].tolist() == [4.125, 4.125]
    assert frame["cost_usd"].tolist() == [0.000194736] * 2
    assert frame["streamed"].isna().all()


def test_a_reply_is_left_as_it_was(log) -> None:
    made = reply(cost=None)
    log.add(made)
    assert made.cost is None
    assert log.frame()["cost_usd"].tolist() == [0.000194736]


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (None, "NoneType cannot be logged: give a ChatCompletion"),
        ("Hi", "str cannot be logged"),
        (b"{}", "bytes cannot be logged"),
        (7, "int cannot be logged"),
        (SimpleNamespace(usage=1), "SimpleNamespace cannot be logged"),
        ({}, "dict holds no reply"),
        ({"model": "m"}, "dict holds no reply"),
        ([], "list holds no reply"),
        (["data: {}"], "str is not a chunk"),
        ([CHAT, CHAT], "several replies: add them one at a time"),
        ([TEXT, TEXT | {"id": "other"}], "several replies"),
        ({"error": {"message": "no"}, "choices": []}, "cannot be logged. The endpoint broke off"),
        ({"choices": [{"message": "Hi"}], "usage": USAGE}, "cannot be logged"),
        ({"choices": ["Hi"]}, "cannot be logged"),
    ],
)
def test_anything_else_is_refused_with_a_reason(log, response, why) -> None:
    with pytest.raises(DsnbError, match=why):
        log.add(response)
    assert log.frame().empty


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*CHAT, "message", "delta"]), inner),
    max_leaves=12,
)


@given(json)
@settings(max_examples=80, deadline=None)
@pytest.mark.slow
def test_hostile_json_is_logged_or_refused(body) -> None:
    log = UsageLog()
    try:
        log.add(body)
    except DsnbError:
        assert log.frame().empty
    else:
        assert len(log.frame()) == 1


def test_the_sdk_itself_through_the_emulator() -> None:
    import openai

    log = UsageLog(source="emulator")
    with Emulator() as emulator, openai.OpenAI(base_url=emulator.base_url, api_key="any", max_retries=0) as client:
        ask = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "hello"}]}
        log.add(client.chat.completions.create(**ask))
        log.add(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
        billed = emulator.ledger()
    frame = log.frame("attempts")
    assert frame["response_id"].tolist() == [row.id for row in billed]
    assert frame["total_tokens"].tolist() == [row.prompt_tokens + row.completion_tokens for row in billed]
    assert frame["cache_hit_tokens"].tolist() == [row.cache_hit_tokens for row in billed]
    assert log.cost() == sum(row.cost.usd for row in billed)
    assert frame["streamed"].tolist() == [False, True]


@requires_recordings
def test_recorded_replies_and_streams(log) -> None:
    added = 0
    for recording in recordings():
        if recording.status == 200 and recording.chat and recording.objects:
            try:
                log.add(recording.objects if len(recording.objects) > 1 else recording.objects[0])
            except DsnbError as error:
                assert "endpoint broke off" in str(error)  # noqa: PT017 — a recorded error inside a stream
            else:
                added += 1
    frame = log.frame()
    assert len(frame) == added > 150
    known = frame["unknown"] == 0
    assert known.mean() > 0.8
    assert (frame.loc[known, "prompt_tokens"] > 0).all()
    ours = frame[known & frame["cost_usd"].notna()]
    assert len(ours) > 50
    assert (ours["cost_usd"] > 0).all()


def test_reply_is_not_mistaken_for_a_sequence(log) -> None:
    log.add(Reply())
    assert log.frame()["unknown"].tolist() == [1]


def test_when_a_call_began_can_be_told(log) -> None:
    for source in ("live", "emulator"):
        log.add(CHAT, source=source, began=1_700_000_000.0)
    assert set(log.frame()["time"]) == {pd.Timestamp(1_700_000_000, unit="s", tz="UTC")}
