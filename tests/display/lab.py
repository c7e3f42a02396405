"""A real kernel, a real JupyterLab and a real browser, for what only they can show.

All are missing on some machines, so `missing` says what to install; nothing of them is imported before.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Request, ViewportSize

PROJECT = Path(__file__).parents[2]
SHOTS = Path(__file__).parent / "shots"  # git-ignored: to be looked at
WAIT = 120.0  # seconds: far more than anything here takes, so that a test fails instead of hanging
LOOKS = 50  # ms between two looks at a page: one for each frame, as playwright has it, would keep it painting
SIZE: ViewportSize = {"width": 1000, "height": 760}
_CHROMIUM = ("chromium", "chromium-browser", "/usr/bin/chromium", "google-chrome")
_ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"  # the browser's world ends at loopback

# Lab asks whether it may fetch news, and puts the question over the notebook.
_QUIET = {"@jupyterlab/apputils-extension/notification.jupyterlab-settings": '{"fetchNews": "false"}'}


def missing() -> str | None:
    """Say what a browser test needs and this machine has not; None if it has all."""
    packages = [name for name in ("playwright", "jupyterlab", "nbformat", "nbconvert") if find_spec(name) is None]
    if packages:
        return f"needs {', '.join(packages)} (pip install 'dsnb[dev]')"
    return None if _chromium() else "needs chromium (Debian: sudo apt-get install chromium)"


def _chromium() -> str | None:
    return next(filter(None, map(shutil.which, _CHROMIUM)), None)


@dataclass(frozen=True)
class Traffic:
    """What a kernel published while it ran a cell: (type, content) of each message."""

    messages: list[tuple[str, dict[str, Any]]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the contents of one type of message."""
        return [content for name, content in self.messages if name == kind]

    def sizes(self, kind: str) -> list[int]:
        """Return the bytes of the contents of one type of message, as they cross the wire."""
        return [len(json.dumps(content, ensure_ascii=False).encode()) for content in self.of(kind)]

    @property
    def total(self) -> int:
        """Return the bytes of all that widgets and displays published."""
        return sum(
            sum(self.sizes(kind))
            for kind in ("comm_open", "comm_msg", "comm_close", "display_data", "update_display_data")
        )

    @property
    def printed(self) -> str:
        """Return what the cell printed."""
        return "".join(content["text"] for content in self.of("stream") if content["name"] == "stdout")


class Kernel:
    """A kernel without any frontend; a context manager."""

    def __enter__(self) -> Self:
        from jupyter_client.manager import KernelManager

        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel(env=environment(), stderr=subprocess.DEVNULL)
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=WAIT)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()

    def run(self, code: str, timeout: float = WAIT) -> Traffic:
        """Run code; return what was published, or raise AssertionError with the traceback."""
        question = self._client.execute(code, store_history=False)
        messages: list[tuple[str, dict[str, Any]]] = []
        while True:
            message = self._client.get_iopub_msg(timeout=timeout)
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != question:
                continue
            if kind == "error":
                raise AssertionError("\n".join(content["traceback"]))
            if kind == "status" and content["execution_state"] == "idle":
                return Traffic(messages)
            assert not message["buffers"], "the panel sends no buffers, and none are counted"
            messages.append((kind, content))


def environment(home: Path | None = None) -> dict[str, str]:
    """Return an environment without anybody's settings, in which kernels import this checkout."""
    others = ("JUPYTER", "IPYTHON", "DSNB", "DEEPSEEK", "OPENAI")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    kept |= {"PYTHONPATH": os.pathsep.join(paths), "DSNB_OFFLINE": "1", "DSNB_RENDER": "live"}
    if home is not None:
        folders = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
        kept |= {f"JUPYTER_{name}": str(home / name.lower()) for name in folders}
        kept |= {f"JUPYTERLAB_{name}": str(home / name.lower()) for name in ("SETTINGS_DIR", "WORKSPACES_DIR")}
        kept |= {"IPYTHONDIR": str(home / "ipython")}
    return kept


