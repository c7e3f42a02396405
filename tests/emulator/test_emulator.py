"""Starting, finding and closing an emulator."""

import asyncio
import gc
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, date, datetime
from pathlib import Path

import openai
import pytest

from dsnb import emulator as room
from dsnb.emulator import Answer, Emulator
from dsnb.errors import ConfigurationError, EmulatorError
from tests.emulator.talking import body, connect, everything, get, post, until
from tests.patience import PATIENCE

OTHERS: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def _threads_of_other_tests():
    """Know which emulators other tests of this process have left to their sessions."""
    OTHERS.clear()
    OTHERS.update(threading.enumerate())


def threads():
    """Return the threads of the emulators of this test."""
    return [thread for thread in set(threading.enumerate()) - OTHERS if thread.name.startswith("dsnb emulator")]


def descriptors():
    """Return how many files and sockets this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_openai_package_talks_to_it():
    with Emulator() as emulator, openai.OpenAI(base_url=emulator.base_url, api_key="sk-any", max_retries=0) as client:
        reply = client.chat.completions.create(model="deepseek-flash", messages=[{"role": "user", "content": "Hello"}])
        assert "dsnb emulator" in reply.choices[0].message.content
        assert reply.choices[0].message.reasoning_content.startswith("We are the dsnb emulator")
        stream = client.chat.completions.create(
            model="deepseek-flash", messages=[{"role": "user", "content": "Hello"}], stream=True
        )
        deltas = [chunk.choices[0].delta for chunk in stream]
        assert "".join(delta.content or "" for delta in deltas) == reply.choices[0].message.content
        assert [model.id for model in client.models.list()] == ["deepseek-flash", "deepseek-v4-pro"]


def test_repr_is_one_line():
    emulator = Emulator("2026-02-15")
    assert repr(emulator) == "Emulator(not started, as_of=2026-02-15T00:00:00Z)"
    with emulator:
        assert repr(emulator) == f"Emulator({emulator.base_url}, as_of=2026-02-15T00:00:00Z)"


@pytest.mark.parametrize(
    "as_of", ["2026-02-15", date(2026, 2, 15), datetime(2026, 2, 15, tzinfo=UTC), datetime(2026, 2, 15)]
)
def test_as_of_takes_every_way_to_write_a_time(as_of):
    assert Emulator(as_of).contract.instant == datetime(2026, 2, 15, tzinfo=UTC)


def test_the_default_instant_is_off_peak_and_of_the_present_contract():
    contract = Emulator().contract
    assert not contract.calendar.is_peak(contract.instant)
    assert contract.model("deepseek-flash").build == "DeepSeek-V4.1-Flash-1017"


def test_base_url_needs_a_start():
    with pytest.raises(EmulatorError, match="not running"):
        _ = Emulator().base_url


@pytest.mark.parametrize("host", ["192.168.0.1", "0.0.0.0", "::", "example.com", ""])  # noqa: S104 — it is refused
def test_only_loopback_is_bound(host):
    with pytest.raises(EmulatorError, match="nothing but loopback"):
        Emulator(host=host).start()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_loopback_by_name_or_number(host):
    with Emulator(host=host) as emulator:
        assert emulator.base_url.startswith("http://127.0.0.1:")
        assert post(emulator).status_code == 200


def test_loopback_of_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        with pytest.raises(EmulatorError, match="no loopback address ::1"):
            Emulator(host="::1").start()
    else:
        with Emulator(host="::1") as emulator:
            assert emulator.base_url.startswith("http://[::1]:")
            assert post(emulator).status_code == 200


def test_without_loopback_it_says_so(monkeypatch):
    def bind(self, address):
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr(socket.socket, "bind", bind)
    with pytest.raises(EmulatorError, match=r"no loopback address 127\.0\.0\.1 .*Cannot assign"):
        Emulator().start()


def test_a_taken_port_is_named_with_the_mend():
    with Emulator() as first:
        port = int(first.base_url.rsplit(":", 1)[1])
        with pytest.raises(EmulatorError, match=f"port {port} .* is taken.*port=0"):
            Emulator(port=port).start()


@pytest.mark.parametrize("port", [-1, 65536, "80", 1.5, True])
def test_a_port_is_a_number(port):
    with pytest.raises(EmulatorError, match="port must be a number"):
        Emulator(port=port).start()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pace": -1}, "pace is real seconds"),
        ({"pace": float("nan")}, "pace is real seconds"),
        ({"pace": "fast"}, "pace is real seconds"),
        ({"passback": "lenient"}, "'enforced', 'documented', 'warm'"),
        ({"engine": "oracle"}, "choose 'script', 'echo' or 'llama'"),
        ({"engine": "ftp://127.0.0.1:8080"}, "choose 'script', 'echo' or 'llama'"),
        ({"engine": 5}, "choose 'script', 'echo' or 'llama'"),
        ({"balance": "much"}, "balance is an amount"),
        ({"balance": float("inf")}, "balance is an amount"),
        ({"concurrency": 0}, "concurrency is how many"),
        ({"concurrency": 1.5}, "concurrency is how many"),
    ],
)
def test_impossible_settings_are_told_at_once(settings, words):
    with pytest.raises(EmulatorError, match=words):
        Emulator(**settings)


def test_a_date_before_the_api_is_told():
    with pytest.raises(ConfigurationError, match="2024-12-26"):
        Emulator("2023-01-01")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files can be counted on Linux only")
@pytest.mark.slow
def test_many_times_in_one_process_without_leaks():
    gc.collect()
    before = descriptors()
    for _ in range(20):
        with Emulator() as emulator, connect(emulator) as sock:
            until(sock, b"finish_reason")
    gc.collect()
    assert descriptors() == before
    assert threads() == []


def test_starting_twice_and_closing_twice_do_nothing_more():
    emulator = Emulator()
    assert emulator.start() is emulator.start()
    emulator.close()
    emulator.close()
    assert threads() == []


def test_the_ledger_outlives_the_server_and_a_new_start_continues_it():
    with Emulator() as emulator:
        post(emulator)
    assert len(emulator.ledger()) == 1
    with emulator:
        post(emulator)
        assert len(emulator.ledger()) == 2


def test_closing_with_open_streams_ends_them_and_leaves_nothing():
    emulator = Emulator(faults=["stall@3"] * 5, pace=0).start()
    socks = [connect(emulator, body(stream=True)) for _ in range(5)]
    for sock in socks:
        until(sock, b'"content":"')
    emulator.close()
    assert threads() == []
    for sock in socks:
        everything(sock)
        sock.close()
    assert [row.outcome for row in emulator.ledger()] == ["stall"] * 5


def test_closing_while_a_paced_stream_runs_and_while_a_client_uploads():
    emulator = Emulator(pace=0.05).start()
    with (
        connect(emulator, body("count the primes below 100", stream=True)) as stream,
        socket.create_connection(stream.getpeername()) as upload,
    ):
        until(stream, b'"role":"assistant"')
        upload.sendall(
            b"POST /chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer x\r\ncontent-length: 9\r\n\r\n{"
        )
        emulator.close()
    assert threads() == []


def test_closing_does_not_wait_for_a_slow_engine():
    release, ended = threading.Event(), []

    def slow(request):
        ended.append(release.wait(PATIENCE))
        return Answer("late")

    emulator = Emulator(engine=slow).start()
    with connect(emulator):
        while not emulator.requests():
            time.sleep(0.001)
        emulator.close()
        assert not ended
    release.set()
    for thread in threads():
        thread.join()


def test_inside_a_running_event_loop():
    async def cell():
        with Emulator() as emulator:
            async with openai.AsyncOpenAI(base_url=emulator.base_url, api_key="sk-any") as client:
                asked = [
                    client.chat.completions.create(
                        model="deepseek-flash", messages=[{"role": "user", "content": f"Hello {n}"}]
                    )
                    for n in range(10)
                ]
                replies = await asyncio.gather(*asked)
            return [reply.choices[0].message.content for reply in replies]

    answers = asyncio.run(cell())
    assert all(f"Hello {n}" in answer for n, answer in enumerate(answers))


def test_importing_the_room_does_not_import_the_web_server():
    heavy = "('uvicorn', 'starlette', 'h11', 'openai', 'tokenizers')"
    code = f"import dsnb.emulator, sys; dsnb.emulator.Emulator(); print([m for m in {heavy} if m in sys.modules])"
    root = Path(room.__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert found.stdout.strip() == "[]"


def test_running_finds_the_emulator_of_this_process():
    with Emulator() as emulator:
        assert room.running(emulator.base_url) is emulator
        assert room.running(f"{emulator.base_url}/v1") is emulator
        assert room.running(f"{emulator.base_url}9") is None
    assert room.running("http://127.0.0.1:1") is None


def test_it_says_that_it_is_an_emulator():
    with Emulator("2026-02-15") as emulator:
        assert get(emulator, "/models").headers["x-dsnb-emulator"] == "2026-02-15T00:00:00Z"
        assert post(emulator, headers={}).headers["x-dsnb-emulator"] == "2026-02-15T00:00:00Z"


def test_keys_are_never_kept():
    with Emulator(keys=["sk-secret-0123456789"]) as emulator:
        post(emulator, headers={"authorization": "Bearer sk-secret-0123456789"})
        kept = [emulator._backend.account, emulator.ledger(), emulator.requests(), emulator._backend]
    seen = [repr(value) for thing in kept for value in (thing, getattr(thing, "__dict__", {}))]
    assert not any("secret" in text for text in seen)


def test_headers_are_the_recorded_ones():
    with Emulator() as emulator:
        headers = post(emulator).headers
    assert headers["content-type"] == "application/json"
    assert headers["transfer-encoding"] == "chunked"
    assert headers["vary"] == "origin, access-control-request-method, access-control-request-headers"
    assert headers["access-control-allow-credentials"] == "true"
    assert headers["x-content-type-options"] == "nosniff"
    assert len(headers["x-ds-trace-id"]) == 32
    assert "cache-control" not in headers
    assert "server" not in headers
    assert "retry-after" not in headers
