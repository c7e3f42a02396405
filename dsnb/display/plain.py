"""The plain view: text that streams, in a terminal or wherever standard output goes."""

from __future__ import annotations

import os
import sys

from dsnb.client.events import Event
from dsnb.client.reply import Reply
from dsnb.client.tool_call import ToolCall
from dsnb.display import summary
from dsnb.display.bundle import figures_line
from dsnb.display.calls import gist
from dsnb.display.text import legible, line
from dsnb.errors import DsnbError

_DIM, _BRIGHT = "\x1b[2m", "\x1b[0m"


class PlainView:
    """Stream reasoning (dimmed), tool calls, their results and the answer as they come; end with a line of figures.

    Control characters are shown, not sent, so that no model moves the cursor or colours the screen. There are no
    colours where standard output is no terminal, or ``NO_COLOR`` is set.
    """

    def __init__(self) -> None:
        self._section = ""
        self._call: ToolCall | None = None
        self._answered: list[ToolCall] = []
        self._at_start = True  # of a line
        self._silent = True  # nothing has been said in this section
        terminal = sys.stdout is not None and sys.stdout.isatty()
        self._coloured = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def __call__(self, event: Event) -> None:
        """Print what is new."""
        if event.type == "queued":
            if not self._section:
                self._enter("queued", "waiting in the queue …", dim=True)
        elif event.type == "retry":
            again = " What this request has said is void; it begins anew." if event.anew else ""
            self._enter("retry", line(event.text or "trying again …", 500) + again, dim=True)
        elif event.moved:
            self._enter("moved", "[all of this was reasoning]", dim=True)
        elif event.type == "reasoning":
            self._enter("reasoning")
            self._say(event.text, dim=True)
        elif event.type == "answer":
            self._enter("answer")
            self._say(event.text)
        elif event.tool is not None:
            self._tool(event.tool, event.text)

    def close(self, reply: Reply | None, error: DsnbError | None) -> None:
        """Print how the turn ended; an error is left to whoever catches it."""
        reply = reply or (error.reply if error is not None else None)
        if reply is None:
            self._enter("end")
            return
        if not self._section:  # nothing was streamed
            self._whole(reply)
        for call in reply.tool_calls:
            if call.result is not None and not any(call is answered for answered in self._answered):
                self._result(call)
        ending = "failed" if error is not None else summary.ending(reply)
        words = [*summary.who(reply)[:1], *filter(None, [ending, figures_line(reply)])]
        self._enter("end", " · ".join(words), dim=True)
        self._newline()

    def _whole(self, reply: Reply) -> None:
        for text, section in ((reply.reasoning, "reasoning"), (reply.answer, "answer")):
            if text:
                self._enter(section)
                self._print(text, dim=section == "reasoning")

    def _tool(self, call: ToolCall, arguments: str) -> None:
        if call.result is not None and not arguments:
            self._answered.append(call)
            self._result(call)
            return
        if call is not self._call:
            self._call = call
            self._enter("tool", f"calls {line(call.name)} ", dim=True)
        self._print(arguments, dim=True)

    def _result(self, call: ToolCall) -> None:
        self._call = None
        self._enter("result", f"{line(call.name)}{' failed' if call.failed else ''} → {gist(call, 200)}", dim=True)

    def _enter(self, section: str, text: str = "", *, dim: bool = False) -> None:
        """Begin a section on a line of its own, unless it goes on."""
        if section != self._section or text:
            self._newline()
            if self._section not in {"", "answer"} and section == "answer":
                self._write("\n")
            self._silent = section != self._section
            self._section = section
        self._print(text, dim=dim)

    def _say(self, text: str, *, dim: bool = False) -> None:
        """Print the next words of a section, which does not begin with empty lines."""
        text = text.lstrip("\n") if self._silent else text
        self._silent = self._silent and not text
        self._print(text, dim=dim)

    def _newline(self) -> None:
        if not self._at_start:
            self._write("\n")
            self._at_start = True

    def _print(self, text: str, *, dim: bool = False) -> None:
        text = legible(text)
        if text:
            self._write(f"{_DIM}{text}{_BRIGHT}" if dim and self._coloured else text)
            self._at_start = text.endswith("\n")

    def _write(self, text: str) -> None:
        out = sys.stdout
        if out is None:  # a program without a console
            return
        encoding = getattr(out, "encoding", None) or "utf-8"
        out.write(text.encode(encoding, "replace").decode(encoding))
        out.flush()
