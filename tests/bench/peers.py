"""Who gets through two turns with a tool call each, unmodified, against the emulator: a table for the README.

Each client runs in a process of its own, in an environment made from `peers/clients.txt` under $DSNB_BENCH_ENV, by
default the user's cache folder. Nothing but the installation may leave this machine.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path

from dsnb import Emulator
from dsnb.emulator import Answer, EngineRequest, ToolCall
from tests.bench._environment import environment

HERE = Path(__file__).parent / "peers"
LOCK = HERE / "clients.txt"
HUNG = 300  # seconds for four short requests and the imports before them
RULES = ("enforced", "documented", "warm")  # how strictly missing reasoning is refused (see dsnb.Emulator)
CITIES = ("Paris", "Oslo")
MODES = {"whole": (), "streamed": ("stream",)}

# no telemetry, no tracing, no files fetched at import; and whoever heeds proxies finds a closed port
SWITCHES = {
    "DO_NOT_TRACK": "1",
    "DSNB_OFFLINE": "1",
    "HF_HUB_OFFLINE": "1",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OTEL_SDK_DISABLED": "true",
    "PYTHONNOUSERSITE": "1",
    **dict.fromkeys(("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"), "http://127.0.0.1:9"),
    "NO_PROXY": "127.0.0.1,localhost",
}


@dataclass(frozen=True)
class Peer:
    """Name a client's package, and say how it is used."""

    package: str
    note: str


ALONE = "installs other packages"

PEERS = (
    Peer("openai", "its own messages appended; streams joined by its `ChatCompletionStreamState`"),
    Peer("pydantic-ai-slim", "`DeepSeekProvider` takes another base URL only as a ready `AsyncOpenAI`"),
    Peer("langchain-deepseek", "`bind_tools`, its own messages appended; streams joined by `+`"),
    Peer("litellm", "`deepseek/…`, its own messages appended; streams joined by `stream_chunk_builder`"),
    Peer("llm", "by `extra-openai-models.yaml`: the plugin llm-deepseek 0.1.6 has no tools and old names"),
    Peer("dsnb", "`ds.conversation(tools=[…])`"),
)


@dataclass(frozen=True)
class Run:
    """Hold what came of one client in one mode under one rule."""

    version: str
    error: str
    requests: int
    rejected: int
    reasoning: str  # "2 of 3": assistant messages of the last request that carry just what they were given
    refused: tuple[str, ...]  # hosts beyond this machine that it wanted to reach

    @property
    def verdict(self) -> str:
        return f"{'**fails**' if self.error else 'passes'} ({self.rejected} of {self.requests} rejected)"


def thought(city: str) -> str:
    return f"They want the weather in {city}, so I call the tool."


def said(request: EngineRequest) -> Answer:
    """Call the tool for the city that is asked about, then say what it said."""
    if request.results:
        return Answer(f"It is {request.results[0][1]}.", "The tool has answered.")
    city = next(city for city in CITIES if city in request.last_user)
    return Answer("", thought(city), (ToolCall("weather", json.dumps({"city": city})),))


def reasoning(messages: list[dict]) -> str:
    """Count the assistant messages that have their reasoning."""
    known = {"The tool has answered.", *map(thought, CITIES)}
    sent = [message.get("reasoning_content") in known for message in messages if message["role"] == "assistant"]
    return f"{sum(sent)} of {len(sent)}"


def run(peer: Peer, python: Path, mode: str, passback: str) -> Run:
    """Let a client ask its two questions."""
    with tempfile.TemporaryDirectory(prefix="dsnb-") as home, Emulator(engine=said, passback=passback) as emulator:
        kept = {"PATH": os.environ.get("PATH", ""), "HOME": home, "LLM_USER_PATH": home, "DSNB_DATA": home}
        if peer.package == "dsnb":
            kept["PYTHONPATH"] = str(HERE.parents[2])
        command = [python, HERE / "clients.py", peer.package, emulator.base_url, *MODES[mode]]
        try:
            done = subprocess.run(
                command, env=kept | SWITCHES, cwd=home, timeout=HUNG, capture_output=True, text=True, check=True
            )
            told = json.loads(done.stdout.splitlines()[-1])  # some clients print as well
        except subprocess.TimeoutExpired:
            told = {"version": "?", "error": f"hung for {HUNG} s", "refused": []}
        except subprocess.CalledProcessError as error:
            told = {"version": "?", "error": f"ended with {error.returncode}", "refused": []}
        rows, requests = emulator.ledger(), emulator.requests()
    if not told["error"]:
        right = [f"It is 21 degrees in {city}." for city in CITIES]
        if told["answers"] != right or told["called"] != list(CITIES):
            told["error"] = f"wrong: tools {told['called']}, answers {told['answers']}"
    rejected = sum(row.outcome == "rejected" for row in rows)
    messages = requests[-1]["messages"] if requests else []
    refused = tuple(sorted(set(told["refused"])))
    return Run(told["version"], told["error"], len(rows), rejected, reasoning(messages), refused)


def compared(peer: Peer, python: Path) -> Iterator[tuple[str, list[Run]]]:
    """Yield the modes that came to the same, joined, and their runs by the rules."""
    found = [(mode, [run(peer, python, mode, rule) for rule in RULES]) for mode in MODES]
    for runs, same in groupby(found, key=lambda pair: pair[1]):
        yield ", ".join(mode for mode, _ in same), runs


def main() -> None:
    peers = list(PEERS)
    try:
        python = environment(LOCK)
    except (OSError, subprocess.CalledProcessError) as error:
        why = f"the installer ended with {error.returncode}" if hasattr(error, "returncode") else error
        print(f"  the clients cannot be installed here ({why}): nothing is said of any but dsnb", flush=True)
        peers, python = [peer for peer in PEERS if peer.package == "dsnb"], Path()
    table, errors = [], {}
    for peer in peers:
        for modes, runs in compared(peer, Path(sys.executable) if peer.package == "dsnb" else python):
            refused = {host for one in runs for host in one.refused}
            note = peer.note + (f"; wanted to reach {', '.join(sorted(refused))}" if refused else "")
            client = f"{peer.package} {runs[0].version}"
            cells = (client, modes, *(one.verdict for one in runs), runs[0].reasoning, note)
            table.append(f"| {' | '.join(cells)} |")
            for one in runs:
                if one.error:
                    errors.setdefault(one.error.splitlines()[0], {})[client] = None
    print(
        f"\nTwo turns with a tool call each, thinking on, by the contract of {Emulator().contract.instant:%Y-%m-%d}; "
        f"run {date.today().isoformat()} on Python {sys.version.split()[0]}.\n"
        "Missing reasoning is refused as measured on a server that has forgotten its calls (enforced), as the guide "
        "has it (documented), or as measured on a server that still remembers them (warm).\n\n"
        f"| client | reply | {' | '.join(RULES)} | reasoning sent back | how |\n"
        f"|---|---|{'---|' * len(RULES)}---|---|"
    )
    print("\n".join(table))
    for error, clients in errors.items():
        print(f"\n{', '.join(clients)}: {error}")


if __name__ == "__main__":
    main()
