"""A turn in which every payload stands in every place that a model has, and a detector of what none of them may do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt

from dsnb.client.events import Event
from dsnb.client.reply import Reply
from dsnb.client.rounds import joined
from dsnb.client.tool_call import ToolCall
from dsnb.display.bundle import bundle
from dsnb.display.panel import LiveView, _ending
from dsnb.display.renderers import View
from dsnb.display.text import legible
from dsnb.errors import ServerFailed
from tests.display.payloads import ALL, BEACON
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Dialog, Page, Request

# what a page does that takes a payload for markup
CONTROL = f"""<img src="{BEACON}/control.png" onerror="alert('control')">"""
# elements that have no business in what a model said, and attributes that do something; formulas are MathJax's own
STRANGE = """[...document.querySelectorAll(".dsnb *")].filter((node) => !node.closest("mjx-container") && (
    /^(script|img|svg|math|iframe|object|embed|form|input|meta|base|link|video|audio|template|dialog|style)$/
        .test(node.localName === "style" && node.parentElement.classList.contains("dsnb") ? "" : node.localName)
    || [...node.attributes].some(({ name, value }) =>
        name.startsWith("on") || (name === "href" && !/^(https?:|mailto:)/i.test(value)) || name === "src")
)).map((node) => node.outerHTML.slice(0, 200))"""

# each as it is shown where it is text, but for white space
SHOWN = [" ".join(legible(payload).split()) for payload in ALL]
_SEEN = """([selector, wanted]) => {
    const plain = (text) => text.replace(/\\s+/g, " ");
    const whole = plain([...document.querySelectorAll(selector)].map((node) => node.textContent).join(" "));
    return wanted.filter((words) => !whole.includes(plain(words)));
}"""


class Detector:
    """Note what a page does beyond showing text: dialogs, and requests that leave for where they should not.

    ``expected`` are the hosts that the page itself asks, without any payload.
    """

    def __init__(self, *expected: str) -> None:
        self.found: list[str] = []
        self.fired: set[str] = set()  # what the control has done
        self._expected = {"127.0.0.1", "", *expected}

    def watch(self, page: Page) -> None:
        """Begin to look at a page; go on until it is closed or `leave` is called."""
        page.on("dialog", self._answer)
        page.on("request", self._asked)

    def inert(self, page: Page, selector: str = ".dsnb") -> int:
        """Return how many payloads a page shows as text; raise AssertionError unless all are that, and no more."""
        page.wait_for_timeout(200)  # for what would still load
        strange = page.evaluate(STRANGE)
        assert strange == [], strange
        assert self.found == [], self.found
        missing = page.evaluate(_SEEN, [selector, SHOWN])
        assert missing == [], missing
        return len(SHOWN)

    def fires(self, page: Page) -> None:
        """Raise AssertionError unless the control does in this page both that are looked for."""
        until = time.monotonic() + PATIENCE
        while self.fired < {"dialog", "request"}:
            assert time.monotonic() < until, f"only {self.fired} was seen"
            page.wait_for_timeout(20)

    def leave(self, page: Page) -> None:
        """Look at a page no more: of two who dismiss one dialog, one fails."""
        page.remove_listener("dialog", self._answer)
        page.remove_listener("request", self._asked)

    def _answer(self, dialog: Dialog) -> None:
        if dialog.message == "control":
            self.fired.add("dialog")
        else:
            self.found.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _asked(self, request: Request) -> None:
        if request.url == f"{BEACON}/control.png":
            self.fired.add("request")
            return
        parts = urlsplit(request.url)
        if parts.scheme not in {"data", "blob"} and (parts.hostname or "") not in self._expected:
            self.found.append(f"request: {request.url[:200]}")


def play(view: View) -> Callable[[], None]:
    """Tell a view a turn with a round for each payload, in three chunks each; return what ends the turn."""
    rounds = []
    for place, payload in enumerate(ALL):
        size = len(payload) // 3 + 1
        chunks = [payload[at : at + size] for at in range(0, len(payload), size)]
        call = ToolCall(0, f"call_{place}", payload, payload)
        for kind, tool in (("reasoning", None), ("answer", None), ("tool", call)):
            for chunk in chunks:
                view(Event(kind, chunk, tool))
        call.result, call.failed, call.seconds = payload, bool(place % 2), 0.5
        view(Event("tool", tool=call))
        view(Event("retry", payload))
        rounds.append(Reply(payload, payload, [call], outcome="tool_calls", model=payload, served_by=payload))
    reply = joined(rounds, [0.0] * len(rounds), 1.0)
    return lambda: view.close(reply, ServerFailed("\n".join(ALL), status=503))


def small() -> list[dict[str, str]]:
    """Return a small bundle for each payload, with it for the model's name and the error's message."""
    return [
        bundle(Reply("x", model=payload, asked_model=payload, served_by=payload), ServerFailed(payload, status=500))
        for payload in ALL
    ]


def named() -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Return a live turn for each payload: what a page gets at its beginning, and then to its end.

    The payload stands for the model that is asked and the one that answers, for the effort, the provider, the outcome
    and the error.
    """
    turns = []
    for payload in ALL:
        view = LiveView(model=payload, effort=payload)
        state, progress = view._state(), view._pacing.progress
        progress.take(Event("answer", payload))
        batches = [progress.batch()]
        reply = Reply(payload, model=payload, asked_model=payload, served_by=payload, outcome=payload)
        progress.end(_ending(reply, ServerFailed(payload, status=500)))
        turns.append((state, [*batches, progress.batch()]))
    return turns


def page_of(html: str) -> str:
    """Return a page for a frontend that knows html only, and does nothing about it."""
    return f"<!doctype html><meta charset='utf-8'><title>x</title><body>{html}</body>"


def naive(markdown: str) -> str:
    """Return Markdown as a renderer has it that lets all html through."""
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)
