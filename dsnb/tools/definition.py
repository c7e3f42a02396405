"""A function that the model can call."""

from __future__ import annotations

import copy
import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, Final, Generic, ParamSpec, TypeVar, overload

from dsnb.errors import RequestError
from dsnb.tools import docstrings
from dsnb.tools.schema import Objection, Schema, described, plain, strict
from dsnb.tools.signature import Fields, Parameters, describes_itself, origin

_P = ParamSpec("_P")
_R = TypeVar("_R", covariant=True)

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")  # 64 until 2026-08: the contract in force tells that of a request


class Tool(Generic[_P, _R]):
    """Let the model call a function, or fill in a pydantic model or dataclass. Made by `tool`, and called as before.

    ``name, description`` and ``parameters`` (a JSON Schema) are what the model is told, ``schema`` is all of it as it
    is sent. ``strict`` tells whether the API may be asked to enforce the schema; where it may not, ``loose`` says
    why, naming the parameter and the mend.
    """

    def __init__(
        self,
        function: Callable[_P, _R],
        *,
        name: str | None = None,
        description: str | None = None,
        strict: bool | None = None,
    ) -> None:
        if not callable(function):
            raise RequestError(f"A tool is a function or a pydantic model, not {type(function).__name__}.")
        itself = describes_itself(function)
        functools.update_wrapper(self, function, updated=() if itself else ("__dict__",))
        self.function = function
        self.name = _checked(_name_of(function) if name is None else name, given=name is not None)
        self._unbound = not itself and _is_method(function)
        self._signature = (
            Fields(function, self.name)  # type: ignore[arg-type]  # describes_itself: it is a class
            if itself
            else Parameters(function, self.name, skip_first=self._unbound)
        )
        words, about = docstrings.read(_docstring(function), self._signature.names)
        self.description = words if description is None else description
        meant = plain(self._signature.schema)
        for parameter, text in about.items():
            if parameter in meant.get("properties", {}):
                meant["properties"][parameter].setdefault("description", text)
        self.parameters, self.objections = _parameters(meant, wanted=strict)
        self.strict = strict is not False and not self.objections
        if strict and self.objections:
            raise RequestError(f"{self.name} cannot be strict: {self.loose} Or leave strict=True away.")

    @property
    def loose(self) -> str | None:
        """Why strict mode cannot express this tool, and how to mend that; None where it can."""
        return None if self.strict else " ".join(map(str, self.objections)) or "It was made with strict=False."

    @property
    def schema(self) -> Schema:
        """The tool as it is sent."""
        function: Schema = {"name": self.name}
        if self.description:
            function["description"] = self.description
        function["parameters"] = copy.deepcopy(self.parameters)
        if self.strict:
            function["strict"] = True
        return {"type": "function", "function": function}

    @property
    def usage(self) -> str:
        """What a call has to give, in a line that the model can follow."""
        required, defs = self.parameters.get("required", ()), self.parameters.get("$defs", {})
        entries = [
            f'"{name}": {described(node, defs)}{"" if name in required else " (may be left out)"}'
            for name, node in self.parameters.get("properties", {}).items()
        ]
        return f"{{{', '.join(entries)}}}"

    def prepare(self, arguments: str) -> Callable[[], Any]:
        """Check the JSON text of a call's arguments, and return what makes the call; raise BadArguments.

        Raises whatever the user's own validators raise besides ValueError.
        """
        if isinstance(self._signature, Fields):
            instance = self._signature.read(arguments)
            return lambda: instance
        positional, named = self._signature.read(arguments)
        return functools.partial(self.function, *positional, **named)

    @property
    def unbound(self) -> bool:
        """Whether this is a method without its object, which no model can give."""
        return self._unbound

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Call the function itself, as if it were no tool."""
        return self.function(*args, **kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None or not self._unbound:
            return self
        bound = copy.copy(self)
        bound.function = self.function.__get__(instance, owner)
        bound._unbound = False  # noqa: SLF001 — one of its own kind
        return bound

    def __repr__(self) -> str:
        return f"<Tool {self.name}{self._signature.text} · {'strict' if self.strict else 'not strict'}>"


@overload
def tool(
    function: Callable[_P, _R], *, name: str | None = None, description: str | None = None, strict: bool | None = None
) -> Tool[_P, _R]: ...
@overload
def tool(
    function: None = None, *, name: str | None = None, description: str | None = None, strict: bool | None = None
) -> Callable[[Callable[_P, _R]], Tool[_P, _R]]: ...
def tool(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool | None = None,
) -> Any:
    """Make a tool that the model can call of a plain or async function, a pydantic model or a dataclass.

    What the model is told comes from the type hints and the docstring (styles of Google, NumPy and
    reStructuredText); ``name`` and ``description`` replace what is found there. The arguments of a call are checked
    against the hints, constraints included, before the function runs, in a thread of its own or, if it is async, in
    an event loop.

    ``strict=None`` makes a strict tool wherever the API can express its schema (guide 'Tool Calls'); `Tool.loose`
    says why where it cannot. ``strict=True`` raises RequestError instead, ``strict=False`` never makes one.

    >>> @tool
    ... def get_price(symbol: str) -> float:
    ...     "Return the price of a share in USD."
    """
    if function is None:
        return functools.partial(tool, name=name, description=description, strict=strict)
    return Tool(function, name=name, description=description, strict=strict)


def _parameters(meant: Schema, *, wanted: bool | None) -> tuple[Schema, tuple[Objection, ...]]:
    """Return the schema to send, and why it is not strict."""
    if wanted is False:
        return meant, ()
    narrowed, objections = strict(meant)
    return (meant if objections else narrowed), objections


def _checked(name: str, *, given: bool) -> str:
    if _NAME.fullmatch(name):
        return name
    mend = "Choose another" if given else 'Give it one: tool(name="...")(function)'
    raise RequestError(
        f"{name!r} cannot be a tool's name: those have 1 to 128 letters, digits, underscores and hyphens. {mend}."
    )


def _name_of(function: Any) -> str:
    if isinstance(function, functools.partial):
        return _name_of(function.func)
    return str(getattr(function, "__name__", None) or type(function).__name__)


def _docstring(function: Any) -> str:
    if inspect.isclass(function):
        # a dataclass without a docstring is given its signature for one
        own = function.__doc__ or ""
        return "" if own.startswith(f"{function.__name__}(") else own
    found = inspect.getdoc(function if inspect.isroutine(function) else origin(function))
    if found or isinstance(function, functools.partial) or inspect.isroutine(function):
        return found or ""
    return inspect.getdoc(type(function)) or ""  # a callable object


def _is_method(function: Any) -> bool:
    """Tell whether this was written inside a class, and has no object yet."""
    if not inspect.isfunction(function):
        return False
    inside = function.__qualname__.rpartition("<locals>.")[2]
    first = next(iter(inspect.signature(function).parameters), "")
    return "." in inside and first in {"self", "cls"}
