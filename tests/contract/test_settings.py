import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsnb.contract import at
from dsnb.contract.settings import Settings, completion_settings, settings
from tests.recordings import Recording, recordings, requires_recordings

NOW = "2026-11-23"
TOOLS = [
    {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}},
    {"type": "function", "function": {"name": "leap", "strict": True}},
]
NAMED = {"type": "function", "function": {"name": "leap"}}


def read(instant: str = NOW, model: str = "deepseek-flash", **body: Any) -> Settings:
    return settings(body, at(instant).model(model))


def test_a_bare_request_means_the_defaults() -> None:
    assert read() == Settings(
        thinking=True,
        effort="high",
        max_tokens=65_536,
        explicit_max_tokens=False,
        tools=(),
        forced=False,
        json_mode=False,
        stream=False,
        include_usage=False,
        logprobs=False,
        top_logprobs=0,
        stop=(),
        prefix=False,
        strict_tools=False,
    )


@pytest.mark.parametrize(
    ("body", "thinking", "effort", "max_tokens"),
    [
        ({"thinking": None}, True, "high", 65_536),
        ({"thinking": {"type": "enabled"}}, True, "high", 65_536),
        ({"thinking": {"type": "disabled"}}, False, None, 8192),
        ({"thinking": {"type": "disabled"}, "reasoning_effort": "high"}, False, None, 8192),
        ({"thinking": {"type": "enabled"}, "reasoning_effort": "none"}, False, None, 8192),
        ({"reasoning_effort": "none"}, False, None, 8192),
        ({"reasoning_effort": "minimal"}, True, "low", 65_536),
        ({"reasoning_effort": "low"}, True, "low", 65_536),
        ({"reasoning_effort": "medium"}, True, "high", 65_536),
        ({"reasoning_effort": "xhigh"}, True, "high", 65_536),
        ({"reasoning_effort": "max"}, True, "max", 131_072),
        ({"reasoning_effort": "ultra"}, True, "max", 131_072),
        ({"reasoning_effort": None}, True, "high", 65_536),
        ({"reasoning_effort": "max", "max_tokens": 7}, True, "max", 7),
        ({"max_completion_tokens": 7}, True, "high", 65_536),  # not a parameter of this API
        ({"enable_thinking": False}, True, "high", 65_536),  # nor this one
    ],
)
def test_thinking_effort_and_the_default_of_max_tokens(
    body: dict[str, Any], thinking: bool, effort: str | None, max_tokens: int
) -> None:
    found = read(**body)
    assert (found.thinking, found.effort, found.max_tokens) == (thinking, effort, max_tokens)
    assert found.explicit_max_tokens == ("max_tokens" in body)


@pytest.mark.parametrize(
    ("instant", "effort", "level"),
    [
        ("2026-05-06", "low", "high"),
        ("2026-05-06", "xhigh", "max"),
        ("2026-08-01", "low", "low"),
        ("2026-08-01", "xhigh", "max"),
        ("2026-08-20", "xhigh", "high"),
    ],
)
def test_efforts_by_date(instant: str, effort: str, level: str) -> None:
    assert read(instant, "deepseek-v4-flash", reasoning_effort=effort).effort == level


@pytest.mark.parametrize("switch", [{}, {"thinking": {"type": "enabled"}}, {"reasoning_effort": "max"}])
def test_the_old_names_keep_their_mode_on_v4(switch: dict[str, Any]) -> None:
    assert not read("2026-06-08", "deepseek-chat", **switch).thinking
    assert read("2026-06-08", "deepseek-reasoner", **switch).thinking


def test_the_reasoner_thinks_whatever_is_asked() -> None:
    found = read("2026-06-08", "deepseek-reasoner", reasoning_effort="none", thinking={"type": "disabled"})
    assert (found.thinking, found.effort) == (True, "high")
    found = read("2026-02-15", "deepseek-reasoner", reasoning_effort="medium")
    assert (found.thinking, found.effort, found.max_tokens) == (True, None, 32_768)


def test_v3_2_has_a_switch_on_the_chat_name() -> None:
    assert not read("2026-02-15", "deepseek-chat").thinking
    found = read("2026-02-15", "deepseek-chat", thinking={"type": "enabled"})
    assert (found.thinking, found.effort, found.max_tokens) == (True, None, 32_768)
    assert not read("2025-10-15", "deepseek-chat", thinking={"type": "enabled"}).thinking


def test_v3_1_answers_tools_without_thinking() -> None:
    assert read("2025-09-01", "deepseek-reasoner").thinking
    assert not read("2025-09-01", "deepseek-reasoner", tools=TOOLS).thinking
    assert read("2025-09-01", "deepseek-reasoner", tools=TOOLS, tool_choice="none").thinking
    assert read("2026-02-15", "deepseek-reasoner", tools=TOOLS).thinking


