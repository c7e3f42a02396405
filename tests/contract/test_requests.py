"""What the API would say to a request."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsnb.contract import at
from dsnb.contract.requests import Finding, check, parse
from tests.recordings import recordings, requires_recordings

NOW = at("2026-11-01")
USER = [{"role": "user", "content": "hi"}]
BODY = {"model": "deepseek-flash", "messages": USER}
OCTETS = "application/octet-stream"


def ordered(body):
    """Return a request in the order in which the recorder's own library had written it, before the keys were sorted."""
    if isinstance(body, list):
        return [ordered(item) for item in body]
    if not isinstance(body, dict):
        return body
    first = [key for key in ("model", "messages", "role", "type") if key in body]
    return {key: ordered(body[key]) for key in [*first, *(key for key in body if key not in first)]}


def sent(recording):
    return json.dumps(ordered(recording.asked), ensure_ascii=False, separators=(",", ":")).encode()


def judged(raw, contract, **options):
    body = parse(raw, contract)
    return [body] if isinstance(body, Finding) else check(body, contract, raw=raw, **options)


def first_party(statuses):
    return [r for r in recordings() if r.first_party and r.chat and r.asked and r.status in statuses]


@requires_recordings
@pytest.mark.parametrize("recording", first_party({200}), ids=lambda recording: recording.name)
def test_what_the_api_took_is_not_refused(recording):
    refused = [finding for finding in judged(sent(recording), at(recording.date)) if finding.effect == "rejected"]
    assert refused == []


@requires_recordings
@pytest.mark.parametrize("recording", first_party({400, 422}), ids=lambda recording: recording.name)
def test_what_the_api_refused_is_refused_in_the_same_words(recording):
    answer = judged(sent(recording), at(recording.date))[0].error
    assert answer.status == recording.status
    assert answer.content_type == recording.headers["content-type"]
    if isinstance(recording.body, dict):
        assert json.loads(answer.body) == recording.body
    else:
        assert answer.body.decode() == recording.body


def test_a_plain_request_is_read_and_passes():
    raw = json.dumps(BODY).encode()
    assert parse(raw, NOW) == BODY
    assert check(BODY, NOW) == []
    assert check(BODY, NOW, raw=raw) == []


@pytest.mark.parametrize(
    ("date", "name", "message"),
    [
        ("2025-02-01", "gpt-4", "Model Not Exist"),
        (
            "2026-08-01",
            "deepseek-chat",
            "The supported API model names are deepseek-v4-pro or deepseek-v4-flash, but you passed deepseek-chat.",
        ),
        (
            "2026-11-01",
            "{model}",
            "The supported API model names are deepseek-flash, deepseek-v4-pro, but you passed {model}.",
        ),
    ],
)
def test_an_unknown_model_is_told_in_the_words_of_its_time(date, name, message):
    finding = check(BODY | {"model": name}, at(date))[0]
    assert (finding.rule, finding.where, finding.message) == ("model.unknown", "model", message)
    assert (finding.error.status, finding.error.content_type) == (400, OCTETS)
    assert json.loads(finding.error.body)["error"]["message"] == message


def test_a_retired_model_is_mended_by_its_successor():
    chat, reasoner = (check(BODY | {"model": f"deepseek-{name}"}, NOW)[0].mend for name in ("chat", "reasoner"))
    assert "model='deepseek-flash'" in chat
    assert "'thinking': {'type': 'disabled'}" in chat
    assert "'thinking': {'type': 'enabled'}" in reasoner


def test_findings_come_in_the_order_of_the_api():
    body = BODY | {
        "n": 2,
        "temperature": 3,
        "max_tokens": 0,
        "tools": [{"type": "function", "function": {"name": "a b"}}],
        "messages": [{"role": "tool", "tool_call_id": "1", "content": "x"}],
        "response_format": {"type": "json_object"},
        "seed": 1,
    }
    rules = [finding.rule for finding in check(body, NOW, prompt_tokens=2_000_000)]
    assert rules[:7] == [
        "n.value",
        "max_tokens.range",
        "temperature.range",
        "tools.name",
        "history.tool_message_orphan",
        "response_format.json_word",
        "context.overflow",
    ]
    effects = [finding.effect for finding in check(body, NOW)]
    assert effects == sorted(effects, key=["rejected", "ignored", "billed"].index)


@pytest.mark.parametrize(
    ("date", "model", "prompt", "body", "words"),
    [
        ("2026-05-06", "deepseek-v4-flash", 1250025, {}, ("1048576", "1250025", "1250025", "0")),
        ("2026-10-02", "deepseek-flash", 1248039, {"max_tokens": 16}, ("1048565", "1248055", "1248039", "16")),
        ("2025-10-10", "deepseek-chat", 123137, {"max_tokens": 8192}, ("131072", "131329", "123137", "8192")),
        ("2025-03-07", "deepseek-chat", 68718, {"max_tokens": 4096}, ("65536", "72814", "68718", "4096")),
    ],
)
def test_a_request_longer_than_the_context(date, model, prompt, body, words):
    limit, requested, messages, completion = words
    found = check({"model": model, "messages": USER} | body, at(date), prompt_tokens=prompt)
    assert found[0].message == (
        f"This model's maximum context length is {limit} tokens. However, you requested {requested} tokens ({messages} "
        f"in the messages, {completion} in the completion). Please reduce the length of the messages or completion."
    )
    assert (found[0].error.status, found[0].error.content_type) == (400, OCTETS)


