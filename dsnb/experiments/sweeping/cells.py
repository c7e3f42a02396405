"""What a sweep runs: the cells of a grid, each known by its values and by nothing else."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from dsnb.errors import ConfigurationError

_ATOMS: Final = (str, int, float, type(None))  # bool is an int


@dataclass(frozen=True, slots=True)
class Cell:
    """Hold what one call of the function is given; ``key`` is the same text for the same values, wherever it is made.

    ``repeat`` counts from 1.
    """

    values: Mapping[str, Any]
    key: str
    repeat: int

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.values.items())
        return shown if len(shown) <= 120 else f"{shown[:119]}…"


def canonical(value: object) -> str:
    """Return JSON that is equal for equal values only: keys in order, ASCII, and 1, 1.0, True and "1" four things.

    Raises ConfigurationError for what JSON cannot hold.
    """
    try:
        return json.dumps(_plain(value), sort_keys=True, allow_nan=False, separators=(",", ":"))
    except RecursionError:
        raise ConfigurationError("A cell's value contains itself, or is nested too deeply.") from None
    except ValueError:
        raise ConfigurationError(
            "NaN and infinity are no values of a cell: they are not equal to themselves."
        ) from None


def cells(
    grid: Mapping[str, Iterable[Any]] | Iterable[Mapping[str, Any]],
    *,
    repeats: int = 1,
    order: Callable[[Mapping[str, Any]], Any] | None = None,
    taken: Iterable[str] = (),
) -> list[Cell]:
    """Return the cells of a grid in the order in which they are to run; ``taken`` are names that they may not have.

    A mapping is multiplied out, the first names varying slowest, so that cells which share a prefix are neighbours;
    listed cells keep their order. ``order`` sorts either. Repeats of a cell follow one another. Raises
    ConfigurationError for what is no grid, is empty, or names a cell twice.
    """
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
        raise ConfigurationError(f"repeats={repeats!r}: give a whole number from 1 up.")
    rows = list(_product(grid) if isinstance(grid, Mapping) else _listed(grid))
    if not rows:
        raise ConfigurationError("The grid is empty: give each name at least one value, or at least one cell.")
    if order is not None:
        rows.sort(key=order)
    reserved, seen = frozenset(taken), set()
    found: list[Cell] = []
    for values in rows:
        key = _key(values, reserved)
        if key in seen:
            raise ConfigurationError(
                f"The grid has the cell {key} twice. Leave one out; repeats=2 is how to run every cell twice."
            )
        seen.add(key)
        found += (Cell(values, key, repeat) for repeat in range(1, repeats + 1))
    return found


def _product(grid: Mapping[str, Iterable[Any]]) -> Iterator[dict[str, Any]]:
    axes = []
    for name, values in grid.items():
        if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
            raise ConfigurationError(
                f"The grid gives {name!r} one value instead of a list of values: write {{{name!r}: [{values!r}]}}."
            )
        axes.append(list(values))
    if axes:
        for combination in product(*axes):
            yield dict(zip(grid, combination, strict=True))


def _listed(grid: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    told = "A grid is a dict of lists, which are multiplied out, or a list of cells, each a dict"
    if not isinstance(grid, Iterable):
        raise ConfigurationError(f"{told}; this is {type(grid).__name__}.")
    for cell in grid:
        if not isinstance(cell, Mapping):
            raise ConfigurationError(f"{told}; among these is {type(cell).__name__}.")
        yield dict(cell)


def _key(values: Mapping[str, Any], taken: frozenset[str]) -> str:
    for name, value in values.items():
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"Cells have names for their values; {name!r} is none.")
        if name in taken:
            raise ConfigurationError(f"A sweep has a column {name!r} of its own: give that value another name.")
        try:
            canonical(value)
        except ConfigurationError as error:
            raise ConfigurationError(f"The value of {name!r} cannot be kept: {error}") from None
    return canonical(values)


def _plain(value: Any) -> Any:
    if isinstance(value, _ATOMS):
        return value
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise ConfigurationError(f"JSON has texts as keys, and {name!r} is none.")
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):  # a number of NumPy's
        return _plain(value.item())
    what = "a function" if inspect.isroutine(value) else f"of type {type(value).__name__}"
    raise ConfigurationError(
        f"it is {what}, and cells are texts, numbers, booleans, None, lists and dicts. "
        "Give a name or a number instead, and look the rest up in the function."
    )