class Lab:
    """Serve a folder of notebooks and look at it with a browser that reaches nothing else; a context manager."""

    def __init__(self, folder: Path, *, size: ViewportSize = SIZE, scale: float = 1) -> None:
        self.folder = folder / "notebooks"
        self._size = size
        self._scale = scale
        self._home = folder / "home"
        self._log = folder / "lab.log"
        self._page: Page | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"

    def __enter__(self) -> Self:
        from playwright.sync_api import sync_playwright

        self.folder.mkdir(parents=True)
        for name, settings in _QUIET.items():
            path = self._home / "settings_dir" / name
            path.parent.mkdir(parents=True)
            path.write_text(settings)
        with self._log.open("w") as log:
            self._server = subprocess.Popen(
                self._command, cwd=self.folder, env=environment(self._home), stdout=log, stderr=log
            )
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path=_chromium(), args=[_ALONE])
        self._wait_for_server()
        return self

    def __exit__(self, *_: object) -> None:
        self._browser.close()
        self._playwright.stop()
        self._server.send_signal(signal.SIGTERM)  # it ends its kernels itself
        try:
            self._server.wait(10)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait(10)

    def add_kernel(self, name: str, packages: Path, *, python: Path = Path(sys.executable)) -> None:
        """Offer a kernel that finds its packages in a folder first, of this Python or another."""
        folder = self._home / "data_dir" / "kernels" / name
        folder.mkdir(parents=True)
        command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        paths = {"PYTHONPATH": os.pathsep.join((str(packages), str(PROJECT)))}
        spec = {"argv": command, "display_name": name, "language": "python", "env": paths}
        (folder / "kernel.json").write_text(json.dumps(spec))

    def write(self, name: str, *sources: str, kernel: str = "python3") -> Path:
        """Write a notebook of code cells."""
        import nbformat
        from nbformat import v4

        path = self.folder / name
        cells = [v4.new_code_cell(source, id=f"cell-{place}") for place, source in enumerate(sources)]
        metadata = {"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}}
        nbformat.write(v4.new_notebook(cells=cells, metadata=metadata), path)
        return path

    def open(self, name: str) -> Notebook:
        """Show a notebook in the one window; wait until its kernel can be asked."""
        if self._page is None:
            self._page = self._new_page()
            self._page.goto(f"{self.url}/doc/tree/{name}")
        else:
            Notebook(self._page, self.folder / name).command("docmanager:open", path=name)
        return Notebook(self._page, self.folder / name).ready()

    def convert(self, name: str) -> Path:
        """Convert a notebook to html as it is, without running it."""
        from nbconvert import HTMLExporter

        path = self.folder / name
        html, _ = HTMLExporter().from_filename(str(path))
        path = path.with_suffix(".html")
        path.write_text(html)
        return path

    def read(
        self, path: Path, watch: Callable[[Page], object] = id, failed: Callable[[Request], object] | None = None
    ) -> Page:
        """Open a file in a page of its own, which gets nothing but this file; the caller closes it.

        ``watch`` is given the page before that, and ``failed`` each request that leads to nothing.
        """
        page = self._new_page()
        watch(page)
        if failed is not None:
            page.on("requestfailed", failed)
        page.route("**/*", lambda route: route.continue_() if route.request.url == path.as_uri() else route.abort())
        page.goto(path.as_uri(), wait_until="domcontentloaded")
        return page

    def _new_page(self) -> Page:
        page = self._browser.new_page(viewport=self._size, device_scale_factor=self._scale)
        page.set_default_timeout(WAIT * 1000)
        return page

    @property
    def _command(self) -> list[str]:
        port = self.url.rpartition(":")[2]
        return [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"),
            *("--ServerApp.port_retries=0", "--IdentityProvider.token=", "--ServerApp.password="),
            "--LabApp.expose_app_in_browser=True",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ]

    def _wait_for_server(self) -> None:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        until = time.monotonic() + WAIT
        while time.monotonic() < until and self._server.poll() is None:
            try:
                with direct.open(f"{self.url}/api/status", timeout=2):
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"JupyterLab does not answer:\n{self._log.read_text()[-2000:]}")


_SHOWN = ".jp-NotebookPanel:not(.lm-mod-hidden)"
_IN_NOTEBOOK = f"""() => {{
    const $ = (selector) => [...document.querySelectorAll(`{_SHOWN} ${{selector}}`)].at(-1);
    return %s;
}}"""


