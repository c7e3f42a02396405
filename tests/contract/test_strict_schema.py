"""Which schemas strict tools may have on the beta route."""

import pytest

from dsnb.contract import at
from dsnb.contract.requests import check

NOW = at("2026-11-01")
EMPTY = "An object with no properties is not allowed."
TYPES = "`object`, `string`, `number`, `integer`, `boolean`, `array`, `null`"
FORMATS = "`email`, `hostname`, `ipv4`, `ipv6`, `uuid`"


def thing(**properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def tool(schema, name="f", strict=True):
    function = {"name": name, "strict": strict, "parameters": schema}
    return {"type": "function", "function": {key: value for key, value in function.items() if value is not None}}


def findings(*tools, beta=True):
    body = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "x"}], "tools": list(tools)}
    return [finding for finding in check(body, NOW, beta=beta) if finding.effect != "billed"]


def refusals(schema):
    return [finding.message for finding in findings(tool(schema)) if finding.effect == "rejected"]


TEXT = {"type": "string"}


@pytest.mark.parametrize(
    "schema",
    [
        thing(a=TEXT),
        thing(a={"type": "string", "pattern": "^x", "format": "email"}, b={"type": "string", "enum": ["x", "y"]}),
        thing(a={"type": "number", "const": 1, "default": 1, "minimum": 0, "maximum": 2, "multipleOf": 1}),
        thing(a={"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 5}, b={"type": "boolean"}),
        thing(a={"type": "array", "items": thing(b=TEXT)}),
        thing(a={"anyOf": [TEXT, {"type": "null"}]}),
        thing(a={"type": ["string", "null"]}),
        thing(a={"$ref": "#/$defs/node"}) | {"$defs": {"node": thing(next={"$ref": "#/$defs/node"}, value=TEXT)}},
        thing(**{f: {"type": "string", "format": f} for f in ("email", "hostname", "ipv4", "ipv6", "uuid")}),
    ],
)
def test_the_subset_passes(schema):
    assert refusals(schema) == []


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (thing(), EMPTY),
        ({"type": "object"}, EMPTY),
        (thing(a={"type": "object", "additionalProperties": True}), EMPTY),
        (thing(a={}), "Invalid tool parameters schema : one of `type`, `anyOf`, `$ref` field is required"),
        (thing(a={"enum": ["x"]}), "Invalid tool parameters schema : one of `type`, `anyOf`, `$ref` field is required"),
        (
            thing(a={"anyOf": [{"$ref": "#/$defs/x"}, {"type": "null"}]}) | {"$defs": {"x": TEXT}},
            "Invalid tool parameters schema : field `anyOf`: missing field `type`",
        ),
        (
            thing(a={"anyOf": [{"anyOf": [TEXT, {"type": "integer"}]}, {"type": "null"}]}),
            "Invalid tool parameters schema : field `anyOf`: field `anyOf`: missing field `type`",
        ),
        (
            thing(a={"anyOf": [thing(kind={"const": "x"})]}),
            "Invalid tool parameters schema : field `anyOf`: one of `type`, `anyOf`, `$ref` field is required",
        ),
        (
            thing(a=TEXT) | {"additionalProperties": TEXT},
            "Invalid tool parameters schema : invalid type: map, expected a boolean",
        ),
        (
            thing(a=TEXT, b=TEXT) | {"required": ["a"]},
            "Invalid tool parameters schema : all properties must be required, missing `b`",
        ),
        (thing(a={"type": "array"}), "Invalid tool parameters schema : missing field `items`"),
        (
            thing(a={"type": "date"}),
            f"Invalid tool parameters schema : unknown variant `date`, expected one of {TYPES}",
        ),
        (
            thing(a={"type": "string", "format": "date-time"}),
            f"Invalid tool parameters schema : unknown variant `date-time`, expected one of {FORMATS}",
        ),
        (thing(a=5), "Invalid tool parameters schema : invalid type, expected a schema"),
    ],
)
def test_what_is_outside_is_refused(schema, message):
    assert refusals(schema) == [message]


def test_a_refusal_says_where_and_what_to_do():
    finding = findings(tool(thing(a={"type": "array", "items": thing(b=TEXT, c=TEXT) | {"required": ["b"]}})))[0]
    assert finding.where == "tools[0].function.parameters.properties.a.items"
    assert finding.rule == "tools.strict_schema"
    assert "`required`" in finding.mend
    assert finding.error.status == 400


def test_strict_is_for_all_functions_or_none():
    mixed = findings(tool(thing(a=TEXT)), tool(thing(a=TEXT), "g", strict=None))
    assert [(finding.rule, finding.where) for finding in mixed] == [("tools.strict_mixed", "tools[1].function.strict")]
    assert findings(tool(thing(), strict=None), tool(thing(), "g", strict=False)) == []


def test_what_the_guide_forbids_and_the_api_takes_is_only_remarked():
    loose = thing(a={"type": "string", "minLength": 2}, b={"type": "array", "items": TEXT, "maxItems": 3})
    del loose["additionalProperties"]
    found = findings(tool(loose))
    assert {(finding.effect, finding.rule) for finding in found} == {("ignored", "tools.strict_schema")}
    assert [finding.message.partition(" ")[0] for finding in found] == [
        "`additionalProperties`",
        "`minLength`",
        "`maxItems`",
    ]


def test_strict_has_no_effect_off_the_beta_route():
    found = findings(tool(thing(a={})), beta=False)
    assert [(finding.effect, finding.rule) for finding in found] == [("ignored", "tools.strict_route")]


def test_a_deep_schema_is_walked_or_refused():
    schema = TEXT
    for _ in range(100):
        schema = {"type": "array", "items": schema}
    found = findings(tool(thing(a=schema)))
    assert all(finding.effect == "rejected" for finding in found)
