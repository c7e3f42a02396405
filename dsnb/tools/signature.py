"""What a function or class takes: from its type hints to a schema, and from a model's arguments to a call."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from dsnb.errors import RequestError
from dsnb.tools.arguments import read
from dsnb.tools.results import clean

_KINDS: Final = "str, int, float, bool, list, Literal, an Enum, a dataclass, a TypedDict or a pydantic model"


class Fields:
    """Know what a class takes that describes itself: a pydantic model or a dataclass.

    ``schema`` is the JSON Schema of its fields as pydantic writes it, ``names`` are the fields, and ``text`` is the
    signature in one line. Raises RequestError for what has no fields, or fields that JSON cannot hold.
    """

    def __init__(self, kind: type, tool: str) -> None:
        try:
            self._adapter = _adapter(kind, _scope(kind))
            self.schema = self._adapter.json_schema(schema_generator=_Quiet)
        except Exception as error:
            raise RequestError(f"The fields of {tool} cannot be told in JSON: {_first_line(error)}") from error
        names = getattr(kind, "model_fields", None) or getattr(kind, "__dataclass_fields__", {})
        if issubclass(kind, BaseModel) and "root" in names:
            raise RequestError(f"The tool {tool} has no fields but a root. Make its value a field with a name.")
        self.names: tuple[str, ...] = tuple(names)
        self.text = f"({', '.join(self.names)})"

    def read(self, arguments: str) -> Any:
        """Return the instance that the JSON text of a call describes; raise BadArguments where it does not."""
        return read(arguments, self._adapter, empty=not self.names)


class Parameters:
    """Know what a function takes.

    Has the attributes of `Fields`. ``skip_first`` leaves out the ``self`` of a method that is not bound yet. Raises
    RequestError for parameters that cannot be given by name, or that JSON cannot hold.
    """

    def __init__(self, function: Callable[..., Any], tool: str, *, skip_first: bool) -> None:
        self._parameters = _parameters(function, tool)[skip_first:]
        scope = _scope(origin(function))
        hints = _hints(origin(function), self._parameters, tool, scope)
        self.names: tuple[str, ...] = tuple(hints)
        self.text = f"({', '.join(map(_shown, self._parameters))})"
        fields = {
            f"p{place}": (_field(hints[p.name], p.name), ... if p.default is p.empty else p.default)
            for place, p in enumerate(self._parameters)  # under its own name, one such as `json` would hide a method
        }
        try:
            model = create_model(tool, __config__=ConfigDict(extra="forbid"), **fields)  # type: ignore[call-overload]
            self._adapter = _adapter(model, scope)
            self.schema = self._adapter.json_schema(schema_generator=_Quiet)
        except Exception as error:
            raise RequestError(_unfit(tool, hints, scope, error)) from error

    def read(self, arguments: str) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments that the JSON text of a call gives; raise BadArguments where they do not fit.

        What was left out is left to the function's own defaults.
        """
        model = read(arguments, self._adapter, empty=not self.names)
        positional: list[Any] = []
        named: dict[str, Any] = {}
        for place, parameter in enumerate(self._parameters):
            field = f"p{place}"
            given = field in model.model_fields_set or isinstance(parameter.default, FieldInfo)
            value = getattr(model, field) if given else parameter.default
            if parameter.kind is parameter.POSITIONAL_ONLY:
                positional.append(value)
            elif given:
                named[parameter.name] = value
        return positional, named


