"""Keep open files of SQLite out of forks.

A connection must not go through a fork, not even unused: the child would take the parent's locks for its own
(sqlite.org/howtocorrupt.html, 2.6). So nobody reads or writes while a process forks, and files are closed before.
"""

from __future__ import annotations

import os
import threading
from typing import Final, Protocol
from weakref import WeakSet


class Forked(Protocol):
    """Hold a file that must not be open while the process forks."""

    def before_fork(self) -> None:
        """Wait until nobody reads or writes, and close the file."""

    def after_fork_in_parent(self) -> None:
        """Go on; the next use opens the file again."""

    def after_fork_in_child(self) -> None:
        """Begin anew, with locks of the child's own."""


_WATCHED: Final[WeakSet[Forked]] = WeakSet()
_FORK: Final = threading.RLock()
_forking: list[Forked] = []


def watch(holder: Forked) -> None:
    """Tell ``holder`` of every fork, for as long as it lives."""
    with _FORK:
        _WATCHED.add(holder)


def _before_fork() -> None:
    _FORK.acquire()
    _forking[:] = _WATCHED
    for holder in _forking:
        holder.before_fork()


def _after_fork_in_parent() -> None:
    while _forking:
        _forking.pop().after_fork_in_parent()
    _FORK.release()


def _after_fork_in_child() -> None:
    while _forking:
        _forking.pop().after_fork_in_child()
    _FORK.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
