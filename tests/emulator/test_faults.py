"""Everything that goes wrong on purpose, as a client meets it."""

import json
import socket
import time
from contextlib import suppress

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsnb.emulator import Answer, Emulator
from dsnb.emulator.faults import OK, Schedule, parse, written
from dsnb.errors import EmulatorError
from tests.emulator.talking import KEY, body, chunks, connect, everything, post, said, until
from tests.patience import PATIENCE

WORDS = " ".join(f"word{n}" for n in range(40))


def words(request):
    return Answer(WORDS, "We think about it." if request.settings.thinking else None)


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        (400, 400, "must be passed back"),
        (401, 401, "Your api key: ****test is invalid"),
        (402, 402, "Insufficient Balance"),
        (429, 429, "Your current concurrency is 501, which exceeds your concurrency limit of 500"),
        (500, 500, "server"),
        (502, 502, "gateway"),
        (503, 503, "too busy"),
        ("504", 504, "timeout"),
    ],
)
def test_a_status_answers_one_request_with_the_body_of_the_api(fault, status, words):
    with Emulator(faults=[fault]) as emulator:
        found = post(emulator)
        assert found.status_code == status
        assert words in found.json()["error"]["message"]
        assert "retry-after" not in found.headers
        assert post(emulator).status_code == 200
        assert [(row.status, row.outcome, row.billed) for row in emulator.ledger()] == [
            (status, "rejected", False),
            (200, "stop", True),
        ]


def test_retry_after_is_sent_where_asked_for():
    with Emulator(faults=["503@5", "429@2"]) as emulator:
        assert [post(emulator).headers["retry-after"] for _ in range(2)] == ["5", "2"]


def test_the_schedule_is_one_per_request_and_then_ok():
    with Emulator(faults=[503, "ok", 500]) as emulator:
        assert [post(emulator).status_code for _ in range(5)] == [503, 200, 500, 200, 200]
        emulator.faults = [502]
        assert emulator.faults == [502]
        assert [post(emulator).status_code for _ in range(2)] == [502, 200]
        emulator.faults = None
        assert post(emulator).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_refuse_resets_before_any_answer(stream):
    with Emulator(faults=["refuse"]) as emulator:
        with connect(emulator, body(stream=stream)) as sock:
            assert everything(sock) == (b"", True)
        emulator.faults = ["refuse"]
        with pytest.raises(httpx.TransportError):
            post(emulator)
        assert [(row.status, row.outcome, row.billed) for row in emulator.ledger()] == [(None, "refuse", False)] * 2


@pytest.mark.parametrize(("fault", "reset"), [("cut@7", False), ("reset@7", True)])
def test_a_connection_broken_in_mid_stream(fault, reset):
    with Emulator(faults=[fault], engine=words) as emulator, connect(emulator, body(stream=True)) as sock:
        received, was_reset = everything(sock)
        assert was_reset == reset
        assert received.count(b"data: ") == 1 + 7
        assert b"0\r\n\r\n" not in received
        assert b"[DONE]" not in received
        row = emulator.ledger()[0]
        assert (row.outcome, row.completion_tokens, row.billed) == (fault[:-2], 7, True)


@pytest.mark.parametrize(("fault", "reset"), [("cut@7", False), ("reset@7", True)])
def test_a_connection_broken_in_a_plain_body(fault, reset):
    with Emulator(faults=[fault], engine=words) as emulator, connect(emulator) as sock:
        received, was_reset = everything(sock)
        assert was_reset == reset
        assert b"200 OK" in received
        assert b"0\r\n\r\n" not in received
        assert emulator.ledger()[0].completion_tokens == 7


def test_a_broken_connection_is_an_error_to_the_sdk():
    with Emulator(faults=["cut@7", "reset@7"], engine=words) as emulator:
        with openai.OpenAI(base_url=emulator.base_url, api_key="x", max_retries=0) as client:
            for _ in range(2):
                stream = client.chat.completions.create(
                    model="deepseek-flash", messages=body()["messages"], stream=True
                )
                received = []
                with pytest.raises(openai.APIConnectionError):
                    received.extend(stream)
                assert 0 < len(received) <= 8
        assert [row.completion_tokens for row in emulator.ledger()] == [7, 7]


def test_eof_ends_the_stream_properly_without_the_end_mark():
    with Emulator(faults=["eof@5"], engine=words) as emulator:
        found = post(emulator, body(stream=True))
        assert found.text.endswith("}\n\n")
        assert [chunk["choices"][0]["finish_reason"] for chunk in chunks(found)] == [None] * 6
        assert WORDS.startswith(said(chunks(found)))
        assert emulator.ledger()[0].outcome == "eof"


