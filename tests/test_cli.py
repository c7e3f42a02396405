import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

import dsnb
from dsnb import lab
from dsnb.cli import main
from tests.once import ONCE
from tests.patience import PATIENCE

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(dsnb.__file__).parents[1])}


@contextmanager
def emulate(*options):
    """Run `dsnb emulate` as a person does; yield its address and the process."""
    command = [sys.executable, "-m", "dsnb.cli", "emulate", *options]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=ENVIRONMENT)
    try:
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, line + process.stderr.read()
        yield found.group(), process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.usefixtures("heeding")
def test_emulate_serves_until_it_is_told_to_stop():
    with emulate("--as-of", "2026-02-15", "--pace", "0", "--faults", "503", "ok") as (url, process):
        with dsnb.connect(url, "any", as_of="2026-02-15", model="deepseek-chat", retry=ONCE) as ds:
            with pytest.raises(dsnb.errors.ServerFailed):
                ds.ask("hello")
            reply = ds.ask("hello")
            assert (reply.outcome, reply.model, reply.served_by) == ("stop", "deepseek-chat", "emulator")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        assert "Traceback" not in process.stderr.read()


def test_emulate_takes_faults_as_rates():
    with (
        emulate("--pace", "0", "--faults", "402:1.0", "cut:0.0") as (url, _),
        dsnb.connect(url, "any", as_of="2026-11-16", retry=ONCE, usage=dsnb.UsageLog(), quiet=True) as ds,
    ):
        for _ in range(3):
            with pytest.raises(dsnb.errors.InsufficientBalance):
                ds.ask("hello")


@pytest.mark.slow
def test_emulate_takes_other_faults_while_it_runs():
    with (
        emulate("--pace", "0") as (url, process),
        dsnb.connect(url, "any", as_of="2026-11-16", retry=ONCE, usage=dsnb.UsageLog(), quiet=True) as ds,
    ):
        process.stdout.readline()  # how to connect

        def typed(line):
            process.stdin.write(f"{line}\n")
            process.stdin.flush()

        typed("503:1.0")
        assert process.stdout.readline() == "faults: 503:1.0\n"
        with pytest.raises(dsnb.errors.ServerFailed):
            ds.ask("hello")
        typed("gremlins")
        assert "The faults stay as they were." in process.stderr.readline()
        with pytest.raises(dsnb.errors.ServerFailed):
            ds.ask("hello")
        typed("")
        assert process.stdout.readline() == "faults: none\n"
        assert ds.ask("hello").outcome == "stop"


def test_emulate_ends_well_when_terminated():
    with emulate() as (url, process):
        assert httpx.get(f"{url}/models", headers={"authorization": "Bearer any"}).json()["object"] == "list"
        process.terminate()
        assert process.wait(PATIENCE) == 0


@pytest.mark.slow
def test_emulate_stands_in_front_of_another_server():
    with dsnb.Emulator(engine="echo") as server, emulate("--engine", server.base_url, "--pace", "0") as (url, _):
        with dsnb.connect(url, "any", as_of="2026-11-16", usage=dsnb.UsageLog(), quiet=True) as ds:
            assert ds.ask("Are you there?", render=None).answer == "Are you there?"
        assert len(server.requests()) == 1


