"""How a page is heard while the kernel is busy with the very cell that the page wants to stop.

A message of a widget waits for the cell to end, but for two ways around it:

- From ipykernel 7.1 on JupyterLab sends it to a subshell, a thread beside the cell. ipykernel 7.4 routes it back to
  the thread that last spoke to the page, which is the busy one; `open_for` has it stay where it was sent.
- Elsewhere the page interrupts the kernel, as the notebook's own button does. So that this can be told from that
  button, it first leaves a word on the channel by which a page answers ``input``: `told` looks for it.

Measured in JupyterLab 4.6 with ipykernel 6.31 to 7.4: `python -m tests.bench stop`.
"""

from __future__ import annotations

from typing import Any, Final

from dsnb.display import formatters

_UNDER_WAY: Final = 150  # ms: the word was sent before the interrupt, by another way


def open_for(comm: Any) -> None:
    """Have a comm take messages in the subshell that they are sent to, where its kernel has such."""
    if hasattr(comm, "_reply_subshell_for"):  # private, of ipykernel 7.4
        comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001 — there is no public way


def told(word: str) -> bool:
    """Whether a page has left this word, by which it says that the interrupt just now was its reader's Stop."""
    kernel = getattr(formatters.shell(), "kernel", None)
    socket = getattr(kernel, "stdin_socket", None)
    if kernel is None or socket is None:
        return False
    while socket.poll(_UNDER_WAY):
        _, message = kernel.session.recv(socket)
        if message is not None and message["content"].get("value") == word:
            return True
    return False
