"""The final view: nothing while a turn runs, and one static output when it has ended."""

from __future__ import annotations

from dsnb.client.events import Event
from dsnb.client.reply import Reply
from dsnb.display import formatters
from dsnb.display.bundle import bundle
from dsnb.display.parts import Part
from dsnb.errors import DsnbError


class FinalView:
    """Show a turn as exactly one display message, which is what strict comparison of notebook outputs needs."""

    def __init__(self, *, model: str = "", asked: Part | None = None) -> None:
        self._model = model
        self._asked = asked

    def __call__(self, event: Event) -> None:
        """Wait for the end."""

    def close(self, reply: Reply | None, error: DsnbError | None) -> None:
        """Show the reply, whole or partial, and the error in words."""
        reply = reply or (error.reply if error is not None else None) or Reply(asked_model=self._model)
        data = bundle(reply, error, self._asked)
        if formatters.shell() is None:
            print(data["text/plain"])
            return
        from IPython.display import display

        display(data, raw=True)  # type: ignore[no-untyped-call] # IPython's own
