"""Schemas from type hints: valid JSON Schema, within the strict subset where that is claimed, and true to the hint."""

import json
from typing import Annotated

import pytest
from pydantic import BaseModel, Field, create_model

from dsnb.contract import at
from dsnb.contract.requests import check
from dsnb.errors import RequestError
from dsnb.tools import Tool, tool
from tests.tools.shapes import LOOSE, STRICT

NOW = at("2026-11-01")


def made(hint, **options):
    def function(value):
        return value

    function.__annotations__ = {"value": hint}
    return tool(function, **options)


def findings(tool: Tool):
    body = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "x"}], "tools": [tool.schema]}
    return [finding for finding in check(body, NOW, beta=True) if finding.effect != "billed"]


def validator():
    """Return the validator of JSON Schema; importing it takes seconds, which not every process has to spend."""
    from jsonschema import Draft202012Validator

    return Draft202012Validator


def valid(schema, instance) -> bool:
    return validator()(schema).is_valid(instance)


def test_there_are_forty_shapes_and_more():
    assert len(STRICT) >= 40


@pytest.mark.parametrize("shape", STRICT)
def test_what_strict_mode_can_express_is_strict(shape):
    hint, value = STRICT[shape]
    tool = made(hint)
    assert (tool.strict, tool.loose) == (True, None)
    assert tool.schema["function"]["strict"] is True
    validator().check_schema(tool.parameters)
    assert findings(tool) == []  # neither refused nor without effect
    assert valid(tool.parameters, {"value": value})
    tool.prepare(json.dumps({"value": value}))()


@pytest.mark.parametrize("shape", LOOSE)
def test_what_it_cannot_express_says_so_and_names_the_parameter(shape):
    hint, word = LOOSE[shape]
    tool = made(hint)
    assert tool.strict is False
    assert "strict" not in tool.schema["function"]
    assert "`value" in tool.loose or "`Chain.rest" in tool.loose
    assert word in tool.loose
    validator().check_schema(tool.parameters)
    assert findings(tool) == []
    with pytest.raises(RequestError) as caught:
        made(hint, strict=True)
    assert tool.loose in str(caught.value)


@pytest.mark.parametrize("shape", [*STRICT, *LOOSE])
def test_strict_false_is_never_strict(shape):
    tool = made((STRICT | LOOSE)[shape][0], strict=False)
    assert "strict" not in tool.schema["function"]
    assert tool.loose == "It was made with strict=False."
    validator().check_schema(tool.parameters)


def test_constraints_without_a_keyword_are_told_in_words():
    def words(hint):
        return made(hint).parameters["properties"]["value"].get("description")

    assert words(STRICT["bounded text"][0]) == "2 to 5 characters"
    assert words(STRICT["bounded list"][0]) == "1 to 3 items"
    assert words(Annotated[str, Field(min_length=1)]) == "at least 1 character"
    assert words(STRICT["set"][0]) == "no item twice"
    assert words(STRICT["tuple"][0]) == "exactly 2 items; in this order: integer, string"
    assert words(STRICT["even tuple"][0]) == "exactly 2 items"
    assert words(STRICT["date"][0]) == "a date such as 2026-11-01"
    assert words(STRICT["described"][0]) == 'The ticker. (for example "DS")'
    assert words(STRICT["uuid"][0]) is None
    assert made(STRICT["uuid"][0]).parameters["properties"]["value"] == {"type": "string", "format": "uuid"}


def test_keywords_that_the_server_enforces_stay():
    node = made(STRICT["bounded number"][0]).parameters["properties"]["value"]
    assert node == {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "multipleOf": 0.5}
    assert made(STRICT["bounded text"][0]).parameters["properties"]["value"]["pattern"] == "^[a-z]+$"


def test_a_pattern_that_not_every_engine_reads_is_told_in_words():
    class Word(BaseModel):
        text: str = Field(json_schema_extra={"pattern": "^(?!x)"})

    field = made(Word).parameters["properties"]["value"]["properties"]["text"]
    assert field == {"type": "string", "description": "matches ^(?!x)"}


def test_a_choice_has_a_type_and_a_mixed_one_has_several():
    def node(shape):
        return made(STRICT[shape][0]).parameters["properties"]["value"]

    assert node("one literal") == {"type": "string", "enum": ["a"]}
    assert node("enum") == {"type": "string", "enum": ["red", "blue"]}
    assert node("mixed literal") == {
        "anyOf": [
            {"type": "string", "enum": ["a"]},
            {"type": "integer", "enum": [1]},
            {"type": "boolean", "enum": [True]},
        ]
    }
    assert [branch["type"] for branch in node("union in a union")["anyOf"]] == ["integer", "string", "boolean"]


def test_definitions_stay_only_where_a_type_holds_itself():
    tree = made(STRICT["recursion"][0]).parameters
    assert tree["properties"]["value"] == {"$ref": "#/$defs/Tree"}
    assert tree["$defs"]["Tree"]["properties"]["branches"]["items"] == {"$ref": "#/$defs/Tree"}
    assert "$defs" not in made(STRICT["model"][0]).parameters
    assert "$ref" not in json.dumps(made(STRICT["discriminated union"][0]).parameters)


def test_a_property_named_title_is_no_title():
    song = made(STRICT["typed dict"][0]).parameters["properties"]["value"]
    assert list(song["properties"]) == ["title", "year"]
    assert song["properties"]["title"] == {"type": "string"}


def test_types_that_grow_when_written_out_are_refused_for_strict_mode():
    kind = int
    for level in range(12):
        fields = {"left": (kind | str, ...), "right": (kind | str, ...)}
        kind = create_model(f"Level{level}", **fields)
    tool = made(kind)
    assert "more than 2,000 places" in tool.loose
    validator().check_schema(tool.parameters)


def test_every_place_of_an_objection_is_named_once():
    class Filter(BaseModel):
        tag: str = ""
        deep: list[dict]

    def search(query: str, where: Filter, limit: int = 10, after: str = ""): ...

    assert tool(search).loose == (
        "`limit`, `after`, `where.tag` may be left out, and strict mode wants every parameter. "
        "Without a default the model always gives it. "
        "`where.deep[]` is a dict, and strict mode wants its keys named. "
        "Name them in a dataclass, a TypedDict or a pydantic model."
    )


def test_without_parameters_there_is_nothing_to_enforce():
    def now(): ...

    assert "has no parameters" in tool(now).loose
    assert tool(now).parameters["properties"] == {}
    validator().check_schema(tool(now).parameters)
