"""What a turn tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass

from dsnb.client.reply import Reply
from dsnb.client.tool_call import ToolCall


@dataclass(slots=True)
class Event:
    """Tell one thing that happened in a turn.

    ``type`` is ``queued`` (waiting: the endpoint sent a sign of life and no token yet), ``reasoning``, ``answer``,
    ``tool``, ``retry`` or ``end``. ``text`` is the new text: of the reasoning, of the answer, or of the arguments of
    ``tool``, the call being built. ``reply`` is the finished Reply of ``end``.

    ``moved`` marks reasoning that was told as answer before: a host that hides the opening ``<think>`` shows only at
    ``</think>`` that everything so far was reasoning. Whoever shows the answer then starts it anew.

    ``anew`` marks a ``retry`` after a request that had begun to answer, and whose answer is lost: what was told since
    the last tool ended, or since the turn began, is void and will be told again.
    """

    type: str
    text: str = ""
    tool: ToolCall | None = None
    reply: Reply | None = None
    moved: bool = False
    anew: bool = False
