"""What can be a tool, how it is named and described, and that it stays the function that it was."""

from __future__ import annotations

import enum
import functools
import inspect
import json
import sys
import typing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import BaseModel, Field, RootModel

from dsnb.errors import RequestError
from dsnb.tools import Tool, Toolbox, tool

if TYPE_CHECKING:
    from decimal import Decimal


@tool
def get_price(symbol: str, /, day: str = "today", *, exact: bool = False) -> str:
    """Return the price of a share.

    Args:
        symbol: The ticker.
        day: ISO date.
    """
    return f"{symbol} {day} {exact}"


def call(tool: Tool, **arguments: Any) -> Any:
    return tool.prepare(json.dumps(arguments))()


def properties(tool: Tool) -> dict[str, Any]:
    return tool.parameters["properties"]


def test_a_tool_is_still_its_function():
    assert get_price("DS") == "DS today False"
    assert get_price.__name__ == "get_price"
    assert get_price.__doc__.startswith("Return the price")
    assert list(inspect.signature(get_price).parameters) == ["symbol", "day", "exact"]


def test_it_tells_itself_in_one_line():
    shown = "<Tool get_price(symbol: str, day: str = 'today', exact: bool = False) · not strict>"
    assert repr(get_price) == shown
    assert repr(tool(lambda a: a, name="same")) == "<Tool same(a) · not strict>"


def test_it_is_told_as_the_api_wants_it():
    @tool
    def add(a: int, b: Annotated[int, "the other"]) -> int:
        """Add.

        :param a: one
        """
        return a + b

    assert add.schema == {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Add.",
            "parameters": {
                "type": "object",
                "properties": {
                    "a": {"type": "integer", "description": "one"},
                    "b": {"type": "integer", "description": "the other"},
                },
                "required": ["a", "b"],
                "additionalProperties": False,
            },
            "strict": True,
        },
    }
    assert list(add.schema["function"]) == ["name", "description", "parameters", "strict"]
    assert call(add, a=1, b=2) == 3


def test_name_and_description_can_be_given():
    renamed = tool(name="price-2", description="Say it.")(get_price.function)
    assert (renamed.name, renamed.description) == ("price-2", "Say it.")
    assert properties(renamed)["symbol"]["description"] == "The ticker."
    assert "description" not in tool(lambda a: a, name="f").schema["function"]


def test_a_hint_s_own_description_wins():
    @tool
    def f(a: Annotated[str, Field(description="hint")], b: str = Field("x", description="default")) -> str:
        """Do.

        Args:
            a: docstring
            b: docstring
        """
        return a + b

    assert [node["description"] for node in properties(f).values()] == ["hint", "default"]
    assert call(f, a="1") == "1x"


@pytest.mark.parametrize("name", ["", "two words", "naïve", "x" * 129, "a.b", "a\n"])
def test_names_that_the_api_refuses_are_refused(name):
    with pytest.raises(RequestError, match="cannot be a tool's name"):
        tool(lambda a: a, name=name)


def test_a_lambda_needs_a_name():
    with pytest.raises(RequestError, match=r"<lambda>.*name="):
        tool(lambda a: a)


@pytest.mark.parametrize("thing", [5, "text", None.__class__() or [], classmethod(len)])
def test_what_cannot_be_called_is_refused(thing):
    with pytest.raises(RequestError, match="a function or a pydantic model"):
        Tool(thing)


def test_arguments_without_names_are_refused():
    def spread(*items: int): ...

    def swallow(**options: int): ...

    with pytest.raises(RequestError, match=r"spread takes `\*items: 'int'`|spread takes `\*items: int`"):
        tool(spread)
    with pytest.raises(RequestError, match="swallow takes `\\*\\*options"):
        tool(swallow)


def test_a_decorated_function_is_seen_through():
    def decorated(function):
        @functools.wraps(function)
        def inner(*args, **kwargs):
            return function(*args, **kwargs) * 2

        return inner

    @tool
    @decorated
    def double(a: int) -> int:
        """Double."""
        return a

    assert double.description == "Double."
    assert double.strict
    assert call(double, a=4) == 8


def test_what_json_cannot_hold_is_named():
    class Engine: ...

    def f(a: int, engine: Engine): ...

    with pytest.raises(RequestError, match=r"f cannot take `engine: .*Engine` out of JSON"):
        tool(f)


def test_hints_for_type_checkers_only_are_named():
    def f(amount: Decimal): ...

    with pytest.raises(RequestError, match=r"`amount: Decimal` of f cannot be read: name 'Decimal' is not defined"):
        tool(f)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic takes both there")
def test_a_typed_dict_that_pydantic_cannot_read_says_which_it_can():
    Song = typing.TypedDict("Song", {"title": str})  # noqa: UP013 — for `typing.`

    def f(song: Song): ...

    with pytest.raises(RequestError, match=r"`song: .*Song` out of JSON \(Please use `typing_extensions.TypedDict`"):
        tool(f)


