"""One call of a tool, as the model writes it."""

from __future__ import annotations

from io import StringIO
from typing import Any

from dsnb.client.text import well_formed


class ToolCall:
    """Hold one call that the model asks for.

    ``arguments`` is the JSON text as the model wrote it; it may be cut off or no JSON at all, so parse it with care.
    ``index`` is the call's place among the calls of its message, ``result`` what the tool gave, None until it ran.
    """

    __slots__ = ("_arguments", "id", "index", "name", "result")

    def __init__(self, index: int, id: str, name: str, arguments: str = "", result: Any = None) -> None:  # noqa: A002 — the API's own name for the field
        self.index = index
        self.id = id
        self.name = name
        self.result = result
        self._arguments = StringIO()  # grows at linear cost: a call may come in 100,000 fragments
        self.append(arguments)

    @property
    def arguments(self) -> str:
        """The JSON text of the arguments, as far as it has come."""
        return well_formed(self._arguments.getvalue())

    def append(self, fragment: str) -> None:
        """Add the next fragment of the arguments."""
        self._arguments.write(fragment)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ToolCall):
            return NotImplemented
        return self._key() == other._key()

    __hash__ = None  # type: ignore[assignment] # it grows

    def __repr__(self) -> str:
        arguments = self.arguments
        shown = arguments if len(arguments) <= 60 else arguments[:57] + "…"
        return f"<ToolCall {self.index} {self.name}({shown})>"

    def _key(self) -> tuple[object, ...]:
        return self.index, self.id, self.name, self.arguments, self.result
