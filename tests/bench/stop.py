"""How long the panel's Stop button takes, by kernel, kind of cell and what the turn waits for: in a real JupyterLab."""

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.bench._environment import environment
from tests.display.lab import Lab, Notebook, missing

ALONE = "installs other kernels"

KERNELS = Path(__file__).parent / "kernels"
TIMES = 3
GOAL = 0.5  # seconds from the click to the end of the cell
SETUP = """
import asyncio, ipykernel, threading, time, dsnb
from dsnb.emulator import Answer, ToolCall

asked, left = threading.Event(), threading.Event()

def said(request):
    if request.last_user == "nothing":
        asked.set()
        left.wait(60)
    if request.last_user == "call" and not request.results:
        return Answer("", "I look it up.", (ToolCall("slow", "{}"),))
    return Answer("word " * 5000, "We think. " * 5000)

@dsnb.tool
def slow() -> str:
    "Take long."
    time.sleep(60)

emulator = dsnb.Emulator(engine=said, pace=1).start()
ds = dsnb.connect(emulator.base_url, "any", quiet=True)
print(ipykernel.__version__)
"""
# what the turn waits for: how it is asked, and what the page shows then
SITUATIONS = {
    "a stream": ('ask("hello")', "$('.dsnb-live .dsnb-reasoning > div')?.textContent.includes('think. We')"),
    "the first byte": ('ask("nothing")', "$('.dsnb-phase').textContent.startsWith('asking · 1 s')"),
    "the queue": ('ask("hello")', "$('.dsnb-live').dataset.phase === 'queued'"),
    "a retry": ('ask("hello")', "$('.dsnb-live').dataset.phase === 'waiting'"),
    "a tool": ('ask("call", tools=[slow])', "$('.dsnb-live').dataset.phase === 'calling'"),
}
PREPARED = {
    "the first byte": "asked.clear(), left.clear()",
    "the queue": "emulator.faults = ['queue@90']",
    "a retry": "emulator.faults = [503] * 9; ds.retry = dsnb.Retry(first=60, longest=60)",
}
CELLS = {"sync": "reply = ds.{}", "async": "reply = await ds.a{}"}
AFTER = """
assert reply.outcome == "interrupted", reply.outcome
assert ds.last is reply
left.set()
emulator.faults, emulator.clock.pace = [], 0
assert ds.ask("hello", render=None).outcome == "stop"
"""


def stopped(notebook: Notebook, shown: str) -> float:
    """Click Stop as soon as the page shows something; return the seconds until the cell has ended."""
    notebook.until(f"$('.dsnb-live') && {shown}")
    took: float = notebook.page.evaluate(
        """async () => {
            const start = performance.now();
            [...document.querySelectorAll(".dsnb-head button")].at(-1).click();
            while (window.running && performance.now() - start < 20000) await new Promise((go) => setTimeout(go, 5));
            return (performance.now() - start) / 1000;
        }"""
    )
    return took


def measure(lab: Lab, kernel: str) -> None:
    """Print what one kernel makes of the button."""
    lab.write(f"{kernel}.ipynb", SETUP, kernel=kernel)
    notebook = lab.open(f"{kernel}.ipynb")
    notebook.run()
    notebook.wait()
    print(f"  ipykernel {notebook.outputs()[0][0]['text'].strip()}", flush=True)
    for kind, cell in CELLS.items():
        for name, (question, shown) in SITUATIONS.items():
            took = []
            for _ in range(TIMES):
                notebook.execute(f"emulator.clock.pace = 1\n{PREPARED.get(name, '')}")
                notebook.append(cell.format(question))
                notebook.run("notebook:run-cell")
                took.append(stopped(notebook, shown))
                notebook.wait()
                if name == "the first byte":
                    notebook.execute("assert asked.is_set()")
                notebook.execute(AFTER)
            late = "" if max(took) <= GOAL else f"  (goal: {GOAL})"
            print(f"    {kind} cell, {name}: {median(took):.2f} s, at most {max(took):.2f}{late}", flush=True)
    notebook.close()


def main() -> None:
    if problem := missing():
        print(f"  {problem}")
        return
    locks = sorted(KERNELS.glob("*.txt"))
    with TemporaryDirectory() as folder, Lab(Path(folder)) as lab:
        for lock in locks:  # before the page asks which there are
            lab.add_kernel(lock.stem, next(environment(lock).parents[1].glob("lib/*/site-packages")))
        for kernel in (*(lock.stem for lock in locks), "python3"):
            measure(lab, kernel)


if __name__ == "__main__":
    main()