def test_a_taken_port_is_told(capsys):
    with dsnb.Emulator() as emulator:
        port = emulator.base_url.rpartition(":")[2]
        assert main(["emulate", "--port", port]) == 1
    assert port in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--as-of", "yesterday"], ["--engine", "oracle"], ["--faults", "gremlins"], ["--faults", "503:often"]]
)
def test_what_the_emulator_cannot_be_is_told(arguments, capsys):
    assert main(["emulate", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("dsnb: ")
    assert arguments[1] in error


def test_models_shows_the_catalogue_of_a_date(capsys):
    assert main(["models", "--as-of", "2025-02-01"]) == 0
    then = capsys.readouterr().out
    assert "deepseek-reasoner" in then
    assert "DeepSeek-R1" in then
    assert "deepseek-flash" not in then
    assert main(["models"]) == 0
    now = capsys.readouterr().out
    assert "deepseek-flash" in now
    assert "deepseek-reasoner" not in now


def test_models_marks_peak_hours(capsys):
    main(["models", "--as-of", "2026-11-16T02:00Z"])
    peak = capsys.readouterr().out
    main(["models", "--as-of", "2026-11-16T12:00Z"])
    off_peak = capsys.readouterr().out
    assert "(peak)" in peak
    assert "(off-peak)" in off_peak
    assert re.search(r"deepseek-flash .* 0\.006 +0\.30 +1\.20", peak)
    assert re.search(r"deepseek-flash .* 0\.003 +0\.15 +0\.60", off_peak)


def test_doctor_is_content_without_a_key(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "✓ the emulator answers" in out
    assert "DEEPSEEK_API_KEY is not configured" in out
    assert f"✓ dsnb {dsnb.__version__}" in out


def test_doctor_looks_at_the_live_endpoint_and_never_shows_the_key(capsys, monkeypatch):
    key = "sk-secret-0123456789"
    with dsnb.Emulator(balance="12.50") as emulator:
        monkeypatch.setattr("dsnb.connection.DEEPSEEK_API", dsnb.Provider("deepseek", emulator.base_url, contract=True))
        monkeypatch.setenv("DEEPSEEK_API_KEY", key)
        assert main(["doctor"]) == 0
        out = capsys.readouterr().out
        assert "✓ DEEPSEEK_API_KEY is configured" in out
        assert "deepseek-flash" in out
        assert "12.50 USD" in out
        assert not [key[i : i + 4] for i in range(len(key) - 3) if key[i : i + 4] in out]
    assert main(["doctor"]) == 1
    assert "✗" in capsys.readouterr().out


def test_doctor_stays_offline_when_told(capsys, monkeypatch):
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-any")
    monkeypatch.setenv("DSNB_OFFLINE", "1")
    assert main(["doctor"]) == 0
    assert "not tried" in capsys.readouterr().out


def test_wrong_usage_is_explained():
    with pytest.raises(SystemExit) as caught:
        main(["fly"])
    assert caught.value.code == 2


def test_usage_tells_what_a_ledger_holds(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DSNB_DATA", str(tmp_path))
    assert main(["usage"]) == 0
    assert f"no ledger at {tmp_path / 'usage.sqlite'} yet" in capsys.readouterr().out
    with dsnb.connect(usage=tmp_path / "usage.sqlite", quiet=True) as ds:
        with ds.run("greetings"):
            reply = ds.ask("hello")
        ds.ask("hello again")
    assert main(["usage", "--by", "run", "model"]) == 0
    out = capsys.readouterr().out
    assert "2 turns" in out
    assert "greetings" in out
    assert str(reply.usage.prompt_tokens) in out
    assert (
        main(["usage", str(tmp_path / "usage.sqlite"), "--csv", str(tmp_path / "rows.csv"), "--rows", "attempts"]) == 0
    )
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 3
    assert main(["usage", "--by", "moon"]) == 1
    assert "moon" in capsys.readouterr().err


def test_lab_opens_the_checkout_or_copies_that_stay_their_owners(tmp_path, monkeypatch):
    root = Path(dsnb.__file__).parents[1]
    assert lab.notebooks() == root / "notebooks"
    copy = lab.notebooks(tmp_path / "mine")
    names = {path.name for path in (root / "notebooks").glob("*.ipynb")}
    assert {path.name for path in copy.iterdir()} == names != set()
    mine = copy / "00-start-here.ipynb"
    mine.write_text("mine")
    assert lab.notebooks(copy) == copy
    assert mine.read_text() == "mine"

    started = []
    monkeypatch.setattr(
        lab.subprocess, "run", lambda command, **_: started.append(command) or SimpleNamespace(returncode=3)
    )
    for user, allowed in ((1000, []), (0, ["--allow-root"])):  # who is root is so in a container
        monkeypatch.setattr(lab.os, "geteuid", lambda user=user: user)
        assert main(["lab", str(copy), "--", "--no-browser"]) == 3
        assert started.pop()[3:] == [f"--ServerApp.root_dir={copy}", *allowed, "--no-browser"]
    monkeypatch.setattr(lab, "find_spec", lambda _: None)
    assert main(["lab"]) == 1


def test_an_installation_without_notebooks_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lab, "_PACKAGE", tmp_path / "site-packages" / "dsnb")
    assert main(["lab"]) == 1
    assert "has no notebooks" in capsys.readouterr().err