@pytest.mark.parametrize(
    ("body", "names", "forced"),
    [
        ({}, [], False),
        ({"tools": []}, [], False),
        ({"tools": None, "tool_choice": None}, [], False),
        ({"tool_choice": "required"}, [], False),
        ({"tool_choice": NAMED}, [], False),
        ({"tools": TOOLS[:1], "tool_choice": NAMED}, [], False),
        ({"tools": TOOLS}, ["look", "leap"], False),
        ({"tools": TOOLS, "tool_choice": None}, ["look", "leap"], False),
        ({"tools": TOOLS, "tool_choice": "auto"}, ["look", "leap"], False),
        ({"tools": TOOLS, "tool_choice": "none"}, [], False),
        ({"tools": TOOLS, "tool_choice": "required"}, ["look", "leap"], True),
        ({"tools": TOOLS, "tool_choice": NAMED}, ["leap"], True),
    ],
)
def test_tools_that_reach_the_prompt(body: dict[str, Any], names: list[str], forced: bool) -> None:
    found = read(**body)
    assert [tool["function"]["name"] for tool in found.tools] == names
    assert found.forced is forced


def test_strict_means_every_tool() -> None:
    assert not read(tools=TOOLS).strict_tools
    assert read(tools=TOOLS, tool_choice=NAMED).strict_tools
    assert not read().strict_tools


def test_the_rest_is_read_as_sent() -> None:
    found = read(
        response_format={"type": "json_object"},
        stream=True,
        stream_options={"include_usage": True},
        logprobs=True,
        top_logprobs=3,
        stop="###",
        messages=[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "He", "prefix": True}],
    )
    assert (found.json_mode, found.stream, found.include_usage) == (True, True, True)
    assert (found.logprobs, found.top_logprobs, found.stop, found.prefix) == (True, 3, ("###",), True)
    assert read(stop=["a", "b"]).stop == ("a", "b")
    assert not read(messages=[{"role": "user", "content": "hi", "prefix": True}]).prefix
    assert not read(response_format={"type": "text"}).json_mode


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KNOWN = ("thinking", "reasoning_effort", "tools", "tool_choice", "max_tokens", "messages", "response_format", "stream")
KNOWN += ("stream_options", "logprobs", "top_logprobs", "stop")


@given(st.dictionaries(st.sampled_from(KNOWN), JSON), st.sampled_from(["2025-02-01", "2026-02-15", "2026-05-06", NOW]))
def test_reading_never_fails(body: dict[str, Any], instant: str) -> None:
    for model in at(instant).models:
        found = settings(body, model)
        assert found.effort in {None, "low", "high", "max"}
        assert found.thinking or found.effort is None
        assert isinstance(found.max_tokens, int)


def answered(r: Recording) -> bool:
    return r.first_party and r.chat and r.status == 200 and r.asked is not None


@requires_recordings
def test_recorded_replies_reason_exactly_when_the_request_means_thinking() -> None:
    replies = [r for r in recordings() if answered(r)]
    wrong = []
    for r in replies:
        assert r.asked is not None
        found = settings(r.asked, at(r.date).model(r.asked["model"]))
        if found.thinking != ('"reasoning_content"' in json.dumps(r.objects)):
            wrong.append(r.name)
    assert wrong == []
    assert len(replies) >= 200


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"thinking": False, "effort": None, "max_tokens": 4096, "explicit_max_tokens": False, "tools": ()}),
        ({"thinking": {"type": "enabled"}, "reasoning_effort": "max"}, {"thinking": False, "effort": None}),
        ({"max_tokens": 7}, {"max_tokens": 7, "explicit_max_tokens": True}),
        ({"logprobs": 0}, {"logprobs": True, "top_logprobs": 0}),
        ({"logprobs": 5}, {"logprobs": True, "top_logprobs": 5}),
        ({"logprobs": None}, {"logprobs": False, "top_logprobs": 0}),
        ({"stop": "x", "stream": True, "stream_options": {"include_usage": True}}, {"stop": ("x",), "stream": True}),
        ({"tools": [{}], "response_format": {"type": "json_object"}}, {"tools": (), "json_mode": False}),
    ],
)
def test_fill_in_the_middle_has_settings_of_its_own(fields, expected):
    model = at("2026-11-16").model("deepseek-flash")
    found = completion_settings({"model": "deepseek-flash", "prompt": "x", **fields}, model)
    assert {name: getattr(found, name) for name in expected} == expected
