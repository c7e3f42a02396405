import subprocess
import sys
import traceback
import warnings
from pathlib import Path

import pytest

import dsnb
from dsnb.errors import (
    AuthenticationFailed,
    ConfigurationError,
    DsnbWarning,
    MissingKey,
    RequestRejected,
    UnknownModel,
)

KEY = "sk-f00dfeedc0ffee99"


def parts(key: str, size: int = 4) -> list[str]:
    return [key[i : i + size] for i in range(len(key) - size + 1)]


def test_without_a_key_the_emulator_answers_and_one_line_says_so(capsys):
    with dsnb.connect() as ds:
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        assert "offline" in said.err
        assert "emulator" in said.err
        reply = ds.ask("hello")
        assert reply.outcome == "stop"
        assert "emulator" in str(reply)
        assert reply.reasoning
        assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
        assert reply.cost.usd > 0
        assert reply.served_by == "emulator"
        assert ds.last is reply
        assert [card.id for card in ds.models()] == [model.name for model in ds.contract.listed]
        assert ds.balance().is_available


@pytest.mark.slow
def test_the_promise_of_the_readme_holds_in_a_fresh_process():
    code = "import dsnb; print(dsnb.connect().ask('hello'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"PATH": "/usr/bin", "PYTHONPATH": str(Path(dsnb.__file__).parents[1])},
    )
    assert "emulator" in done.stdout
    assert done.stderr.count("\n") == 1


def test_offline_mode_wins_over_a_key(monkeypatch):
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    monkeypatch.setenv("DSNB_OFFLINE", "1")
    with dsnb.connect() as ds:
        assert ds.emulator is not None
    with dsnb.connect(api_key=KEY) as ds:
        assert ds.emulator is not None
    with pytest.raises(ConfigurationError, match=r"api\.deepseek\.com.*Leave base_url out"):
        dsnb.connect("https://api.deepseek.com")


def test_forbidding_the_emulator_needs_a_key(monkeypatch):
    monkeypatch.setenv("DSNB_OFFLINE", "0")
    with pytest.raises(MissingKey) as caught:
        dsnb.connect()
    for words in ("DSNB_OFFLINE=0 forbids the emulator", "DEEPSEEK_API_KEY=", ".env", "api_key="):
        assert words in str(caught.value)
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    assert dsnb.connect().endpoint.base_url == "https://api.deepseek.com"


def test_a_setting_that_says_nothing_is_told(monkeypatch):
    monkeypatch.setenv("DSNB_OFFLINE", "maybe")
    with pytest.raises(ConfigurationError, match="'maybe' says nothing"):
        dsnb.connect()


def test_a_key_goes_live_and_is_never_shown(monkeypatch, capsys):
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    ds = dsnb.connect()
    shown = "".join(capsys.readouterr()) + repr(ds) + repr(ds.endpoint) + repr(vars(ds)) + repr(ds.last)
    assert "api.deepseek.com" in shown
    assert not [part for part in parts(KEY) if part in shown]
    assert ds.openai.api_key == KEY


def test_deepseeks_key_is_sent_to_deepseek_only(monkeypatch):
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    for elsewhere in ("https://api.example.com/v1", "http://api.deepseek.com", "https://api.deepseek.com.example.org"):
        with pytest.raises(MissingKey, match="key of its own"):
            dsnb.connect(elsewhere)
    assert dsnb.connect("https://api.example.com/v1", "other").endpoint.key.reveal() == "other"
    for route in ("", "/", "/v1", "/beta", "/beta/"):
        endpoint = dsnb.connect(f"https://api.deepseek.com{route}").endpoint
        assert (endpoint.key.reveal(), endpoint.base_url) == (KEY, "https://api.deepseek.com")


