"""JSON output: what is asked, what is understood, and what is told about all the rest."""

import dataclasses
import json
import re
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from dsnb.client.lint import examine
from dsnb.client.output_format import Blanks, JsonOutput
from dsnb.client.reply import Reply
from dsnb.client.request import build
from dsnb.contract import at
from dsnb.errors import InvalidOutput, RequestError, RequestRejected

NOW = at("2026-11-15")


class Item(BaseModel):
    name: str
    price: float = Field(ge=0)


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    day: date


class Tree(BaseModel):
    leaves: list["Tree"] = []


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Row(TypedDict):
    a: int


def _fails(value: int) -> int:
    raise KeyError(value)


def parse(wanted: Any, answer: str, outcome: str = "stop", start: str = "") -> Any:
    return JsonOutput(wanted).parse(Reply(answer=answer, outcome=outcome, start=start))


def refusal(wanted: Any, answer: str, outcome: str = "stop") -> InvalidOutput:
    with pytest.raises(InvalidOutput) as caught:
        parse(wanted, answer, outcome)
    assert caught.value.reply.answer == answer
    assert caught.value.problems
    return caught.value


# ---- what is asked


HI = [{"role": "user", "content": "Hi"}]
WORDS = JsonOutput(Item).instruction


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (HI, [{"role": "system", "content": WORDS}, *HI]),
        ([], [{"role": "system", "content": WORDS}]),
        (
            [{"role": "system", "content": "Be kind."}, *HI],
            [{"role": "system", "content": f"Be kind.\n\n{WORDS}"}, *HI],
        ),
        ([{"role": "system", "content": ""}, *HI], [{"role": "system", "content": WORDS}, *HI]),
        (
            [{"role": "system", "content": [{"type": "text", "text": "Be kind."}]}, *HI],
            [{"role": "system", "content": [{"type": "text", "text": t} for t in ("Be kind.", WORDS)]}, *HI],
        ),
    ],
)
def test_the_instruction_ends_the_system_message(before: Any, after: Any) -> None:
    kept = json.dumps(before)
    output = JsonOutput(Item)
    assert output.instructed(before) == after
    assert output.instructed(after) == after
    assert json.dumps(before) == kept


def test_the_instruction_has_the_schema_and_the_word_that_the_api_insists_on() -> None:
    output = JsonOutput(Item)
    assert output.schema == Item.model_json_schema()
    assert json.loads(WORDS.partition("\n")[2]) == output.schema
    request = build(output.instructed(HI), model="deepseek-flash", json=True)
    assert [note.effect for note in examine(request, NOW)] == ["billed"]


def test_json_alone_leaves_the_messages_to_the_caller() -> None:
    output = JsonOutput(True)
    assert (output.instructed(HI), output.instruction, output.schema) == (HI, "", None)
    with pytest.raises(RequestRejected, match="Say in a message that the answer must be JSON"):
        examine(build(HI, model="deepseek-flash", json=True), NOW)


@pytest.mark.parametrize("wanted", [False, None, "json", {"type": "object"}, 5, object(), Callable])
def test_what_is_no_form_of_answer_is_told(wanted: Any) -> None:
    with pytest.raises(RequestError, match="json="):
        JsonOutput(wanted)


# ---- what is understood


@pytest.mark.parametrize(
    ("wanted", "answer", "value"),
    [
        (True, '{"a": [1, 2.5, null, "é"]}', {"a": [1, 2.5, None, "é"]}),
        (Item, '{"name": "a", "price": 2}', Item(name="a", price=2)),
        (Point, '{"x": 1}', Point(1)),
        (Row, '{"a": 1}', {"a": 1}),
        (Strict, '{"day": "2026-11-15"}', Strict(day=date(2026, 11, 15))),
        (dict[str, int], '{"value": 1}', {"value": 1}),
        (Item | Point, '{"x": 1, "y": 2}', Point(1, 2)),
        (Tree, '{"leaves": [{}]}', Tree(leaves=[Tree()])),
        (list[Item], '{"value": [{"name": "a", "price": 2}]}', [Item(name="a", price=2)]),
        (list[Item], '[{"name": "a", "price": 2}]', [Item(name="a", price=2)]),
        (int, '{"value": 3}', 3),
        (int | None, "null", None),
        (tuple[int, str], '{"value": [1, "a"]}', (1, "a")),
    ],
)
def test_values_are_of_the_type_that_was_asked_for(wanted: Any, answer: str, value: Any) -> None:
    assert parse(wanted, answer) == value
    assert type(parse(wanted, answer)) is type(value)


