"""What every test may rely on: no key, no network beyond this machine, no folder of somebody's with a .env in it."""

import gc
import os
import signal
import socket

import hypothesis
import pytest

import dsnb

# A busy machine is no reason to fail. .ci/run asks for more examples; a thousand look for rarer things.
hypothesis.settings.register_profile("kit", max_examples=int(os.environ.get("DSNB_EXAMPLES", "20")), deadline=None)
hypothesis.settings.load_profile("kit")

LOOPBACK = {"127.0.0.1", "::1", "localhost", "0.0.0.0"}  # noqa: S104 — names to compare with, nothing binds to them


def pytest_collection_finish():
    """Keep thousands of collected tests out of every later search for garbage: a tenth of the time went there."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _nobody_home(monkeypatch, tmp_path):
    """Take away keys and settings of the person who runs the tests."""
    settings = ("DSNB_OFFLINE", "DSNB_DATA", "DSNB_RENDER", "DSNB_BUDGET", "DSNB_MODEL", "DSNB_ENGINE_KEY")
    for name in ("DEEPSEEK_API_KEY", "OPENAI_API_KEY", *settings):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DSNB_DATA", str(tmp_path / "dsnb"))  # not into anybody's own ledger
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch):
    """Fail any test that tries to reach beyond this machine, instead of letting it pass by luck."""
    connect = socket.socket.connect

    def guarded(self, address):
        if isinstance(address, tuple) and address[0] not in LOOPBACK:
            raise AssertionError(f"a test tried to connect to {address[0]}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def emulator():
    """Serve the contract of the default day, with nothing going wrong until a test says so."""
    with dsnb.Emulator() as emulator:
        yield emulator


@pytest.fixture
def heeding():
    """Heed Ctrl-C, here and in processes begun here: the jobs that a shell runs in the background are begun without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
