"""The dated catalogue: which model names the API knew at an instant, and under which rules.

The rows stand in ``data/models.toml`` and ``data/wire.toml``; a new model is a new row there and no code here.
``at`` turns an instant into a `Contract`; nothing else in the contract takes a date.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cache
from types import MappingProxyType
from typing import Any

from dsnb.contract import calendar as calendars
from dsnb.contract import prices
from dsnb.contract.calendar import Calendar, utc
from dsnb.contract.data import read
from dsnb.contract.prices import Price
from dsnb.errors import ConfigurationError, RetiredModel, UnknownModel

_Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CacheRule:
    """Describe the prefix cache of one generation; units in tokens, times in seconds.

    With ``whole_units_at_ends`` only a prefix that ends where a request or its answer ended, rounded down to the
    unit, can be hit; without it any whole number of units can. Nothing shorter than ``minimum`` is ever hit.
    """

    unit: int
    whole_units_at_ends: bool
    minimum: int
    build_seconds: float
    expiry_seconds: float
    source: str
    confidence: str


@dataclass(frozen=True, slots=True)
class ParameterRule:
    """Say what one request parameter may be, and when it is without effect or refused.

    ``ignored_when`` and ``rejected_when`` are ``"never"``, ``"always"``, ``"thinking"`` or ``"chat"``; where
    ``rejected_values`` is not empty only those are refused. Values below ``raised_to`` count as it; ``max_items``
    bounds a list and ``max_length`` a text; ``needs`` names a parameter that must be true as well; ``message`` is the
    key of the API's error body.
    """

    name: str
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: bool = False
    exclusive_maximum: bool = False
    max_items: int | None = None
    max_length: int | None = None
    raised_to: float | None = None
    needs: str | None = None
    ignored_when: str = "never"
    rejected_when: str = "never"
    rejected_values: tuple[str, ...] = ()
    message: str | None = None
    source: str = ""
    confidence: str = ""


@dataclass(frozen=True, slots=True)
class Generation:
    """Describe what decides how a conversation becomes a prompt.

    ``template`` names the prompt renderer. ``reasoning`` says what becomes of ``reasoning_content`` in the history:
    ``"ignore"`` (dropped), ``"reject"`` (400), ``"tool_loop"`` (required inside a tool loop, else dropped) or
    ``"whole"`` (send every assistant message back as it came).
    """

    name: str
    template: str
    reasoning: str
    cache: CacheRule
    source: str
    confidence: str


@dataclass(frozen=True, slots=True, repr=False)
class Model:
    """Describe a model name as it is served at one instant.

    ``served`` is what the reply's ``model`` says, ``build`` the weights behind it, ``title`` its display name.
    ``thinking`` is ``"never"``, ``"always"`` or ``"switch"``; without ``thinking_with_tools`` a request with tools is
    answered without thinking. ``efforts`` maps every accepted spelling to ``none``, ``low``, ``high`` or ``max`` and
    is empty where there is no such parameter; the levels in ``effort_text`` put the effort text into the prompt.
    ``default_max_tokens`` has the keys ``chat``, ``thinking`` and ``max`` (effort); ``max_reasoning`` is a reasoning
    budget on top of ``max_tokens`` (R1 only). ``tools_newline`` puts a blank line before a tool block without system
    text. ``rates`` is the key of its price rows. Limits are in tokens, ``concurrency`` in requests at once an account.
    ``since`` and ``until`` bound the row that the model comes from.
    """

    name: str
    served: str
    build: str
    title: str
    generation: Generation
    thinking: str
    thinking_default: bool
    thinking_with_tools: bool
    efforts: Mapping[str, str] = field(hash=False)
    effort_default: str | None
    effort_text: frozenset[str]
    context_window: int
    max_output: int
    max_reasoning: int | None
    default_max_tokens: Mapping[str, int] = field(hash=False)
    concurrency: int | None
    fingerprint: str
    rates: str
    inputs: tuple[str, ...]
    listed: bool
    tools_newline: bool
    parameters: Mapping[str, ParameterRule] = field(hash=False)
    since: datetime
    until: datetime | None
    source: str
    confidence: str

    def __repr__(self) -> str:
        alias = "" if self.served == self.name else f", comes back as {self.served}"
        return f"<Model {self.name}: {self.build}{alias}>"


@dataclass(frozen=True, slots=True)
class Wire:
    """Describe the shapes on the wire at one instant.

    ``usage_details``: usage has ``prompt_tokens_details``. ``tool_call_ids``: ``"indexed-uuid"`` or
    ``"indexed-alnum"``. ``shape_error_status`` answers a body of the wrong shape, ``enum_error_status`` an unknown
    word in ``thinking`` or ``reasoning_effort``. ``unknown_model_message`` has the place ``{model}``.
    ``context_limit`` is the number that the overflow message names. ``queue_seconds``: how long keep-alives go on
    before the server closes. ``models_detailed``: the rows of ``GET /models`` describe the model.
    ``tool_name_length`` and ``tools_count`` bound the tools of a request (None: no bound is known).
    """

    usage_details: bool
    tool_call_ids: str
    shape_error_status: int
    shape_error_content_type: str
    enum_error_status: int
    unknown_model_message: str
    context_limit: int
    queue_seconds: int
    models_detailed: bool
    tool_name_length: int
    tools_count: int | None


@dataclass(frozen=True, slots=True, repr=False)
class Contract:
    """Hold what the API promises at one instant; ``at`` makes it."""

    instant: datetime
    models: tuple[Model, ...]
    wire: Wire
    calendar: Calendar

    @property
    def listed(self) -> tuple[Model, ...]:
        """Return the models that ``GET /models`` shows, in its order."""
        return tuple(model for model in self.models if model.listed)

    def __repr__(self) -> str:
        names = ", ".join(model.name for model in self.models)
        return f"<Contract of {self.instant:%Y-%m-%d %H:%M} UTC: {names}>"

    def model(self, name: str) -> Model:
        """Return the model that answers to ``name``.

        Raises `UnknownModel`; for a name that was switched off `RetiredModel`, which carries the replacement.
        """
        for model in self.models:
            if model.name == name:
                return model
        raise self._unknown(name)

    def price(self, model: Model | str, *, peak: bool | None = None) -> Price:
        """Return the price of ``model`` at this instant, or what it would be with ``peak`` true or false."""
        found = self.model(model) if isinstance(model, str) else model
        return prices.price(
            found.rates, self.instant, peak=self.calendar.is_peak(self.instant) if peak is None else peak
        )

    def _unknown(self, name: object) -> UnknownModel:
        retired = _begun(read("models.toml")["retired"], name, self.instant)
        if retired:
            off, now = f"{utc(retired[0]['since']):%Y-%m-%d %H:%M} UTC", retired[-1]
            message = f"{name!r} was switched off on {off}: ask for {now['replacement']!r}"
            message += f" with thinking {'on' if now['thinking'] else 'off'}."
            return RetiredModel(message, model=str(name), replacement=now["replacement"], thinking=now["thinking"])
        names = [model.name for model in self.models]
        near = difflib.get_close_matches(str(name), names, n=1) or [model.name for model in self.listed]
        ask = " or ".join(map(repr, near))
        later = [utc(row["since"]) for row in _served().get(str(name), ())]
        if later:
            message = f"{name!r} came on {min(later):%Y-%m-%d}, and this is the API of {self.instant:%Y-%m-%d}"
        else:
            message = f"{name!r} is not a model of the DeepSeek API on {self.instant:%Y-%m-%d}"
        return UnknownModel(f"{message}: ask for {ask}.", model=str(name))


def at(instant: datetime | date | str) -> Contract:
    """Return the contract in force at ``instant``.

    Takes an aware datetime, a naive one or a date (both read as UTC), or ISO text of any of these. Raises
    `ConfigurationError` for anything else, and for a time before the first row (2024-12-26, V3).
    """
    moment = utc(instant)
    models = tuple(model for name in _served() if (model := _model_at(name, moment)))
    if not models:
        first = min(utc(row["since"]) for rows in _served().values() for row in rows)
        message = f"the catalogue begins on {first:%Y-%m-%d}: choose a later time than {moment:%Y-%m-%d %H:%M} UTC."
        raise ConfigurationError(message)
    return Contract(moment, models, _wire_at(moment), calendars.calendar())


def _begun(rows: Iterable[_Row], name: object, instant: datetime) -> list[_Row]:
    """Return the rows about ``name`` that have begun, oldest first."""
    begun = [row for row in rows if name in row["names"] and utc(row["since"]) <= instant]
    return sorted(begun, key=lambda row: utc(row["since"]))


def _wire_at(instant: datetime) -> Wire:
    return _wire(sum(utc(row["since"]) <= instant for row in read("wire.toml")["change"]))


@cache
def _wire(changes: int) -> Wire:
    """Return the shapes after the first ``changes`` rows."""
    fields: dict[str, Any] = {}
    for row in read("wire.toml")["change"][:changes]:
        fields |= _changed(row)
    return Wire(**fields | {"tools_count": fields["tools_count"] or None})


@cache
def _served() -> Mapping[str, list[_Row]]:
    """Return the rows of each name, oldest first, names in the order of the file (which is that of ``GET /models``)."""
    rows: dict[str, list[_Row]] = {}
    for row in read("models.toml")["served"]:
        rows.setdefault(row["name"], []).append(row)
    return rows


def _model_at(name: str, instant: datetime) -> Model | None:
    begun = sum(utc(row["since"]) <= instant for row in _served()[name])
    if not begun:
        return None
    model = _model(name, begun, len(_begun(read("models.toml")["change"], name, instant)))
    return model if model.until is None or instant < model.until else None


_DEFAULTS: _Row = {
    "thinking_with_tools": True,
    "efforts": None,
    "effort_default": None,
    "effort_text": (),
    "max_reasoning": None,
    "concurrency": None,
    "inputs": ("text",),
    "listed": True,
    "tools_newline": False,
}


@cache
def _model(name: str, rows: int, changes: int) -> Model:
    """Return ``name`` by its last of ``rows`` rows, after its first ``changes`` changes."""
    data, row = read("models.toml"), _served()[name][rows - 1]
    since, end = utc(row["since"]), row.get("until") or next((r["since"] for r in _served()[name][rows:]), None)
    changed = sorted((c for c in data["change"] if name in c["names"]), key=lambda c: utc(c["since"]))[:changes]
    # The row overrides the changes before it, and the changes since then override the row.
    before = [_changed(change) for change in changed if utc(change["since"]) < since]
    after = [_changed(change) for change in changed if utc(change["since"]) >= since]
    fields: dict[str, Any] = {"served": name, "title": row["build"], **_DEFAULTS}
    for layer in (*before, _inherited(data["profiles"], row["profile"]), row, *after):
        fields |= layer
    del fields["profile"]
    generation = _generation(data["builds"][row["build"]])
    if "reasoning" in fields:
        generation = replace(generation, reasoning=fields.pop("reasoning"))
    return Model(
        **fields
        | {
            "generation": generation,
            "efforts": MappingProxyType(data["efforts"][fields["efforts"]] if fields["efforts"] else {}),
            "effort_text": frozenset(fields["effort_text"]),
            "default_max_tokens": MappingProxyType(fields["default_max_tokens"]),
            "rates": fields.get("rates", fields["served"]),
            "inputs": tuple(fields["inputs"]),
            "parameters": MappingProxyType(_parameters(fields)),
            "since": since,
            "until": end and utc(end),
        }
    )


def _changed(row: _Row) -> dict[str, Any]:
    """Return what a change row sets, without what it says about itself."""
    return {key: value for key, value in row.items() if key not in ("names", "since", "source", "confidence")}


@cache
def _generation(name: str) -> Generation:
    data = read("models.toml")
    row = data["generations"][name]
    return Generation(**row | {"name": name, "cache": CacheRule(**data["caches"][row["cache"]])})


def _inherited(tables: _Row, name: str) -> dict[str, Any]:
    """Return the table ``name`` over all that it inherits."""
    table = dict(tables[name])
    parent = table.pop("inherits", None)
    return _inherited(tables, parent) | table if parent else table


def _parameters(fields: _Row) -> dict[str, ParameterRule]:
    rules = {}
    for name, rule in _inherited(read("models.toml")["parameters"], fields["parameters"]).items():
        # A bound that is a word is the model's own limit of that name.
        limits = {
            key: fields[value] for key, value in rule.items() if key in ("minimum", "maximum") and value in fields
        }
        values = {"rejected_values": tuple(rule.get("rejected_values", ()))}
        rules[name] = ParameterRule(name=name, **rule | limits | values)
    return rules