@pytest.mark.parametrize("wanted", [list[Item], int, Any, Item | None, tuple[int, ...]])
def test_what_is_no_object_is_asked_for_in_one(wanted: Any) -> None:
    schema = JsonOutput(wanted).schema
    assert schema is not None
    assert (schema["type"], schema["required"]) == ("object", ["value"])
    references = [line for line in json.dumps(schema).split('"') if line.startswith("#/$defs/")]
    assert all(line.removeprefix("#/$defs/") in schema["$defs"] for line in references)


@pytest.mark.parametrize(
    "answer",
    [
        ' \n{"a": 1}\n\n',
        '\ufeff{"a": 1}',
        '```json\n{"a": 1}\n```',
        '```JSON\r\n{"a": 1}```\n',
        '~~~~\n{"a": 1}\n~~~~',
        '{"\\u0061": 1}',
    ],
)
def test_what_surrounds_the_json_of_other_hosts_is_taken_off(answer: str) -> None:
    assert parse(True, answer) == {"a": 1}
    assert parse(dict[str, int], answer) == {"a": 1}


@pytest.mark.parametrize("outcome", ["length", "interrupted", "truncated"])
def test_json_that_is_whole_counts_however_the_reply_ended(outcome: str) -> None:
    assert parse(True, '{"a": 1}' + "\n" * 2000, outcome) == {"a": 1}


def test_a_start_is_part_of_the_json() -> None:
    assert parse(Item, '{"name": "a", "price": 1}\n', start="```json\n") == Item(name="a", price=1)
    assert parse(Item, '"a", "price": 1}', start='{"name": ') == Item(name="a", price=1)


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ('{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
        ('{"a": "\\ud83d"}', {"a": "\ufffd"}),
        ('{"\\ude00": "\\\\ud83d"}', {"\ufffd": "\\ud83d"}),
        ('{"a": "\ud83d"}', {"a": "\ufffd"}),
    ],
)
def test_halves_of_characters_never_reach_the_value(answer: str, value: Any) -> None:
    assert parse(True, answer) == value
    assert parse(dict[str, str], answer) == value


# ---- what is told about all the rest


@pytest.mark.parametrize(
    ("answer", "outcome", "words"),
    [
        ("", "stop", "The answer is empty.*now and then"),
        ("", "empty", "The answer is empty"),
        (" \n\t", "stop", "only white space"),
        ('{"a": 1', "length", "cut off at its limit of tokens. Raise max_tokens"),
        ('{"a": 1', "truncated", r"not complete \(the reply is truncated\)"),
        ('{"a":' + " \n" * 600, "interrupted", "endless white space"),
        ('{"a":' + "\n" * 600, "length", "endless white space"),
        ("Sure! {}", "stop", "line 1, column 1, before 'Sure! {}'"),
        ('{"a": 1,\n "b" 2}', "stop", "line 2, column 6, before '2}'"),
        ('{"a": [1', "stop", "where the text ends"),
        ('{"a": 1} and more', "stop", "there is more after its end.*before 'and more'"),
        ('```json\n{"a": 1}\n```\nThere.', "stop", "more after its end"),
        ('{"a": NaN}', "stop", "NaN is no number in JSON"),
        ('{"a": -Infinity}', "stop", "-Infinity is no number"),
        ('{"a": 1e999}', "stop", "the number 1e999 is too large"),
        ('{"a": ' + "1" * 5000 + "}", "stop", "too many digits"),
        ('{"b": {"a": 1, "a": 2}}', "stop", "the key 'a' stands twice"),
        ('{"\\ud83d": 1, "\\ud83e": 2}', "stop", "stands twice"),
        ("[" * 100_000, "stop", "nested too deep"),
        ('{"a": "x\ny"}', "stop", "invalid control character"),
        ("{'a': 1}", "stop", "double quotes"),
        ("```", "stop", "not JSON"),
        ("``````", "stop", "not JSON"),
    ],
)
def test_what_is_no_json_is_told_with_its_place(answer: str, outcome: str, words: str) -> None:
    for wanted in (True, Item):
        error = refusal(wanted, answer, outcome)
        assert re.search(words, str(error))
        assert len(str(error)) < 400