def test_a_request_that_just_fits():
    assert check(BODY, NOW, prompt_tokens=NOW.wire.context_limit) == []
    assert check(BODY, NOW) == []


JSON_MODE = {"response_format": {"type": "json_object"}}


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (USER, False),
        ([{"role": "user", "content": "请用JSON表示"}], True),
        ([{"role": "system", "content": "Respond in json."}, *USER], True),
        ([{"role": "user", "content": [{"type": "text", "text": "as Json"}]}], True),
        ([{"role": "assistant", "content": "x", "reasoning_content": "json"}, *USER], False),
    ],
)
def test_json_mode_wants_the_word(messages, said):
    rules = [finding.rule for finding in check(BODY | JSON_MODE | {"messages": messages}, NOW)]
    assert ("response_format.json_word" in rules) is not said


def test_a_schema_is_not_a_response_format():
    body = BODY | {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}}
    finding = check(body, NOW)[0]
    assert finding.message == "This response_format type is unavailable now"
    assert len(finding.error.body) == 143
    old = check(body | {"model": "deepseek-chat"}, at("2025-02-15"))[0]
    assert (old.error.status, old.error.content_type) == (422, "text/plain; charset=utf-8")
    assert "response_format: response_format.type `json_schema` is unavailable now at line 1 column" in old.message


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"thinking": False}, 422, "thinking: invalid type: boolean `false`, expected struct ThinkingOptions"),
        ({"reasoning_effort": "extreme"}, 422, "reasoning_effort: unknown variant `extreme`, expected one of `none`, "),
        ({"messages": {}}, 400, "messages: invalid type: map, expected a sequence"),
        ({"max_tokens": -5}, 400, "max_tokens: invalid value: integer `-5`, expected u32"),
        ({"tools": [{"function": {"name": "f"}}]}, 400, "tools[0]: missing field `type`"),
    ],
)
def test_shape_comes_before_everything_else(body, status, words):
    found = check(BODY | {"model": "unknown", "n": 5} | body, NOW)
    assert len(found) == 1
    assert found[0].message.startswith(f"Failed to deserialize the JSON body into the target type: {words}")
    assert (found[0].error.status, found[0].error.content_type) == (status, "application/json")
    assert found[0].mend.endswith(".")


@pytest.mark.parametrize("body", [{"thinking": {"type": 5}}, {"reasoning_effort": 5}, {"temperature": float("nan")}])
def test_what_no_parser_takes_is_malformed(body):
    finding = check(BODY | body, NOW)[0]
    assert finding.rule == "body.malformed"
    assert "expected value at line 1 column" in finding.message
    assert (finding.error.status, finding.error.content_type) == (400, OCTETS)
    assert finding.error.body == finding.message.encode()


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", "\ud800"])
def test_what_is_no_json_is_told_without_an_answer(value):
    finding = check(BODY | {"x": value}, NOW)[0]
    assert (finding.rule, finding.effect, finding.error) == ("body.malformed", "rejected", None)


def test_positions_follow_the_bytes_that_were_sent():
    spaced = json.dumps(BODY | {"reasoning_effort": "x"}, indent=2).encode()
    compact = json.dumps(BODY | {"reasoning_effort": "x"}, separators=(",", ":")).encode()
    body = json.loads(spaced)
    assert check(body, NOW, raw=spaced)[0].message.endswith("at line 9 column 25")
    assert check(body, NOW, raw=compact)[0].message == check(body, NOW)[0].message


@pytest.mark.parametrize(
    ("contract", "model", "body", "billed"),
    [
        ("2026-08-15", "deepseek-v4-flash", {}, ["prompt.effort_text"]),
        ("2026-08-15", "deepseek-v4-flash", {"reasoning_effort": "low"}, []),
        ("2026-08-15", "deepseek-v4-flash", {"thinking": {"type": "disabled"}}, []),
        ("2026-07-01", "deepseek-v4-flash", {}, []),
        ("2026-07-01", "deepseek-v4-flash", {"reasoning_effort": "max"}, ["prompt.effort_text"]),
        (
            "2026-07-01",
            "deepseek-chat",
            {"messages": [{"role": "user", "content": "json"}], **JSON_MODE},
            ["prompt.json_mode"],
        ),
        (
            "2026-07-01",
            "deepseek-chat",
            {"tools": [{"type": "function", "function": {"name": "f"}}]},
            ["prompt.tools"],
        ),
        ("2026-11-01", "deepseek-flash", {}, []),
    ],
)
def test_what_the_prompt_costs_beyond_its_messages(contract, model, body, billed):
    found = check(BODY | {"model": model} | body, at(contract))
    assert [finding.rule for finding in found if finding.effect == "billed"] == billed