class Notebook:
    """A notebook open in a window."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.path = path

    def ready(self) -> Notebook:
        """Wait until the notebook is loaded and its kernel has answered."""
        self.page.wait_for_function(
            "path => window.jupyterapp?.shell?.currentWidget?.context?.path === path",
            arg=self.path.name,
            polling=LOOKS,
        )
        self.page.evaluate(
            """async () => {
                const app = window.jupyterapp;
                await app.restored;
                const panel = app.shell.currentWidget;
                await panel.context.ready;
                await panel.sessionContext.ready;
                await panel.sessionContext.session?.kernel?.info;
            }"""
        )
        return self

    def reload(self) -> None:
        """Load the page again, as a reader does; what the kernel runs goes on."""
        self.page.reload()
        self.page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.sessionContext", polling=LOOKS)

    def run(self, what: str = "notebook:run-all-cells") -> None:
        """Start cells (`notebook:run-cell`: the selected one); the page knows as ``running`` whether they still run."""
        self.page.evaluate(
            """command => {
                window.running = true;
                window.jupyterapp.commands.execute(command).finally(() => (window.running = false));
            }""",
            what,
        )

    def wait(self) -> None:
        """Wait until the cells have ended; raise AssertionError where one has failed."""
        self.until("!window.running")
        self.fail_with_cells()

    def fail_with_cells(self) -> None:
        """Raise AssertionError with the traceback of the first cell that has failed, if one has."""
        failures = [output for cell in self.outputs() for output in cell if output["output_type"] == "error"]
        assert not failures, "\n".join(failures[0]["traceback"])

    def fill(self, *sources: str) -> None:
        """Have these code cells and no others, none of them run; a kernel that is still at work is started anew."""
        self.page.evaluate(
            """async sources => {
                const { content, sessionContext } = window.jupyterapp.shell.currentWidget;
                if (sessionContext.session.kernel.status === "busy") await sessionContext.restartKernel();
                const { sharedModel } = content.model;
                sharedModel.transact(() => {
                    sharedModel.deleteCellRange(0, sharedModel.cells.length);
                    const cells = sources.map((source) => ({ cell_type: "code", source, metadata: { trusted: true } }));
                    sharedModel.insertCells(0, cells);
                });
                content.activeCellIndex = 0;
            }""",
            list(sources),
        )

    def append(self, source: str) -> None:
        """Add a cell at the end, and select it."""
        self.page.evaluate(
            """async source => {
                const { content } = window.jupyterapp.shell.currentWidget;
                content.activeCellIndex = content.widgets.length - 1;
                await window.jupyterapp.commands.execute("notebook:insert-cell-below");
                content.activeCell.model.sharedModel.setSource(source);
                await content.scrollToItem(content.activeCellIndex);
            }""",
            source,
        )

    def drop(self) -> None:
        """Take away the last cell."""
        self.page.evaluate(
            """() => {
                const { sharedModel } = window.jupyterapp.shell.currentWidget.content.model;
                sharedModel.deleteCell(sharedModel.cells.length - 1);
            }"""
        )

    def scroll(self, place: int) -> None:
        """Bring a cell into sight: what is far out of it may not be drawn."""
        scroll = "async place => { await window.jupyterapp.shell.currentWidget.content.scrollToItem(place); }"
        self.page.evaluate(scroll, place)

    def outputs(self) -> list[list[dict[str, Any]]]:
        """Return the outputs of each code cell, as the page has them."""
        found: list[list[dict[str, Any]]] = self.page.evaluate(
            """() => [...window.jupyterapp.shell.currentWidget.content.model.cells]
                .filter((cell) => cell.type === "code").map((cell) => cell.outputs.toJSON())"""
        )
        return found

    @property
    def kernel(self) -> str:
        """Return the id of the kernel."""
        found: str = self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.id")
        return found

    def execute(self, code: str) -> None:
        """Have the kernel execute code that is in no cell; raise AssertionError where it fails."""
        answer = self.page.evaluate(
            """async code => {
                const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
                const { content } = await kernel.requestExecute({ code, store_history: false }).done;
                return content;
            }""",
            code,
        )
        assert answer["status"] == "ok", "\n".join(answer["traceback"])

    def value(self, expression: str) -> Any:
        """Return the value of an expression of the page; ``$`` finds the last element of a selector in the notebook."""
        return self.page.evaluate(_IN_NOTEBOOK % expression)

    def until(self, expression: str) -> None:
        """Wait until such an expression is true."""
        from playwright.sync_api import TimeoutError as TooLate

        try:
            self.page.wait_for_function(_IN_NOTEBOOK % expression, polling=LOOKS)
        except TooLate:
            SHOTS.mkdir(exist_ok=True)
            self.page.screenshot(path=SHOTS / "too-late.png")
            self.fail_with_cells()
            raise AssertionError(f"never came true: {expression} (too-late.png shows the page)") from None

    def command(self, name: str, **arguments: Any) -> None:
        """Execute a command of JupyterLab and wait for it."""
        self.page.evaluate(
            "async ([name, options]) => { await window.jupyterapp.commands.execute(name, options); }", [name, arguments]
        )

    def find(self, selector: str) -> Locator:
        """Return the last element of the notebook that a selector finds."""
        return self.page.locator(_SHOWN).locator(selector).last

    def count(self, selector: str) -> int:
        """Return how many elements of the notebook a selector finds."""
        return self.page.locator(_SHOWN).locator(selector).count()

    def text(self, selector: str) -> str:
        """Return the text of the last element that a selector finds, as the reader sees it."""
        return self.find(selector).inner_text()

    def shoot(self, name: str, selector: str = ".jp-OutputArea-output", folder: Path = SHOTS) -> list[Path]:
        """Take pictures of the last output, in the theme that is on and then in the other; return their paths."""
        folder.mkdir(exist_ok=True)
        paths = []
        themes = ["light", "dark"]
        if self.page.evaluate("document.body.dataset.jpThemeLight") == "false":
            themes.reverse()
        for theme in themes:
            self.command("apputils:change-theme", theme=f"JupyterLab {theme.title()}")
            paths.append(folder / f"{name}-{theme}.png")
            self.find(selector).screenshot(path=paths[-1], animations="disabled")
        return paths

    def save(self) -> dict[str, Any]:
        """Save the notebook; return what the file then says."""
        self.command("docmanager:save")
        saved: dict[str, Any] = json.loads(self.path.read_text())
        return saved

    def close(self) -> None:
        """End the kernel and close the notebook, saved or not."""
        self.page.evaluate(
            """async () => {
                const panel = window.jupyterapp.shell.currentWidget;
                await panel.sessionContext.shutdown();
                panel.dispose();
            }"""
        )
