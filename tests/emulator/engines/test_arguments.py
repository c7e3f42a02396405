"""Arguments satisfy the schema, whatever the schema and the message, and take their values from the message."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsnb.emulator.engines.arguments import arguments
from dsnb.emulator.engines.mentions import Mentions, enumeration
from dsnb.emulator.engines.pattern import sample


def fill(message, required=None, **properties):
    schema = {"type": "object", "properties": properties}
    schema["required"] = list(properties) if required is None else required
    return arguments(schema, Mentions(message))


S, I, N, B = ({"type": kind} for kind in ("string", "integer", "number", "boolean"))  # noqa: E741 — short on purpose


@pytest.mark.parametrize(
    ("message", "properties", "expected"),
    [
        (
            'task "Review PR" with status "pending"',
            {"task": S, "status": S},
            {"task": "Review PR", "status": "pending"},
        ),
        ("set volume to 11", {"volume": I}, {"volume": 11}),
        ("Berlin (52.5200, 13.4050)", {"latitude": S, "longitude": S}, {"latitude": "52.5200", "longitude": "13.4050"}),
        ("Berlin (52.5200, 13.4050)", {"latitude": N, "longitude": N}, {"latitude": 52.52, "longitude": 13.405}),
        ("from 2025-01-01 to 2025-02-03", {"start": S, "end": S}, {"start": "2025-01-01", "end": "2025-02-03"}),
        (
            "window start 2025-01-01 and end 2025-01-02",
            {"window": {"type": "object", "properties": {"start": S, "end": S}, "required": ["start", "end"]}},
            {"window": {"start": "2025-01-01", "end": "2025-01-02"}},
        ),
        ('tags ["red","blue"] please', {"tags": {"type": "array", "items": S}}, {"tags": ["red", "blue"]}),
        ("numbers 3, 4 and 5.5", {"values": {"type": "array", "items": N}}, {"values": [3, 4, 5.5]}),
        (
            "steps [{name: plan, weight: 1}, {name: verify, weight: 2}]",
            {"steps": {"type": "array", "items": {"type": "object"}}},
            {"steps": [{"name": "plan", "weight": 1}, {"name": "verify", "weight": 2}]},
        ),
        ("critical=true, retries=2", {"critical": B, "retries": I}, {"critical": True, "retries": 2}),
        ("detailed: no", {"detailed": B}, {"detailed": False}),
        ("for project rig-deepseek", {"project": S}, {"project": "rig-deepseek"}),
        ("in celsius please", {"unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}}, {"unit": "celsius"}),
        ("nothing said", {"unit": {"enum": ["celsius", "fahrenheit"]}}, {"unit": "celsius"}),
        ("nothing said", {"unit": {"enum": ["c", "f"], "default": "f"}}, {"unit": "f"}),
        ("write to ann@example.org", {"to": {"type": "string", "format": "email"}}, {"to": "ann@example.org"}),
        (
            "order ORD-123456, quick",
            {"order": {"type": "string", "pattern": "^ORD-[0-9]{6}$"}},
            {"order": "ORD-123456"},
        ),
        ("nothing said", {"order": {"type": "string", "pattern": "^ORD-[0-9]{6}$"}}, {"order": "ORD-000000"}),
        ("5000 of them", {"count": {"type": "integer", "minimum": 1, "maximum": 100}}, {"count": 100}),
        ("nothing said", {"kind": {"const": "fixed"}, "none": {"type": "null"}}, {"kind": "fixed", "none": None}),
        ("Rome", {"place": {"anyOf": [{"type": "null"}, S]}}, {"place": "Rome"}),
        ("7", {"place": {"anyOf": [I, S]}}, {"place": 7}),
        ("1,000,000 dollars", {"amount": I}, {"amount": 1000000}),
        ("Calculate 2 - 5", {"x": N, "y": N}, {"x": 2, "y": 5}),
        ("the weather in Rome", {}, {}),
        ('{"city": "Rome"} for you', {"city": S}, {"city": "Rome"}),
    ],
)
def test_values_come_from_the_message(message, properties, expected):
    assert fill(message, **properties) == expected


def test_what_is_optional_is_given_only_where_it_is_named():
    unit = {"type": "string", "enum": ["celsius", "fahrenheit"]}
    assert fill("weather in Rome", ["city"], city=S, unit=unit, days=I) == {"city": "Rome"}
    assert fill("weather in Rome in fahrenheit, days=3", ["city"], city=S, unit=unit, days=I) == {
        "city": "Rome",
        "unit": "fahrenheit",
        "days": 3,
    }


def test_references_and_recursion():
    node = {
        "type": "object",
        "properties": {"name": S, "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}}},
        "required": ["name", "children"],
    }
    schema = {
        "type": "object",
        "properties": {"root": {"$ref": "#/$defs/Node"}},
        "required": ["root"],
        "$defs": {"Node": node},
    }
    assert arguments(schema, Mentions("root Alpha"))["root"]["name"] == "Alpha"


@pytest.mark.parametrize(
    "schema",
    [
        None,
        True,
        [],
        "x",
        {},
        {"type": "object"},
        {"type": 5},
        {"properties": []},
        {"properties": {"a": True}, "required": 3},
        {"properties": {"a": {"$ref": "#/nowhere"}}},
        {"properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"properties": {"a": {"pattern": "("}}},
        {"required": ["a", 5]},
        {"properties": {"a": {"type": ["null"]}}},
    ],
)
def test_a_schema_that_is_none_gives_an_object(schema):
    assert isinstance(arguments(schema, Mentions("hello 5")), dict)


names = st.sampled_from(["city", "count", "unit", "start_date", "userId", "tags", "flag", "text", "x"])
scalars = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("string")}, optional={"minLength": st.integers(0, 5), "maxLength": st.integers(5, 30)}
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["integer", "number"])},
        optional={"minimum": st.integers(-50, 10), "maximum": st.integers(11, 90)},
    ),
    st.fixed_dictionaries(
        {"type": st.just("integer")}, optional={"exclusiveMinimum": st.integers(-5, 5), "multipleOf": st.integers(1, 7)}
    ),
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.builds(
        lambda words: {"enum": words},
        st.lists(st.one_of(st.text(max_size=5), st.integers(), st.booleans()), min_size=1, max_size=4, unique_by=str),
    ),
    st.builds(lambda word: {"const": word}, st.text(max_size=5)),
    st.builds(
        lambda form: {"type": "string", "format": form}, st.sampled_from(["date", "email", "uuid", "ipv4", "hostname"])
    ),
    st.builds(
        lambda form: {"type": "string", "pattern": form},
        st.sampled_from(["^[A-Z]{3}$", "^a+b?$", r"^\d{2,4}-(x|y)$", "^(foo|bar)[^0-9]$"]),
    ),
    st.builds(lambda kinds: {"type": kinds}, st.sampled_from([["string", "null"], ["null", "integer"]])),
)


def wider(inner):
    objects = st.builds(
        lambda members, some: {
            "type": "object",
            "properties": members,
            "required": [name for name in members if some],
            "additionalProperties": False,
        },
        st.dictionaries(names, inner, max_size=4),
        st.booleans(),
    )
    arrays = st.fixed_dictionaries(
        {"type": st.just("array"), "items": inner},
        optional={"minItems": st.integers(0, 2), "maxItems": st.integers(2, 4)},
    )
    return st.one_of(
        objects, arrays, st.builds(lambda branches: {"anyOf": branches}, st.lists(inner, min_size=1, max_size=3))
    )


schemas = st.dictionaries(names, st.recursive(scalars, wider, max_leaves=8), max_size=4)
messages = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(
            [
                "Paris",
                "count=7",
                "-3.5",
                '"quoted text"',
                "in",
                "unit:",
                "2026-01-02",
                "[1, 2]",
                '{"x": 1}',
                "true",
                "Rome and Oslo",
                "ann@example.org",
                "ABC",
                "é",
                "99999999999999999999",
            ]
        ),
        max_size=8,
    ).map(" ".join),
)


@settings(max_examples=100, deadline=None)
@given(schemas, messages)
@pytest.mark.slow
def test_arguments_satisfy_their_schema(properties, message):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema comes with JupyterLab")
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    jsonschema.validate(arguments(schema, Mentions(message)), schema)


@given(st.text(max_size=200))
def test_reading_a_message_never_fails(message):
    mentions = Mentions(message)
    mentions.pair("key")
    mentions.pair(message)
    mentions.structure(list)
    mentions.structure(dict)
    mentions.word(str.isupper)
    enumeration(message)


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("Paris, Rome and Oslo?", ["Paris", "Rome", "Oslo"]),
        ("New York or Rome", ["New York", "Rome"]),
        ("Paris", []),
        ("this and that", []),
        ('"red" and "blue"', ["red", "blue"]),
    ],
)
def test_enumerations(text, members):
    assert enumeration(text)[1] == members


@pytest.mark.parametrize(
    "pattern",
    [
        "^[A-Z]{2}-[0-9]{4}$",
        r"\d+\.\d+",
        "(a|b)c*",
        "^$",
        r"^\w+@\w+$",
        "[^a]x?",
        "(?:ab){2,3}",
        r"\.\*",
        "a.c",
        "^[a-f0-9]{32}$",
    ],
)
def test_samples_match_their_pattern(pattern):
    assert re.search(pattern, sample(pattern))


@pytest.mark.parametrize("pattern", ["(", "(?=x)y", r"(a)\1(?<!a)", "[", "a{999999999}b", "*", ")"])
def test_a_pattern_beyond_the_reader_gives_nothing_or_a_match(pattern):
    found = sample(pattern)
    assert found is None or re.search(pattern, found)


@given(st.text(alphabet=r"ab\d[]()|*+?{1,2}^$.-", max_size=12))
def test_sampling_never_fails(pattern):
    found = sample(pattern)
    assert found is None or re.search(pattern, found)
