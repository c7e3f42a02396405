"""What the API would say to a request for the middle of a text."""

import json

import pytest

from dsnb.contract import at
from dsnb.contract.requests import check_completion, parse

NOW = at("2026-11-01")
CHAT = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "hi"}]}
FIM = {"model": "deepseek-flash", "prompt": "def f(", "suffix": "return"}


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ({}, None),
        ({"max_tokens": 4096, "stop": ["x"] * 16, "temperature": 0, "top_p": 0.5}, None),
        ({"max_tokens": 4097}, "max_tokens.range"),
        ({"max_tokens": 0}, "max_tokens.range"),
        ({"echo": True}, "completion.echo"),
        ({"echo": True, "suffix": None, "logprobs": 3}, "completion.echo"),
        ({"echo": True, "suffix": None}, None),
        ({"logprobs": 21}, "completion.logprobs"),
        ({"logprobs": 20}, None),
        ({"stop": ["x"] * 17}, "stop.count"),
        ({"temperature": 3}, "temperature.range"),
        ({"stream_options": {"include_usage": True}}, "stream_options.stream"),
        ({"thinking": {"type": "enabled"}}, "completion.thinking"),
        ({"model": "gpt-4"}, "model.unknown"),
        ({"prompt": ["a"]}, "body.shape"),
        ({"prompt": None}, "body.shape"),
    ],
    ids=repr,
)
def test_fill_in_the_middle(body, rule):
    found = check_completion(FIM | body, NOW, beta=True)
    assert [finding.rule for finding in found if finding.effect == "rejected"] == ([rule] if rule else [])


def test_fill_in_the_middle_wants_the_beta_route():
    finding = check_completion(FIM, NOW)[0]
    assert finding.message == (
        'completions api is only available when using beta api (set base_url="https://api.deepseek.com/beta")'
    )
    assert (finding.error.status, finding.error.content_type) == (400, "application/octet-stream")


def test_a_fill_in_the_middle_request_is_read_by_its_own_shape():
    raw = json.dumps(FIM).encode()
    assert parse(raw, NOW, completion=True) == FIM
    assert parse(raw, NOW).message.endswith(f"missing field `messages` at line 1 column {len(raw)}")
    assert "missing field `prompt`" in parse(json.dumps(CHAT).encode(), NOW, completion=True).message


def test_fill_in_the_middle_counts_its_prompt_and_tells_what_it_ignores():
    limit = NOW.wire.context_limit
    assert check_completion(FIM, NOW, beta=True, prompt_tokens=limit) == []
    found = check_completion({**FIM, "max_tokens": 1}, NOW, beta=True, prompt_tokens=limit)
    assert [finding.rule for finding in found] == ["context.overflow"]
    body = {**FIM, "presence_penalty": 1, "messages": [], "reasoning_effort": "high"}
    told = [(finding.effect, finding.where) for finding in check_completion(body, NOW, beta=True)]
    assert told == [("ignored", "presence_penalty"), ("ignored", "messages"), ("ignored", "reasoning_effort")]
