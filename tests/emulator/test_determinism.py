"""A reply's text is a pure function of the seed and the request: not of traffic, faults, time, cache or transport."""

import pytest

from dsnb.emulator import Answer, Emulator
from tests.emulator.talking import answer, body, chunks, post, said

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ASKED = [
    body("Tell me something"),
    body("Prove that sqrt(2) is irrational", thinking={"type": "enabled"}),
    body("What is the weather in Paris, Rome and Oslo?", tools=[TOOL]),
    body('Answer in json like {"city": "Rome", "size": 3}', response_format={"type": "json_object"}),
]


def messages(**settings):
    with Emulator(**settings) as emulator:
        return [answer(emulator, asked) for asked in ASKED]


def test_the_same_request_gets_the_same_text():
    assert messages() == messages()


def test_order_and_traffic_change_nothing():
    with Emulator() as emulator:
        backwards = [answer(emulator, asked) for asked in reversed(ASKED)]
        again = [answer(emulator, asked) for asked in ASKED]
    assert again == backwards[::-1] == messages()


def test_faults_and_pace_change_nothing():
    faults = ["queue@30", "think@20", "ok", "queue@5"]
    assert messages(faults=faults, pace=0.0001) == messages()


def test_a_retry_gets_the_same_words_as_a_run_without_faults():
    with Emulator(faults=[503, "ok", "cut@3", "ok", "eof@2", "ok", "empty", "ok"]) as emulator:
        for asked, wanted in zip(ASKED, messages(), strict=True):
            try:
                post(emulator, asked)
            except OSError:
                pass
            except Exception as error:
                assert "closed" in str(error) or "peer" in str(error)  # noqa: PT017 — any transport's words will do
            assert answer(emulator, asked) == wanted


def test_streaming_changes_no_word():
    with Emulator() as emulator:
        for asked, wanted in zip(ASKED, messages(), strict=True):
            stream = chunks(post(emulator, {**asked, "stream": True}))
            assert said(stream) == wanted["content"]
            assert said(stream, "reasoning_content") == wanted.get("reasoning_content", "")


def test_ids_and_logprobs_come_from_the_seed():
    asked = body("Tell me something", logprobs=True, top_logprobs=3)

    def reply(seed):
        with Emulator(seed=seed) as emulator:
            found = post(emulator, asked)
            return found.json()["id"], found.json()["choices"][0]["logprobs"], found.headers["x-ds-trace-id"]

    assert reply(1) == reply(1)
    assert all(one != other for one, other in zip(reply(1), reply(2), strict=True))


def test_ids_of_replies_differ_within_one_emulator():
    with Emulator() as emulator:
        assert len({post(emulator).json()["id"] for _ in range(5)}) == 5


@pytest.mark.parametrize("prefix", ["", "This is", "This is the **dsnb emulator**: no model"])
def test_a_prefix_request_continues_the_text_of_the_request_without_it(prefix):
    with Emulator() as emulator:
        whole = answer(emulator)["content"]
        asked = body()
        begun = {"role": "assistant", "content": prefix, "prefix": True}
        found = post(emulator, {**asked, "messages": [*asked["messages"], begun]}, path="/beta/chat/completions")
        assert prefix + found.json()["choices"][0]["message"]["content"] == whole


def test_a_prefix_with_its_reasoning_goes_on_where_it_stopped():
    asked = body(thinking={"type": "enabled"})
    with Emulator() as emulator:
        whole = answer(emulator, asked)

        def rest(**fields):
            begun = {"role": "assistant", "prefix": True, **fields}
            found = post(emulator, {**asked, "messages": [*asked["messages"], begun]}, path="/beta/chat/completions")
            return found.json()["choices"][0]["message"]

        half = whole["reasoning_content"][:40]
        again = rest(content="", reasoning_content=half)
        assert half + again["reasoning_content"] == whole["reasoning_content"]
        assert again["content"] == whole["content"]
        later = rest(content=whole["content"][:20], reasoning_content=whole["reasoning_content"])
        assert later == {"role": "assistant", "content": whole["content"][20:], "reasoning_content": ""}


def test_a_foreign_prefix_is_continued_honestly():
    asked = body("Write quicksort", stop=["```"])
    with Emulator() as emulator:
        for prefix in ("```python\n", "Once upon a time"):
            begun = {"role": "assistant", "content": prefix, "prefix": True}
            found = post(
                emulator, {**asked, "messages": [*asked["messages"], begun]}, path="/beta/chat/completions"
            ).json()
            assert "dsnb emulator" in found["choices"][0]["message"]["content"]
            assert "```" not in found["choices"][0]["message"]["content"]


def test_an_engine_that_fails_is_told_and_not_hidden(caplog):
    def broken(request):
        raise ValueError("no such thing")

    with Emulator(engine=broken) as emulator:
        found = post(emulator)
        assert found.status_code == 500
        assert found.json()["error"]["message"] == "The emulator's engine failed: ValueError: no such thing"
        assert [row.outcome for row in emulator.ledger()] == ["rejected"]
    assert "no such thing" in caplog.text


def test_an_engine_is_a_name_an_object_or_a_function():
    class Parrot:
        def answer(self, request):
            return Answer(f"{request.model.name} {request.prompt_tokens} {request.seed} {request.last_user}")

    with Emulator(engine=Parrot(), seed=7) as emulator:
        assert answer(emulator)["content"] == "deepseek-flash 6 7 Hello there"
    with Emulator(engine="echo") as emulator:
        assert answer(emulator, body(thinking={"type": "enabled"})) == {
            "role": "assistant",
            "content": "Hello there",
            "reasoning_content": "We are dsnb's echo engine: we repeat the last user message.",
        }