def test_eof_of_a_plain_body_is_half_of_its_json():
    with Emulator(faults=["eof@30"], engine=words) as emulator:
        found = post(emulator)
        assert found.status_code == 200
        assert found.text.startswith('{"id":"')
        with pytest.raises(json.JSONDecodeError):
            found.json()


@pytest.mark.parametrize("stream", [False, True])
def test_malformed_is_no_json(stream):
    with Emulator(faults=["malformed@3"], engine=words) as emulator:
        text = post(emulator, body(stream=stream)).text
        frames = [frame.removeprefix("data: ") for frame in text.split("\n\n") if frame]
        assert len(frames) == (1 + 3 + 1 if stream else 1)
        for frame in frames[:-1]:
            json.loads(frame)
        with pytest.raises(json.JSONDecodeError):
            json.loads(frames[-1])
        assert emulator.ledger()[0].outcome == "malformed"


def test_a_stall_holds_the_connection_at_any_pace():
    with Emulator(faults=["stall@4"], engine=words) as emulator, connect(emulator, body(stream=True)) as sock:
        received = until(sock, b'"content":"1"')
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        assert received.count(b"data: ") == 1 + 4
        assert emulator.ledger()[0].outcome == "stall"
        assert emulator.ledger()[0].completion_tokens == 4


def test_a_stall_of_a_plain_reply_sends_nothing():
    with Emulator(faults=["stall"], engine=words) as emulator, connect(emulator) as sock:
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)


@pytest.mark.parametrize("thinking", ["disabled", "enabled"])
def test_empty_stops_without_text(thinking):
    with Emulator(faults=["empty"] * 2, engine=words) as emulator:
        choice = post(emulator, body(thinking={"type": thinking})).json()["choices"][0]
        assert (choice["finish_reason"], choice["message"]["content"]) == ("stop", "")
        assert choice["message"].get("reasoning_content", "") == ""
        stream = chunks(post(emulator, body(thinking={"type": thinking}, stream=True)))
        assert len(stream) == 2


def test_a_queue_sends_keep_alives_and_then_the_reply():
    with Emulator(faults=["queue@90"] * 2, engine=words) as emulator:
        stream = post(emulator, body(stream=True)).text
        assert stream.startswith(": keep-alive\n\n" * 9 + "data: {")
        assert stream.count(": keep-alive") == 9
        assert stream.endswith("data: [DONE]\n\n")
        plain = post(emulator)
        assert plain.content.startswith(b"\n" * 9 + b"{")
        assert plain.json()["choices"][0]["message"]["content"] == WORDS
        assert (emulator.clock.now - emulator.clock.start).total_seconds() > 180


def test_a_queue_longer_than_the_limit_is_closed():
    with Emulator(faults=["queue@700"], engine=words) as emulator, connect(emulator, body(stream=True)) as sock:
        received, reset = everything(sock)
        assert not reset
        assert received.count(b": keep-alive") == 60
        assert b"data: " not in received
        assert [(row.outcome, row.billed) for row in emulator.ledger()] == [("queue", False)]


def test_thinking_takes_its_time_and_changes_no_word():
    with Emulator(engine=words, faults=["ok", "think@90"]) as emulator:
        asked = body(thinking={"type": "enabled"}, stream=True)
        usual, slow = (said(chunks(post(emulator, asked)), "reasoning_content") for _ in range(2))
        assert usual == slow == "We think about it."
        first, second = emulator.ledger()
        took = (second.started - first.started).total_seconds()
        assert (emulator.clock.now - second.started).total_seconds() == pytest.approx(took + 90, abs=1)


@pytest.mark.parametrize("kind", ["cut", "eof", "stall", "malformed", "reset"])
def test_a_break_without_a_place_is_drawn_from_the_seed(kind):
    def place(seed):
        with Emulator(engine=words, faults=[kind], seed=seed) as emulator, connect(emulator, body(stream=True)) as sock:
            while not emulator.ledger():
                time.sleep(0.001)
            sock.close()
            return emulator.ledger()[0].completion_tokens

    places = {place(seed) for seed in range(8)}
    assert len(places) > 1
    assert all(1 <= one < 120 for one in places)
    assert place(3) == place(3)


def test_a_break_beyond_the_reply_strikes_before_the_finish_chunk():
    with Emulator(engine=words, faults=["eof@1000"]) as emulator:
        found = chunks(post(emulator, body(stream=True)))
        assert said(found) == WORDS
        assert found[-1]["choices"][0]["finish_reason"] is None


