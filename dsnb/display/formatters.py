"""Replies as results of notebook cells: shown as their bundle, and not twice by the cell that showed them already."""

from __future__ import annotations

import sys
from typing import Any

from dsnb.client.reply import Reply

# The replies that the running cell has shown. They are held, not only their ids, which Python gives out again.
_shown: dict[int, Reply] = {}


def shell() -> Any:
    """Return IPython's shell, None where none runs; IPython is not imported to find out."""
    ipython = sys.modules.get("IPython")
    get_ipython = getattr(ipython, "get_ipython", None)
    return get_ipython() if get_ipython is not None else None


def install() -> None:
    """Teach the running IPython, if there is one, to show replies. More than once does no harm."""
    running = shell()
    if running is None:
        return
    formatters = running.display_formatter
    formatters.mimebundle_formatter.for_type(Reply, _mimebundle)
    if formatters.ipython_display_formatter.for_type(Reply, _unless_shown) is not _unless_shown:
        running.events.register("pre_run_cell", _forget)
        running.events.register("post_run_cell", _forget)  # so that no reply is kept from being collected


def remember(reply: Reply) -> None:
    """Note that the running cell has shown a reply."""
    if shell() is not None:
        _shown[id(reply)] = reply


def already_shown(reply: Reply) -> bool:
    """Whether the running cell has shown a reply."""
    return id(reply) in _shown


def _forget(*_: Any) -> None:
    _shown.clear()


def _mimebundle(reply: Reply, **_: Any) -> dict[str, str]:
    if already_shown(reply) and not hasattr(shell(), "kernel"):
        return {"text/plain": repr(reply)}
    from dsnb.display.bundle import bundle

    return bundle(reply)


def _unless_shown(reply: Reply) -> None:
    """Show nothing, for the result of a cell that has shown the reply; leave all others to the bundle.

    In a kernel only: a terminal has printed its ``Out[1]:`` by then, and the short repr fits behind it. Explicit
    calls of ``display`` show the reply again: ``msg`` is where the kernel's display hook keeps a result that is
    about to be sent, and is empty outside of it.
    """
    running = shell()
    is_result = bool(getattr(running.displayhook, "msg", None))
    if not (hasattr(running, "kernel") and is_result and already_shown(reply)):
        raise NotImplementedError  # by which IPython goes on to the next formatter
