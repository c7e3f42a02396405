"""What showing a long answer costs, beside chatlas and lisette: traffic, CPU, and how the page bears it.

Each client asks the same emulator from a notebook in JupyterLab, at full speed. What it took to paint is from the
moment the answer's end came to this machine until it is on the screen. Of the longest turns, which the others are
spared, chromium's own trace tells the longest task of the page while the panel is live, at the swap to the static
bundle (JupyterLab's reading of it for its table of contents among them), and collecting garbage; by CPU, since a busy
machine makes every task long by the clock.
"""

import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from dsnb.emulator import Answer, EngineRequest
from tests.bench import _tasks
from tests.bench._apart import apart
from tests.bench._environment import environment
from tests.bench._relay import Relay
from tests.display.lab import Lab, missing

ALONE = "installs other packages"

HERE = Path(__file__).parent / "shown"
SIZES = (4_000, 20_000)
LONGEST = 59_000  # tokens by which it is cut here, some 64,000 chunks
PATIENCE = 120  # seconds after which a page is given up
STEP = "So the square of step {} is even, and **therefore** its root is even too, as we have seen before.\n\n"
END = "That is all, and quite enough."
# Tells when the end is on the screen, and the longest time for which the page could do nothing else.
WATCH = """end => {
    window.longest = 0;
    new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) window.longest = Math.max(window.longest, duration);
    }).observe({ type: "longtask" });
    const look = setInterval(() => {
        const outputs = [...document.querySelectorAll(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-OutputArea")];
        if (!outputs.some((output) => output.textContent.includes(end))) return;
        clearInterval(look);
        requestAnimationFrame(() => setTimeout(() => {
            const painted = Date.now() / 1000;
            setTimeout(() => console.log("painted " + JSON.stringify([painted, window.longest])), 3000);
        }));
    }, 20);
}"""


def said(request: EngineRequest) -> Answer:
    """Say about as many tokens as the question says, each of them a chunk: as answer, or as reasoning before it."""
    tokens, _, thinking = request.last_user.partition(" ")
    text = "".join(map(STEP.format, range(int(tokens) // 24)))
    return Answer(END, text) if thinking else Answer(text + END, "")


def long(relay: Relay) -> None:
    """Show dsnb's longest turns in one page, as reasoning and as answer, and print the tasks that they took."""
    with TemporaryDirectory() as folder, Lab(Path(folder)) as lab:
        lab.add_kernel("client", HERE)
        lab.write("a.ipynb", f"import asking; asking.dsnb({relay.base_url!r}, '1')", kernel="client")
        notebook = lab.open("a.ipynb")
        notebook.run()
        notebook.wait()
        print("| dsnb | chunks | longest live: CPU, clock, ms | at the swap | garbage |\n|---|--:|--:|--:|--:|")
        for what, prompt in (("reasoning", f"{LONGEST} thinking"), ("answer", str(LONGEST))):
            notebook.append(f"asking.dsnb({relay.base_url!r}, {prompt!r})")
            relay.chunks = 0
            with _tasks.traced(notebook.page) as tasks:
                notebook.run("notebook:run-cell")
                notebook.wait()
                notebook.until("!$('.dsnb-live') && $('.dsnb')")
                notebook.page.wait_for_timeout(3000)
            kinds = "live", "swap", "garbage"
            cells = (f"{longest.cpu:.0f}, {longest.wall:.0f}" for longest in map(tasks.longest, kinds))
            print(f"| {what} | {relay.chunks:,} | {' | '.join(cells)} |", flush=True)
            notebook.command("notebook:clear-all-cell-outputs")


def shown(client: str, python: Path, url: str, prompt: str, relay: Relay) -> str:
    """Let a client show an answer in a page of its own; return what it took as a row of a table."""
    with TemporaryDirectory() as folder, Lab(Path(folder)) as lab:
        lab.add_kernel("client", HERE, python=python)
        local = "import os; os.environ['LITELLM_LOCAL_MODEL_COST_MAP'] = 'True'"  # lisette: no table from the network
        lab.write("a.ipynb", local, f"import asking; asking.{client}({url!r}, '1')", kernel="client")
        notebook = lab.open("a.ipynb")
        notebook.run()
        notebook.wait()
        notebook.command("notebook:clear-all-cell-outputs")
        notebook.append(f"asking.measure({client!r}, {url!r}, {prompt!r})")
        notebook.page.evaluate(WATCH, END)
        relay.chunks = 0
        told: list[str] = []
        notebook.page.on("console", lambda message: told.append(message.text))
        notebook.run("notebook:run-cell")
        until = time.monotonic() + PATIENCE
        painted = None
        while painted is None and time.monotonic() < until:
            notebook.page.wait_for_timeout(200)
            painted = next((text for text in told if text.startswith("painted ")), None)
        file = lab.folder / f"{client}.json"
        while not file.exists() and time.monotonic() < until:
            time.sleep(0.2)
        kernel = json.loads(file.read_text()) if file.exists() else None
        cells = [client, f"{relay.chunks:,}", "", "", "", "", ""]
        if kernel is not None:
            cells[0] += f" {kernel['version']}"
            cells[2:5] = [
                f"{kernel['messages']:,}",
                f"{kernel['bytes'] / 1e6:.1f}",
                f"{kernel['cpu'] / relay.chunks * 1e6:.0f}",
            ]
        if painted is None:
            cells[5:] = [f"not within {PATIENCE} s", "?"]
        else:
            instant, longest = json.loads(painted.removeprefix("painted "))
            cells[5:] = [f"{instant - relay.ended:.2f}", f"{longest:.0f}"]
        return f"| {' | '.join(cells)} |"


def main() -> None:
    if problem := missing():
        print(f"  {problem}")
        return
    theirs = environment(HERE / "clients.txt")
    print(
        "| client | chunks | messages | MB | ms CPU per 1,000 chunks | s from end to painting | longest block, ms |\n"
        "|---|--:|--:|--:|--:|--:|--:|"
    )
    with apart(engine=said) as emulator, Relay(emulator.base_url) as relay:
        for chunks in SIZES:
            for client in ("dsnb", "chatlas", "lisette"):
                python = Path(sys.executable) if client == "dsnb" else theirs
                print(shown(client, python, relay.base_url, str(chunks), relay), flush=True)
        for prompt in (f"{LONGEST} thinking", str(LONGEST)):
            print(shown("dsnb", Path(sys.executable), relay.base_url, prompt, relay), flush=True)
        long(relay)


if __name__ == "__main__":
    main()
