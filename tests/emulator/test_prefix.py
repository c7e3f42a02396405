"""A prefix request continues the text of the request without that prefix, wherever it was cut."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsnb.emulator import Answer, Emulator
from tests.emulator.talking import chunks, post, said

TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
PROMPTS = st.one_of(
    st.sampled_from(
        ["Hello there", "Prove that sqrt(2) is irrational", "Write quicksort", "你好，世界", "Rolls a die? 🎲"]
    ),
    st.text(st.characters(codec="utf-8"), max_size=40),
)
CUTS = st.floats(0, 1)


@pytest.fixture(scope="module", params=["script", "echo", "function", "pro"])
def emulator(request):
    """Yield an emulator of each kind of engine, one of them at another date, where system and strict tools differ."""

    def function(asked):
        return Answer(f"{asked.seed}: {asked.last_user} " * 5, "We repeat it five times, with the seed before it.")

    as_of = "2026-08-15" if request.param == "pro" else None
    with Emulator(as_of, engine={"function": function, "pro": "script"}.get(request.param, request.param)) as emulator:
        emulator.model = "deepseek-v4-pro" if request.param == "pro" else "deepseek-flash"
        yield emulator


def replied(emulator, asked, path="/beta/chat/completions"):
    """Return reasoning, content and finish reason of a reply, plain or streamed."""
    response = post(emulator, asked, path=path)
    assert response.status_code == 200, response.text
    if not asked.get("stream"):
        choice = response.json()["choices"][0]
        message = choice["message"]
        return message.get("reasoning_content"), message["content"], choice["finish_reason"]
    parts = chunks(response)
    thought = said(parts, "reasoning_content") if asked["thinking"]["type"] == "enabled" else None
    return thought, said(parts), parts[-1]["choices"][0]["finish_reason"]


def begun(asked, content, reasoning=None):
    """Return the same request with an answer begun."""
    message = {"role": "assistant", "content": content, "prefix": True}
    if reasoning is not None:
        message["reasoning_content"] = reasoning
    return {**asked, "messages": [*asked["messages"], message]}


@st.composite
def requests(draw):
    messages = [{"role": "user", "content": draw(PROMPTS)}]
    if draw(st.booleans()):
        messages.insert(0, {"role": "system", "content": draw(PROMPTS)})
    asked = {"messages": messages, "stream": draw(st.booleans())}
    asked["thinking"] = {"type": draw(st.sampled_from(["enabled", "disabled"]))}
    if draw(st.booleans()):
        asked["tools"] = [TOOL]
    if draw(st.booleans()):
        asked["temperature"] = 0.5
    if draw(st.booleans()):
        asked["stop"] = draw(st.sampled_from([["emulator"], ["**", "message"], ["\n"], ["not there"]]))
    return asked


@settings(max_examples=25, deadline=None)
@given(asked=requests(), cut=CUTS)
@pytest.mark.slow
def test_the_joined_text_is_the_uncut_one(emulator, asked, cut):
    asked = {"model": emulator.model, **asked}
    reasoning, whole, finish = replied(emulator, asked, path="/chat/completions")
    if finish == "tool_calls":
        return
    prefix = whole[: round(cut * len(whole))]
    rest = replied(emulator, begun(asked, prefix, reasoning))
    assert prefix + rest[1] == whole
    assert rest[2] == finish
    # behind a text that has begun there is no more reasoning, and before it the whole
    assert rest[0] == (None if reasoning is None else "")
    assert replied(emulator, begun(asked, ""))[:2] == (reasoning, whole)


@settings(max_examples=25, deadline=None)
@given(asked=requests(), cut=CUTS)
@pytest.mark.slow
def test_reasoning_goes_on_where_it_was_cut(emulator, asked, cut):
    asked = {"model": emulator.model, **asked, "thinking": {"type": "enabled"}}
    reasoning, whole, finish = replied(emulator, asked, path="/chat/completions")
    half = reasoning[: round(cut * len(reasoning))]
    rest = replied(emulator, begun(asked, "", half))
    assert (half + rest[0], rest[1], rest[2]) == (reasoning, whole, finish)


@settings(max_examples=10, deadline=None)
@given(prompt=PROMPTS, size=st.integers(12, 60), stream=st.booleans(), thinks=st.booleans())
def test_pieces_of_max_tokens_join_to_the_uncut_text(emulator, prompt, size, stream, thinks):
    # sizes from 12 on: a character may be several tokens, of which no part is ever sent
    asked = {"model": emulator.model, "messages": [{"role": "user", "content": prompt}], "stream": stream}
    asked["thinking"] = {"type": "enabled" if thinks else "disabled"}
    reasoning, whole, _ = replied(emulator, asked)
    thought, content, finish = "", "", "length"
    while finish == "length":
        more = begun(asked, content, thought if thinks else None) if thought or content else asked
        again, text, finish = replied(emulator, {**more, "max_tokens": size})
        assert again or text or finish == "stop"
        thought, content = thought + (again or ""), content + text
    assert (thought, content) == (reasoning or "", whole)


def test_a_prefix_that_the_engine_would_not_write_is_gone_on_with():
    asked = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "Write quicksort"}]}
    with Emulator() as emulator:
        message = post(emulator, begun(asked, "def quicksort(xs):\n"), path="/beta/chat/completions").json()
        assert "dsnb emulator goes on" in message["choices"][0]["message"]["content"]
        assert message["choices"][0]["message"]["reasoning_content"] == ""
    with Emulator(engine=lambda _: "    return sorted(xs)") as emulator:  # an engine that answers the prefix itself
        message = post(emulator, begun(asked, "def quicksort(xs):\n"), path="/beta/chat/completions").json()
        assert message["choices"][0]["message"]["content"] == "    return sorted(xs)"


PREFIX_BETA = (
    b'{"error":{"message":"prefix is only available when using beta api",'
    b'"type":"invalid_request_error","param":null,"code":"invalid_request_error"}}'
)


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions"])
def test_off_the_beta_route_a_prefix_is_refused_in_the_reported_words(path):
    asked = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "hi"}]}
    with Emulator() as emulator:
        found = post(emulator, begun(asked, "x"), path=path)
        assert (found.status_code, found.content) == (400, PREFIX_BETA)
        late = begun(asked, "x")
        late["messages"].append({"role": "user", "content": "go on"})
        found = post(emulator, late, path="/beta/chat/completions")
        assert "only available for the last message" in found.json()["error"]["message"]
