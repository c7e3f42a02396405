"""One call of a tool, as the model writes it."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING, Any

from dsnb.client.text import well_formed

if TYPE_CHECKING:
    from pydantic_core import CoreSchema


class ToolCall:
    """Hold one call that the model asks for.

    ``arguments`` is the JSON text as the model wrote it; it may be cut off or no JSON at all, so parse it with care.
    ``index`` is the call's place among the calls of its message. ``result`` is the text that answers the call, None
    until there is one; ``failed`` tells whether it is that of a tool that did not do its work, or was not run at all;
    ``seconds`` is how long the tool ran, None where it did not.
    """

    __slots__ = ("_arguments", "failed", "id", "index", "name", "result", "seconds")

    def __init__(
        self,
        index: int,
        id: str,  # noqa: A002 — the API's own name for the field
        name: str,
        arguments: str = "",
        result: str | None = None,
        failed: bool | None = None,
        seconds: float | None = None,
    ) -> None:
        self.index = index
        self.id = id
        self.name = name
        self.result = result
        self.failed = failed
        self.seconds = seconds
        self._arguments = StringIO()  # grows at linear cost: a call may come in 100,000 fragments
        self.append(arguments)

    @property
    def arguments(self) -> str:
        """The JSON text of the arguments, as far as it has come."""
        return well_formed(self._arguments.getvalue())

    def append(self, fragment: str) -> None:
        """Add the next fragment of the arguments."""
        self._arguments.write(fragment)

    def refuse(self, why: str) -> None:
        """Answer the call with an error in the words of ``why``, unless it has its answer already."""
        if self.result is None:
            self.result, self.failed = json.dumps({"error": why}, ensure_ascii=False), True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ToolCall):
            return NotImplemented
        return self._key() == other._key()

    __hash__ = None  # type: ignore[assignment] # it grows

    def __repr__(self) -> str:
        arguments = self.arguments
        shown = arguments if len(arguments) <= 60 else arguments[:57] + "…"
        return f"<ToolCall {self.index} {self.name}({shown}){' failed' if self.failed else ''}>"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> CoreSchema:
        """Let pydantic write a call into a file and read it again; asked for by nobody else."""
        from pydantic_core import core_schema

        names = ("index", "id", "name", "arguments", "result", "failed", "seconds")

        def read(value: Any) -> ToolCall:
            return value if isinstance(value, cls) else cls(**{name: value[name] for name in names})

        def write(call: ToolCall) -> dict[str, Any]:
            return {name: getattr(call, name) for name in names}

        return core_schema.no_info_plain_validator_function(
            read, serialization=core_schema.plain_serializer_function_ser_schema(write)
        )

    def _key(self) -> tuple[object, ...]:
        return self.index, self.id, self.name, self.arguments, self.result, self.failed, self.seconds
