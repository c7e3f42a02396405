"""Ten minutes of a coverage-guided fuzzer (atheris) on what reads streams, replies and errors: no crash, no hang.

It begins with what the emulator sends and what `tests/client/corpus.txt` keeps, where the tests hold it to the same
rules. $DSNB_FUZZ_SECONDS sets the time; with $DSNB_FUZZ_KEEP=1 the inputs that covered something new go into the file.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

from dsnb import Emulator
from dsnb.emulator import Answer, EngineRequest, ToolCall
from tests.bench._environment import environment

ALONE = "installs a fuzzer and takes ten minutes"

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
CORPUS = PROJECT / "tests" / "client" / "corpus.txt"
SECONDS = 600
HANG = 10  # seconds for one input: the largest is read in milliseconds
LARGEST = 1500  # bytes of an input: a stream of half a dozen chunks
KEPT = 400  # bytes of an input that goes into the file

HELLO = [{"role": "user", "content": "hello"}]
TOOL = {"type": "function", "function": {"name": "dig", "parameters": {"type": "object", "properties": {}}}}
REQUESTS = (
    {"messages": HELLO},
    {"messages": HELLO, "thinking": {"type": "disabled"}, "logprobs": True, "top_logprobs": 2},
    {"messages": [{"role": "user", "content": "please dig"}], "tools": [TOOL]},
    {"messages": HELLO, "max_tokens": 1},
    {"messages": HELLO, "temperature": 9},
    {"messages": [{"role": "wizard", "content": ""}]},
    {},
)
FAULTS = (None, [503], ["429@3"], [402], ["malformed@3"], ["cut@4"], ["queue@20"], ["empty"])


def seeds() -> Iterator[bytes]:
    """Yield what the emulator sends, each as the reader takes it that it is meant for."""
    for faults in FAULTS:
        for body in REQUESTS if faults is None else REQUESTS[:1]:
            for stream in (True, False):
                with Emulator(faults=faults, engine=_brief) as emulator:
                    yield from _asked(emulator.base_url, {"model": "deepseek-flash", "stream": stream} | body)


def _brief(request: EngineRequest) -> Answer:
    calls = (ToolCall("dig", '{"m": 1}'),) if request.body.get("tools") else ()
    return Answer("Hi ✓", "Hm", calls)


def _asked(base_url: str, body: dict) -> Iterator[bytes]:
    head = {"Authorization": "Bearer any", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{base_url}/chat/completions", json.dumps(body).encode(), head)  # noqa: S310
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 — the emulator's own address
            said = _all(answer)
            yield (b"\x00" if body["stream"] else b"\x01") + said[:LARGEST]
    except HTTPError as error:
        yield b"\x02" + (error.headers.get("Retry-After") or "").encode() + b"\n" + error.read()


def _all(answer: object) -> bytes:
    said = b""
    try:
        while piece := answer.read1():  # type: ignore[attr-defined]
            said += piece
    except (OSError, HTTPException):  # a fault: what came is what there is
        pass
    return said


def kept() -> list[bytes]:
    """Return the inputs of the corpus file."""
    return [ast.literal_eval(line) for line in CORPUS.read_text().splitlines()] if CORPUS.exists() else []


def main() -> None:
    """Run the fuzzer; print what it did, and fail where it found something."""
    python = environment(HERE / "fuzzing" / "fuzzer.txt")
    seconds = int(os.environ.get("DSNB_FUZZ_SECONDS", SECONDS))
    with tempfile.TemporaryDirectory(prefix="dsnb-fuzz-") as name:
        begin, grown = Path(name) / "begin", Path(name) / "grown"
        begin.mkdir()
        grown.mkdir()
        inputs = {*seeds(), *kept()}
        for place, data in enumerate(sorted(inputs)):
            (begin / f"{place:04}").write_bytes(data)
        command = [python, HERE / "fuzzing" / "target.py", f"-artifact_prefix={name}/", f"-max_len={LARGEST}"]
        run = [*command, f"-max_total_time={seconds}", f"-timeout={HANG}", "-print_final_stats=1", grown, begin]
        # read as text with replacements: the fuzzer prints pieces of its inputs
        done = subprocess.run(run, env=_clean(name), cwd=name, capture_output=True, text=True, errors="replace")
        stats = dict(line.split()[:2] for line in done.stderr.splitlines() if line.startswith("stat::"))
        found = [path for path in Path(name).iterdir() if path.name.startswith(("crash-", "timeout-", "oom-"))]
        print(
            f"  {int(stats.get('stat::number_of_executed_units:', 0)):,} inputs in {seconds} s, from {len(inputs)} "
            f"seeds; {len(list(grown.iterdir())):,} of them covered something new; {len(found)} broke a rule (goal: 0)"
        )
        for path in found:
            print(f"    {path.name}: {path.read_bytes()!r}")
        if found or done.returncode:
            print(done.stderr[-3000:])
            raise SystemExit("  the fuzzer found something, or could not run: see above")
        if os.environ.get("DSNB_FUZZ_KEEP"):
            new = {path.read_bytes() for path in grown.iterdir()}
            lines = sorted({repr(data) for data in {*kept(), *new} if len(data) <= KEPT})
            CORPUS.write_text("\n".join(lines) + "\n")
            print(f"  {len(lines)} inputs stand in {CORPUS.relative_to(PROJECT)}")


def _clean(home: str) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "HOME": home, "PYTHONPATH": str(PROJECT), "PYTHONNOUSERSITE": "1"}