@pytest.mark.parametrize(
    ("wanted", "answer", "problems"),
    [
        (
            Item,
            '{"name": 1, "price": -1}',
            (
                "name: Input should be a valid string, not 1",
                "price: Input should be greater than or equal to 0, not -1",
            ),
        ),
        (Item, "{}", ("name: Field required", "price: Field required")),
        (list[Item], '{"value": [{"name": "a"}]}', ("value[0].price: Field required",)),
        (Strict, '{"day": "2026-11-15", "x": {}}', ("x: Extra inputs are not permitted, not an object",)),
        (dict[str, int], '{"k": []}', ("k: Input should be a valid integer, not a list",)),
        (Item, "[]", ("the whole: Input should be an object, not a list",)),
        (dict[str, Annotated[int, AfterValidator(_fails)]], '{"k": 1}', ("KeyError: 1",)),
        (Any, '{"value": ' + "[" * 600 + "]" * 600 + "}", ("it is nested too deep",)),
    ],
)
def test_what_does_not_fit_is_told_by_field(wanted: Any, answer: str, problems: tuple[str, ...]) -> None:
    assert refusal(wanted, answer).problems == problems


def test_many_and_long_problems_are_told_in_short() -> None:
    error = refusal(dict[str, int], json.dumps({f"{n}" * 1000: "x" * 10_000 for n in range(10, 40)}))
    assert len(error.problems) == 9
    assert error.problems[-1] == "and 22 more"
    assert len(str(error)) < 3000


def test_a_correction_shows_the_model_its_answer_and_what_is_wrong_with_it() -> None:
    reply = Reply(answer="{}", reasoning="Hm", outcome="stop")
    output = JsonOutput(Item)
    with pytest.raises(InvalidOutput) as caught:
        output.parse(reply)
    said, asked = output.correction(reply, caught.value)
    assert said == reply.message
    assert asked["role"] == "user"
    assert "- name: Field required\n- price: Field required" in asked["content"]
    assert "JSON" in asked["content"]


@pytest.mark.parametrize(("answer", "sent"), [(" \n", ""), ('{"a":' + "\n" * 9000, '{"a":'), ('{"a": \n', '{"a": \n')])
def test_a_correction_does_not_pay_for_white_space_twice(answer: str, sent: str) -> None:
    reply = Reply(answer=answer, outcome="length")
    assert JsonOutput(True).correction(reply, InvalidOutput("x", reply=reply))[0]["content"] == sent


# ---- endless white space


def test_endless_white_space_is_noticed_and_indentation_is_not() -> None:
    blanks = Blanks()
    assert not blanks.feed("\n" * 500)
    assert blanks.feed(" ")
    assert not blanks.feed('{"a":')
    assert not any(blanks.feed(piece) for piece in ["\n" + " " * 200, '"b"', "\n" + " " * 400, "}"])


@given(st.lists(st.text("a \n", max_size=300) | st.integers(0, 600).map(" ".__mul__), max_size=8))
def test_blanks_count_the_same_however_they_are_cut(pieces: list[str]) -> None:
    text = "".join(pieces)
    whole, cut, single = Blanks(), Blanks(), Blanks()
    ends = [watch.feed(part) for watch, parts in ((cut, pieces), (single, text)) for part in parts][-1:]
    assert whole.feed(text) == (len(text) - len(text.rstrip()) > 500)
    assert not text or ends == [whole.feed("")]


# ---- anything at all


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(JSON, st.booleans(), st.sampled_from(["", "\ufeff", "\n "]))
def test_any_json_is_read_as_it_was_written(value: Any, ascii_only: bool, before: str) -> None:
    written = json.dumps(value, ensure_ascii=ascii_only)
    assert parse(True, before + written) == value
    assert parse(True, f"```json\n{before}{written}\n```") == value
    assert parse(JsonAny, f'{{"value": {written}}}') == value


JsonAny = Annotated[Any, Field()]
PIECES = ["{", "}", "[", "]", ":", ",", '"name"', '"price"', '"', "\\", "\\ud83d", "1", "-", "NaN", "```", "\n", "x"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12), st.sampled_from(["stop", "length"]))
@pytest.mark.slow
def test_any_text_is_a_value_or_an_invalid_output(pieces: list[str], outcome: str) -> None:
    for wanted in (True, Item, list[Item], dict[str, Any]):
        try:
            value = parse(wanted, "".join(pieces), outcome)
        except InvalidOutput:
            continue
        repr(value).encode()