def test_rates_are_drawn_from_the_seed_and_the_ordinal():
    def statuses(seed):
        with Emulator(faults={503: 0.3, "500": 0.2}, seed=seed) as emulator:
            return [post(emulator, body(max_tokens=1)).status_code for _ in range(60)]

    found = statuses(1)
    assert found == statuses(1)
    assert found != statuses(2)
    assert 8 <= found.count(503) <= 28
    assert 3 <= found.count(500) <= 22


def test_rates_hold_over_many_draws():
    schedule = Schedule({503: 0.1, "cut": 0.2, "stall": 0.05}, seed=0)
    drawn = [schedule.draw(ordinal).kind for ordinal in range(20_000)]
    assert drawn.count("status") / 20_000 == pytest.approx(0.1, abs=0.01)
    assert drawn.count("cut") / 20_000 == pytest.approx(0.2, abs=0.01)
    assert drawn.count("stall") / 20_000 == pytest.approx(0.05, abs=0.01)
    assert drawn.count("ok") / 20_000 == pytest.approx(0.65, abs=0.01)


@pytest.mark.parametrize(
    "spec",
    [
        "cutt",
        "cut@",
        "cut@x",
        "cut@-1",
        "queue",
        "think",
        "queue@x",
        "queue@inf",
        "ok@1",
        "refuse@2",
        418,
        200,
        "",
        "503@x",
        "empty@1",
        None,
        4.5,
    ],
)
def test_an_unknown_fault_is_told_with_those_that_exist(spec):
    with pytest.raises(EmulatorError, match=r"is not a fault of the emulator: choose from .*429.*cut@20.*queue@90"):
        Emulator(faults=[spec])


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ("cut@20", r"write \['cut@20'\]"),
        (503, r"write \[503\]"),
        ({503: 1.5}, "between 0 and 1"),
        ({503: "often"}, "between 0 and 1"),
        ({503: True}, "between 0 and 1"),
        ({503: 0.6, "cut": 0.6}, "add up to more than 1"),
    ],
)
def test_faults_of_a_wrong_kind_are_told(faults, words):
    with pytest.raises(EmulatorError, match=words):
        Emulator(faults=faults)
    with Emulator() as emulator, pytest.raises(EmulatorError, match=words):
        emulator.faults = faults


@given(st.text(max_size=12) | st.from_regex(r"(cut|stall|queue|think|503|eof)@?[0-9a-z.]{0,6}", fullmatch=True))
def test_parsing_never_fails_otherwise(spec):
    try:
        fault = parse(spec)
    except EmulatorError as error:
        assert "is not a fault" in str(error)  # noqa: PT017 — either outcome is right
    else:
        assert fault.token(100) in range(101)


def test_ok_strikes_nowhere():
    assert parse("ok") == OK


def test_a_wrong_request_uses_up_its_fault():
    with Emulator(faults=["cut@1", "ok"]) as emulator:
        assert post(emulator, body(temperature=9)).status_code == 400
        assert post(emulator).status_code == 200


def test_other_routes_use_up_no_fault():
    with Emulator(faults=[503]) as emulator:
        assert httpx.get(f"{emulator.base_url}/models", headers={"authorization": "Bearer x"}).status_code == 200
        assert post(emulator).status_code == 503


def test_the_next_request_on_the_same_client_works_after_every_break():
    kinds = ["refuse", "reset@3", "cut@3", "eof@3", "malformed@3", "empty", 503]
    with (
        Emulator(faults=[fault for kind in kinds for fault in (kind, "ok")], engine=words) as emulator,
        httpx.Client() as client,
    ):
        for _ in kinds:
            url = f"{emulator.base_url}/chat/completions"
            with suppress(httpx.TransportError):
                client.post(url, json=body(stream=True), headers=KEY)
            found = client.post(url, json=body(), headers=KEY)
            assert found.json()["choices"][0]["message"]["content"] == WORDS


def test_a_reset_frees_the_socket_at_once():
    with Emulator(faults=["reset@2"], engine=words) as emulator, connect(emulator, body(stream=True)) as sock:
        everything(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert emulator._server is not None
        deadline = time.monotonic() + PATIENCE
        while emulator._server._state.connections and time.monotonic() < deadline:
            time.sleep(0.001)
        assert not emulator._server._state.connections


def test_a_command_line_names_faults_one_by_one_or_as_rates():
    assert written([]) is None
    assert written(["503", "cut@20", "ok"]) == ["503", "cut@20", "ok"]
    assert written(["503:0.1", "cut@20:0.05"]) == {"503": 0.1, "cut@20": 0.05}
    Schedule(written(["503@5:0.1", "stall:0.9"]), 0)
    for wrong in (["503", "cut:0.1"], ["503:often"]):
        with pytest.raises(EmulatorError, match=r"503:0\.1"):
            written(wrong)