def test_a_provider_brings_its_own_key(monkeypatch):
    provider = dsnb.Provider("groq", "https://api.groq.com/openai/v1", key_variable="GROQ_API_KEY")
    with pytest.raises(MissingKey, match="Set GROQ_API_KEY"):
        dsnb.connect(provider)
    monkeypatch.setenv("GROQ_API_KEY", "theirs")
    assert dsnb.connect(provider).endpoint.key.reveal() == "theirs"


@pytest.mark.parametrize("url", ["api.deepseek.com", "ftp://x", "", "https://", "https://user:secret@host/v1"])
def test_what_is_no_base_url_is_told(url):
    with pytest.raises(ConfigurationError) as caught:
        dsnb.connect(url, "key")
    assert "secret" not in str(caught.value)


def test_a_refused_key_shows_in_no_part_of_the_error():
    with dsnb.Emulator(faults=[401]) as emulator, dsnb.connect(emulator.base_url, KEY) as ds:
        with pytest.raises(AuthenticationFailed) as caught:
            ds.ask("hello")
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(vars(caught.value))
        assert not [part for part in parts(KEY) if part in shown]
        assert "key" in str(caught.value)


def test_an_emulator_of_this_process_is_known_by_its_address():
    with dsnb.Emulator("2025-02-01") as emulator, dsnb.connect(emulator.base_url, model="deepseek-chat") as ds:
        assert ds.contract.instant == emulator.contract.instant
        reply = ds.ask("hello")
        assert (reply.outcome, reply.model) == ("stop", "deepseek-chat")
        assert reply.cost.usd is not None
    assert emulator.requests()[0]["model"] == "deepseek-chat"


def test_an_emulator_elsewhere_is_known_by_the_date_that_is_given():
    with dsnb.connect("http://127.0.0.1:9", as_of="2025-02-01", quiet=True) as ds:
        assert (ds.endpoint.provider.name, ds.endpoint.provider.contract) == ("emulator", True)
        assert "deepseek-chat" in {model.name for model in ds.contract.models}
    local = dsnb.connect("http://127.0.0.1:9", quiet=True).endpoint.provider
    assert (local.contract, local.passback) == (False, True)
    remote = dsnb.connect("https://api.example.com/v1", "key", quiet=True).endpoint.provider
    assert (remote.contract, remote.passback) == (False, False)


def test_a_retired_name_is_mapped_with_one_warning():
    with dsnb.connect() as ds:
        with pytest.warns(
            DsnbWarning, match=r"deepseek-reasoner was retired.*'deepseek-flash', thinking=True"
        ) as caught:
            reply = ds.ask("hello", model="deepseek-reasoner")
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert reply.reasoning
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert ds.ask("hello", model="deepseek-chat").reasoning is None


def test_what_the_api_would_reject_is_told_before_it_is_sent():
    with dsnb.connect() as ds:
        with pytest.raises(RequestRejected) as caught:
            ds.ask("hello", temperature=3, max_tokens=0)
        assert {finding.where for finding in caught.value.findings} == {"temperature", "max_tokens"}
        assert "lint=False" in str(caught.value)
        with pytest.raises(UnknownModel, match="deepseek-flash"):
            ds.ask("hello", model="deepseek-flesh")
        assert ds.emulator.requests() == []
        with pytest.raises(dsnb.errors.InvalidRequest, match="temperature"):
            ds.ask("hello", temperature=3, lint=False)
        with pytest.raises(dsnb.errors.InvalidRequest, match="deepseek-chat"):
            ds.ask("hello", model="deepseek-chat", lint=False)
        assert len(ds.emulator.requests()) == 2


def test_what_the_model_ignores_is_noted_on_the_reply():
    with dsnb.connect() as ds:
        reply = ds.ask("hello", temperature=0.5)
        assert [note.where for note in reply.notes if note.effect == "ignored"] == ["temperature"]


def test_what_is_passed_on_reaches_the_wire():
    with dsnb.connect() as ds:
        ds.ask("hello", parallel_tool_calls=False, stream=False)
        body = ds.emulator.requests()[-1]
        assert body["parallel_tool_calls"] is False
        assert body["stream"] is False