def test_a_model_that_cannot_be_switched_says_so():
    found = check(BODY | {"model": "deepseek-reasoner", "thinking": {"type": "disabled"}}, at("2026-06-01"))
    assert "thinking.ignored" in [finding.rule for finding in found]
    found = check(BODY | {"model": "deepseek-reasoner", "thinking": {"type": "enabled"}}, at("2026-06-01"))
    assert "thinking.ignored" not in [finding.rule for finding in found]


HOSTILE = [
    b"",
    b"\x00",
    b"\xff\xfe{\x00",
    b"\xef\xbb\xbf{}",
    b"{" * 5000,
    b"[" * 200_000,
    b'"' * 99,
    b"-" * 99,
    b"9" * 9999,
]


@pytest.mark.parametrize("raw", HOSTILE, ids=lambda raw: repr(raw[:12]))
def test_hostile_bytes_are_answered(raw):
    finding = parse(raw, NOW)
    assert isinstance(finding, Finding)
    assert finding.error.status == 400
    assert finding.message.encode() in finding.error.body or finding.rule == "body.shape"


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
PART = st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=9)})
SPOKEN = st.text(max_size=9) | st.lists(PART, max_size=2)
CALL = st.builds(
    lambda call, name, arguments: {"id": call, "type": "function", "function": {"name": name, "arguments": arguments}},
    st.sampled_from("abc"),
    st.sampled_from(["f", "g h"]),
    st.text(max_size=4),
)
MESSAGE = (
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "latest_reminder"]), "content": SPOKEN})
    | st.fixed_dictionaries(
        {"role": st.just("assistant"), "content": SPOKEN | st.none()},
        optional={
            "tool_calls": st.lists(CALL, max_size=3) | st.none(),
            "reasoning_content": st.text(max_size=3) | st.none(),
            "prefix": st.booleans(),
        },
    )
    | st.fixed_dictionaries({"role": st.just("tool"), "content": SPOKEN, "tool_call_id": st.sampled_from("abc")})
)
REQUEST = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["deepseek-flash", "deepseek-v4-pro", "deepseek-chat", "deepseek-reasoner", "x"]),
        "messages": st.lists(MESSAGE, max_size=5),
    },
    optional={
        "tools": st.lists(
            st.fixed_dictionaries(
                {
                    "type": st.just("function"),
                    "function": st.fixed_dictionaries(
                        {"name": st.sampled_from(["f", "g", "ä"])},
                        optional={"parameters": ANY, "strict": st.booleans()},
                    ),
                }
            ),
            max_size=3,
        ),
        "tool_choice": st.sampled_from(
            ["none", "auto", "required", {"type": "function", "function": {"name": "f"}}, None]
        ),
        "temperature": st.floats(-1, 3),
        "max_tokens": st.integers(0, 10**6),
        "stop": st.lists(st.text(max_size=2), max_size=18) | st.text(max_size=2),
        "response_format": st.sampled_from([{"type": "json_object"}, {"type": "text"}, {"type": "json_schema"}]),
        "x": ANY,
    },
)


@given(REQUEST, st.sampled_from(["2025-02-01", "2025-10-01", "2026-02-01", "2026-06-01", "2026-11-01"]), st.booleans())
@settings(max_examples=150, deadline=None)
@pytest.mark.slow
def test_any_request_gets_findings_that_make_sense(body, date, beta):
    contract = at(date)
    raw = json.dumps(body).encode()
    parsed = parse(raw, contract)
    found = [parsed] if isinstance(parsed, Finding) else check(parsed, contract, beta=beta, raw=raw)
    assert found == (found if isinstance(parsed, Finding) else check(body, contract, beta=beta))
    for finding in found:
        assert finding.effect in {"rejected", "ignored", "billed"}
        assert (finding.error is not None) is (finding.effect == "rejected")
        assert "{" not in finding.rule
        assert finding.message
        assert finding.mend.strip().endswith((".", ")"))
        assert finding.confidence in {"H", "M", "L"}


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools.unsupported"),
        ({"response_format": {"type": "json_object"}}, "response_format.unsupported"),
    ],
)
def test_r1_had_neither_tools_nor_json_before_its_update(fields, rule):
    body = {"model": "deepseek-reasoner", "messages": [{"role": "user", "content": "json"}], **fields}
    for date, expected in (("2025-02-01", [rule]), ("2025-05-27", [rule]), ("2025-05-28", [])):
        found = check(body, at(date))
        assert [finding.rule for finding in found if finding.effect == "rejected"] == expected