class _Quiet(GenerateJsonSchema):
    """Write schemas without warnings: a default that JSON cannot hold is just not told."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 — as pydantic declares it


def describes_itself(function: Any) -> bool:
    """Tell whether this is a class whose fields are what it takes."""
    return inspect.isclass(function) and (issubclass(function, BaseModel) or dataclasses.is_dataclass(function))


def origin(function: Any) -> Any:
    """Return what was written with ``def``: behind partials, decorators, methods and callable objects."""
    function = inspect.unwrap(function)
    if isinstance(function, functools.partial):
        return origin(function.func)
    if inspect.ismethod(function):
        return origin(function.__func__)
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    return origin(type(function).__call__)


def _parameters(function: Callable[..., Any], tool: str) -> Sequence[inspect.Parameter]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError, NameError) as error:
        raise RequestError(
            f"The signature of {tool} cannot be read ({error}). Wrap it in a function of yours."
        ) from error
    for parameter in parameters:
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise RequestError(
                f"{tool} takes `{parameter}`, and a model gives every argument by its name. Name its parameters one by "
                "one, or take a list; where a decorator hides them, give that functools.wraps."
            )
    fixed = function.keywords if isinstance(function, functools.partial) else {}
    return [parameter for parameter in parameters if parameter.name not in fixed]


def _adapter(kind: Any, scope: dict[str, Any]) -> TypeAdapter[Any]:
    """Return what validates a type, whose fields may name what is local where it was written."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    adapter.rebuild(raise_errors=False, _types_namespace=scope)
    return adapter


def _hints(function: Any, parameters: Sequence[inspect.Parameter], tool: str, scope: dict[str, Any]) -> dict[str, Any]:
    """Return the type hint of each parameter; Any where it has none."""
    hints: dict[str, Any] = {}
    for parameter in parameters:
        hint = Any if parameter.annotation is parameter.empty else parameter.annotation

        def holder() -> None: ...

        holder.__annotations__ = {parameter.name: hint}
        try:
            hints |= get_type_hints(holder, getattr(function, "__globals__", {}), scope, include_extras=True)
        except Exception as error:
            raise RequestError(
                f"The type hint of `{_shown(parameter)}` of {tool} cannot be read: {_first_line(error)}. "
                "What it names has to be there when the tool is made, not only for type checkers."
            ) from error
    return hints


def _scope(definition: Any) -> dict[str, Any]:
    """Return the local names around a function or class, as far as what it stands in still runs."""
    around = getattr(definition, "__qualname__", "").rpartition(".<locals>.")[0]
    found: dict[str, Any] = {}
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 — inspect.stack() would read every source file
    while frame is not None and around:
        if frame.f_code.co_qualname == around and frame.f_globals.get("__name__") == definition.__module__:
            found = frame.f_locals | found
            around = around.rpartition(".<locals>.")[0]
        frame = frame.f_back
    return found


def _field(hint: Any, name: str) -> Any:
    """Return a hint that gives the field its name; a bare text in ``Annotated[str, "..."]`` describes it."""
    metadata = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    words = next((entry for entry in metadata if isinstance(entry, str)), None)
    if words is None or any(isinstance(entry, FieldInfo) and entry.description for entry in metadata):
        return Annotated[hint, Field(alias=name)]
    return Annotated[hint, Field(alias=name, description=words)]


def _unfit(tool: str, hints: Mapping[str, Any], scope: dict[str, Any], error: Exception) -> str:
    """Say which parameter JSON cannot hold."""
    for name, hint in hints.items():
        try:
            _adapter(hint, scope).json_schema(schema_generator=_Quiet)
        except Exception as problem:
            return (
                f"{tool} cannot take `{name}: {inspect.formatannotation(hint)}` out of JSON ({_first_line(problem)}). "
                f"Use {_KINDS}, and make what is needed of it inside."
            )
    return f"The parameters of {tool} cannot be told in JSON: {_first_line(error)}"


def _shown(parameter: inspect.Parameter) -> str:
    hint = parameter.annotation
    shown = parameter.name
    if hint is not parameter.empty:
        shown += f": {hint if isinstance(hint, str) else inspect.formatannotation(hint)}"
    if parameter.default is not parameter.empty:
        shown += f"{' = ' if ':' in shown else '='}{clean(repr(parameter.default), 40)}"
    return shown


def _first_line(error: Exception) -> str:
    return clean(str(error).partition("\n")[0].rstrip("."), 200)