def test_a_builtin_without_signature_is_refused():
    with pytest.raises(RequestError, match="signature of max cannot be read"):
        tool(max)


def test_hints_may_name_what_is_local():
    class Kind(enum.Enum):
        A = "a"

    def make():
        @dataclass
        class Inner:
            kind: Kind

        @tool
        def f(inner: Inner, kinds: list[Kind]) -> str:
            return f"{inner.kind.value}{len(kinds)}"

        return f

    assert call(make(), inner={"kind": "a"}, kinds=["a", "a"]) == "a2"


def test_an_undefined_return_type_does_not_matter():
    def f(a: int) -> Nowhere: ...  # noqa: F821 — that is the point

    assert tool(f).strict


def test_defaults_are_the_function_s_own():
    nothing = object()

    @tool
    def f(a: int, rest: Any = nothing, items: list[int] = []):  # noqa: B006 — it is handed on, not copied
        return rest is nothing, items is f.function.__defaults__[1]

    assert call(f, a=1) == (True, True)
    assert "default" not in properties(f)["rest"]


def test_parameters_by_position_only_and_names_that_pydantic_uses():
    @tool
    def f(a: int, b: int = 2, c: int = 3, /, json: str = "j", model_config: str = "m", _x: int = 0):
        return a, b, c, json, model_config, _x

    assert call(f, a=1, c=5, json="k", _x=9) == (1, 2, 5, "k", "m", 9)


def test_methods_know_their_object():
    class Shop:
        def __init__(self, factor: int):
            self.factor = factor

        @tool
        def price(self, of: int) -> int:
            """Say it."""
            return of * self.factor

        @staticmethod
        @tool
        def fixed(of: int) -> int:
            return of

        def plain(self, of: int) -> int:
            return -of * self.factor

    shop = Shop(3)
    assert shop.price(2) == 6
    assert list(properties(shop.price)) == ["of"]
    assert call(shop.price, of=5) == 15
    assert call(shop.fixed, of=5) == 5
    assert call(tool(shop.plain), of=5) == -15
    with pytest.raises(RequestError, match="method without its object"):
        Toolbox([Shop.price])
    assert Toolbox([shop.price, shop.plain, shop.fixed]).strict


def test_partials_hide_what_they_fix():
    def power(base: int, exponent: int, label: str) -> str:
        """Raise."""
        return f"{label}{base**exponent}"

    squared = tool(functools.partial(power, exponent=2))
    assert (squared.name, squared.description) == ("power", "Raise.")
    assert list(properties(squared)) == ["base", "label"]
    assert squared.strict
    assert call(squared, base=3, label="=") == "=9"
    assert call(tool(functools.partial(power, 2)), exponent=3, label="") == "8"


def test_callable_objects_are_tools():
    class Adder:
        """Add to a base."""

        def __call__(self, a: int) -> int:
            return a + 1

    assert tool(Adder()).name == "Adder"
    assert tool(Adder()).description == "Add to a base."
    assert call(tool(Adder()), a=1) == 2


def test_classes_that_describe_themselves_are_tools():
    class Order(BaseModel):
        """Place an order.

        Attributes:
            symbol: The ticker.
        """

        symbol: str
        count: Annotated[int, Field(gt=0)]

    @dataclass
    class Spot:
        x: float
        y: float = field(default=0.0)

    order = tool(Order)
    assert order.schema["function"]["description"] == "Place an order."
    assert properties(order)["symbol"] == {"type": "string", "description": "The ticker."}
    assert order.strict
    assert call(order, symbol="DS", count=2) == Order(symbol="DS", count=2) == order(symbol="DS", count=2)
    assert tool(Spot).description == ""
    assert call(tool(Spot), x=1) == Spot(1.0, 0.0)
    assert not tool(Spot).strict
    assert repr(order) == "<Tool Order(symbol, count) · strict>"


def test_a_model_that_holds_itself_is_an_object_at_its_root():
    class Node(BaseModel):
        value: int
        below: list[Node]

    assert tool(Node).strict
    assert tool(Node).parameters["type"] == "object"
    assert call(tool(Node), value=1, below=[]).value == 1


def test_a_root_model_has_no_fields():
    class Items(RootModel[list[int]]): ...

    with pytest.raises(RequestError, match="no fields but a root"):
        tool(Items)


def test_a_tool_of_a_tool_is_the_same_tool():
    assert tool(tool(get_price)).schema == get_price.schema
    assert call(tool(get_price), symbol="A") == "A today False"


def test_the_usage_line_names_each_parameter():
    assert get_price.usage == '{"symbol": string, "day": string (may be left out), "exact": boolean (may be left out)}'
