"""Forty shapes of type hints, and whether strict mode can express them."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, Optional, Union

from pydantic import BaseModel, Field
from typing_extensions import TypedDict


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


class Mixed(Enum):
    WORD = "word"
    NUMBER = 7


class Cat(BaseModel):
    """A cat."""

    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    title: str


class Tree(BaseModel):
    value: int
    branches: list[Tree]


class Chain(BaseModel):
    value: int
    rest: Chain | None


class Loose(BaseModel):
    value: int = 0


class Empty(BaseModel):
    pass


@dataclass
class Point:
    x: float
    y: float


class Song(TypedDict):
    title: str
    year: int


class Draft(TypedDict):
    title: str
    year: NotRequired[int]


class Pair(NamedTuple):
    left: int
    right: str


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]

STRICT: dict[str, tuple[Any, Any]] = {  # the hint, and a value of it as a model writes it
    "text": (str, "a"),
    "integer": (int, 1),
    "number": (float, 1.5),
    "flag": (bool, True),
    "list": (list[int], [1, 2]),
    "list of lists": (list[list[str]], [["a"]]),
    "endless tuple": (tuple[int, ...], [1]),
    "tuple": (tuple[int, str], [1, "a"]),
    "even tuple": (tuple[float, float], [1, 2]),
    "named tuple": (Pair, [1, "a"]),
    "set": (set[str], ["a"]),
    "frozen set": (frozenset[int], [1]),
    "literal": (Literal["a", "b"], "b"),
    "one literal": (Literal["a"], "a"),
    "mixed literal": (Literal["a", 1, True], 1),
    "enum": (Color, "red"),
    "integer enum": (Size, 2),
    "mixed enum": (Mixed, 7),
    "union": (int | str, "a"),
    "old union": (Union[int, list[str]], ["a"]),  # noqa: UP007 — people write it
    "union in a union": (Union[int, Annotated[Union[str, bool], Field(description="inner")]], True),  # noqa: UP007
    "union of models": (Cat | Dog, {"kind": "dog", "title": "x"}),
    "discriminated union": (Pet, {"kind": "cat", "lives": 9}),
    "list of a union": (list[Cat | int], [1, {"kind": "cat", "lives": 9}]),
    "model": (Cat, {"kind": "cat", "lives": 9}),
    "dataclass": (Point, {"x": 1, "y": 2}),
    "typed dict": (Song, {"title": "x", "year": 1999}),
    "recursion": (Tree, {"value": 1, "branches": [{"value": 2, "branches": []}]}),
    "list of a recursion": (list[Tree], []),
    "date": (dt.date, "2026-11-01"),
    "instant": (dt.datetime, "2026-11-01T12:30:00Z"),
    "time": (dt.time, "12:30:00"),
    "duration": (dt.timedelta, "PT1H"),
    "uuid": (uuid.UUID, "3f0c1a52-7a6b-4a53-9d80-5a2b8ff0b0a1"),
    "decimal": (Decimal, "1.50"),
    "path": (Path, "a/b"),
    "described": (Annotated[str, Field(description="The ticker.", examples=["DS"])], "DS"),
    "bounded text": (Annotated[str, Field(min_length=2, max_length=5, pattern="^[a-z]+$")], "abc"),
    "bounded number": (Annotated[float, Field(gt=0, le=1, multiple_of=0.5)], 0.5),
    "bounded list": (Annotated[list[int], Field(min_length=1, max_length=3)], [1]),
}

LOOSE: dict[str, tuple[Any, str]] = {  # the hint, and a word of the objection
    "optional": (Optional[int], "null"),  # noqa: UP045 — people write it
    "or none": (str | None, "null"),
    "none": (None, "null"),
    "anything": (Any, "type hint"),
    "dict": (dict, "keys"),
    "dict of numbers": (dict[str, int], "keys"),
    "dict by enum": (dict[Color, int], "keys"),
    "bare list": (list, "type hint"),
    "bare tuple": (tuple, "type hint"),
    "optional field": (Loose, "left out"),
    "not required": (Draft, "left out"),
    "empty model": (Empty, "without fields"),
    "chain": (Chain, "holds itself"),
    "optional model": (Optional[Cat], "null"),  # noqa: UP045
}
