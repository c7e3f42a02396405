"""How much work something is, counted and not clocked: the same on every machine, however busy it is.

What C does within one line is not seen here; `python -m tests.bench hostile` clocks that.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def effort(work: Callable[[], object]) -> int:
    """Return how many lines of Python run while the work is done."""
    lines = 0

    def trace(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return lines
