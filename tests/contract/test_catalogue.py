from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsnb.contract import Contract, at, catalogue
from dsnb.contract.data import read
from dsnb.errors import ConfigurationError, RetiredModel, UnknownModel
from tests.recordings import Recording, recordings, requires_recordings

NOW = "2026-11-23"


@pytest.mark.parametrize(
    "instant",
    [
        date(2026, 9, 10),
        datetime(2026, 9, 10),
        datetime(2026, 9, 10, tzinfo=UTC),
        datetime(2026, 9, 10, 8, tzinfo=timezone(timedelta(hours=8))),
        "2026-09-10",
        " 2026-09-10T00:00:00Z ",
        "2026-09-10 08:00+08:00",
    ],
)
def test_every_way_to_write_an_instant_means_the_same(instant: datetime | date | str) -> None:
    assert at(instant).instant == datetime(2026, 9, 10, tzinfo=UTC)
    assert at(instant).instant.tzinfo is UTC


@pytest.mark.parametrize(
    ("instant", "words"),
    [
        ("yesterday", "write it like"),
        ("", "write it like"),
        ("2026-02-30", "write it like"),
        (1_780_000_000, "not int"),
        (None, "not NoneType"),
        ("2024-12-25", "begins on 2024-12-26"),
        (datetime(2024, 12, 25, 23, 59, 59, tzinfo=UTC), "begins on 2024-12-26"),
        (datetime.max, "out of reach"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=8))), "out of reach"),
        ("9999-12-31", "out of reach"),
    ],
)
def test_nonsense_and_prehistory_are_refused_with_a_way_out(instant: object, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        at(instant)  # type: ignore[arg-type]


@given(st.one_of(st.text(), st.datetimes(timezones=st.none() | st.timezones()), st.dates()))
def test_at_answers_or_refuses(instant: str | datetime | date) -> None:
    try:
        contract = at(instant)
    except ConfigurationError:
        return
    assert contract.listed
    for model in contract.models:
        assert contract.price(model).since <= contract.instant


# context window, longest output, default max_tokens of a chat and of a thinking request
OLD = (65_536, 8_192, 4_096, 4_096)
OLD_THINKING = (65_536, 65_536, 32_768, 32_768)
CHAT = (131_072, 8_192, 4_096, 4_096)
REASONER = (131_072, 65_536, 32_768, 32_768)
SWITCHED = (131_072, 8_192, 4_096, 32_768)
V4 = (1_048_576, 393_216, 8_192, 65_536)
VISION = "deepseek-v4-flash-vision-exp"

# instant, name asked for, name in the reply, build (DeepSeek-...), generation, thinking, limits
SERVED = [
    ("2024-12-26", "deepseek-chat", "deepseek-chat", "V3", "V3", "never", OLD),
    ("2025-03-24", "deepseek-chat", "deepseek-chat", "V3-0324", "V3", "never", OLD),
    ("2025-02-01", "deepseek-reasoner", "deepseek-reasoner", "R1", "R1", "always", OLD),
    ("2025-06-01", "deepseek-reasoner", "deepseek-reasoner", "R1-0528", "R1", "always", OLD_THINKING),
    ("2025-08-21", "deepseek-chat", "deepseek-chat", "V3.1", "V3.1", "never", CHAT),
    ("2025-08-21", "deepseek-reasoner", "deepseek-reasoner", "V3.1", "V3.1", "always", REASONER),
    ("2025-09-22", "deepseek-chat", "deepseek-chat", "V3.1-Terminus", "V3.1", "never", CHAT),
    ("2025-09-29", "deepseek-chat", "deepseek-chat", "V3.2-Exp", "V3.1", "never", CHAT),
    ("2025-12-01", "deepseek-chat", "deepseek-chat", "V3.2", "V3.2", "switch", SWITCHED),
    ("2026-02-15", "deepseek-reasoner", "deepseek-reasoner", "V3.2", "V3.2", "always", REASONER),
    ("2026-04-24", "deepseek-chat", "deepseek-v4-flash", "V4-Flash", "V4", "never", V4),
    ("2026-05-06", "deepseek-reasoner", "deepseek-v4-flash", "V4-Flash", "V4", "always", V4),
    ("2026-05-06", "deepseek-v4-flash", "deepseek-v4-flash", "V4-Flash", "V4", "switch", V4),
    ("2026-07-31", "deepseek-v4-flash", "deepseek-v4-flash", "V4-Flash-0731", "V4", "switch", V4),
    ("2026-07-31", "deepseek-v4-pro", "deepseek-v4-pro", "V4-Pro", "V4", "switch", V4),
    ("2026-08-13", "deepseek-v4-pro", "deepseek-v4-pro", "V4-Pro-0813", "V4", "switch", V4),
    ("2026-08-21", VISION, VISION, "V4-Flash-Vision-Exp", "V4", "switch", V4),
    ("2026-09-10T03:59:59Z", "deepseek-v4-flash", "deepseek-v4-flash", "V4-Flash-0731", "V4", "switch", V4),
    ("2026-09-10T04:00:00Z", "deepseek-v4-flash", "deepseek-flash", "V4.1-Flash", "V4.1", "switch", V4),
    ("2026-09-10T04:00:00Z", VISION, "deepseek-flash", "V4.1-Flash", "V4.1", "switch", V4),
    ("2026-09-10T04:00:00Z", "deepseek-flash", "deepseek-flash", "V4.1-Flash", "V4.1", "switch", V4),
    ("2026-09-15", "deepseek-v4-pro", "deepseek-v4-pro", "V4-Pro-0813", "V4", "switch", V4),
    (NOW, "deepseek-flash", "deepseek-flash", "V4.1-Flash-1017", "V4.1", "switch", V4),
    (NOW, "deepseek-v4-flash", "deepseek-flash", "V4.1-Flash-1017", "V4.1", "switch", V4),
    (NOW, "deepseek-v4-pro", "deepseek-v4-pro", "V4-Pro-0813", "V4", "switch", V4),
]


@pytest.mark.parametrize(("instant", "name", "served", "build", "generation", "thinking", "limits"), SERVED)
def test_a_name_is_served_by_the_build_of_its_day(
    instant: str, name: str, served: str, build: str, generation: str, thinking: str, limits: tuple[int, ...]
) -> None:
    contract = at(instant)
    model = contract.model(name)
    assert (model.name, model.served, model.build) == (name, served, f"DeepSeek-{build}")
    assert (model.generation.name, model.thinking) == (generation, thinking)
    assert model.thinking_default == (thinking == "always" or (thinking == "switch" and limits is V4))
    defaults = model.default_max_tokens
    assert (model.context_window, model.max_output, defaults["chat"], defaults["thinking"]) == limits
    assert model.since <= contract.instant
    assert model.until is None or contract.instant < model.until


@pytest.mark.parametrize(
    ("instant", "listed", "accepted"),
    [
        ("2025-01-01", ["deepseek-chat"], 1),
        ("2025-02-01", ["deepseek-chat", "deepseek-reasoner"], 2),
        ("2026-06-08", ["deepseek-v4-flash", "deepseek-v4-pro"], 4),
        ("2026-08-15", ["deepseek-v4-flash", "deepseek-v4-pro"], 2),
        (NOW, ["deepseek-flash", "deepseek-v4-pro"], 4),
    ],
)
def test_the_list_shows_current_names_and_more_are_accepted(instant: str, listed: list[str], accepted: int) -> None:
    assert [model.name for model in at(instant).listed] == listed
    assert len(at(instant).models) == accepted


@pytest.mark.parametrize(("name", "thinking"), [("deepseek-chat", False), ("deepseek-reasoner", True)])
@pytest.mark.parametrize(
    ("instant", "replacement"),
    [
        ("2026-07-24T15:59:00Z", "deepseek-v4-flash"),
        ("2026-09-10T03:59:59Z", "deepseek-v4-flash"),
        ("2026-09-10T04:00:00Z", "deepseek-flash"),
        (NOW, "deepseek-flash"),
    ],
)
def test_a_retired_name_carries_what_to_ask_for(name: str, thinking: bool, instant: str, replacement: str) -> None:
    with pytest.raises(RetiredModel, match=rf"switched off on 2026-07-24 15:59 UTC: ask for '{replacement}'") as caught:
        at(instant).model(name)
    assert (caught.value.model, caught.value.replacement, caught.value.thinking) == (name, replacement, thinking)
    successor = at(instant).model(replacement)
    assert successor.thinking == "switch"


def test_a_retired_name_answers_until_the_last_second() -> None:
    assert at("2026-07-24T15:58:59Z").model("deepseek-chat").served == "deepseek-v4-flash"


@pytest.mark.parametrize(
    ("instant", "name", "words"),
    [
        (NOW, "deepseek-v4.1-flash", "ask for 'deepseek-v4-flash'"),
        (NOW, "gpt-4", "ask for 'deepseek-flash' or 'deepseek-v4-pro'"),
        (NOW, "", "is not a model"),
        ("2026-02-15", "deepseek-v4-pro", "came on 2026-04-24, and this is the API of 2026-02-15"),
        ("2025-01-19", "deepseek-reasoner", "came on 2025-01-20"),
    ],
)
def test_an_unknown_name_is_refused_with_a_suggestion(instant: str, name: str, words: str) -> None:
    with pytest.raises(UnknownModel, match=words) as caught:
        at(instant).model(name)
    assert type(caught.value) is UnknownModel
    assert caught.value.model == name


APRIL = {"none": "none", "low": "high", "medium": "high", "high": "high", "xhigh": "max", "max": "max"}
JULY = APRIL | {"low": "low"}
AUGUST = JULY | {"xhigh": "high"}
SEPTEMBER = AUGUST | {"minimal": "low", "ultra": "max"}


@pytest.mark.parametrize(
    ("instant", "name", "efforts", "with_text"),
    [
        ("2026-02-15", "deepseek-reasoner", {}, set()),
        ("2026-05-06", "deepseek-v4-flash", APRIL, {"max"}),
        ("2026-05-06", "deepseek-reasoner", APRIL, {"max"}),
        ("2026-07-30T23:59:59Z", "deepseek-v4-flash", APRIL, {"max"}),
        ("2026-07-31", "deepseek-v4-flash", JULY, {"high", "max"}),
        ("2026-07-31", "deepseek-v4-pro", APRIL, {"max"}),
        ("2026-08-13", "deepseek-v4-flash", AUGUST, {"high", "max"}),
        ("2026-08-13", "deepseek-v4-pro", AUGUST, {"high", "max"}),
        ("2026-09-11", "deepseek-v4-pro", SEPTEMBER, {"high", "max"}),
        ("2026-09-11", "deepseek-flash", SEPTEMBER, {"low", "high", "max"}),
        (NOW, "deepseek-v4-flash", SEPTEMBER, {"low", "high", "max"}),
    ],
)
def test_efforts_by_date(instant: str, name: str, efforts: dict[str, str], with_text: set[str]) -> None:
    model = at(instant).model(name)
    assert model.efforts == efforts
    assert model.effort_default == ("high" if efforts else None)
    assert model.effort_text == with_text


def test_caches_reasoning_rules_and_templates_follow_the_generation() -> None:
    def generation(instant: str, name: str) -> tuple[str, str, int, bool]:
        found = at(instant).model(name).generation
        return found.template, found.reasoning, found.cache.unit, found.cache.whole_units_at_ends

    assert generation("2025-02-01", "deepseek-chat") == ("v3", "ignore", 64, False)
    assert generation("2025-02-01", "deepseek-reasoner") == ("r1", "reject", 64, False)
    assert generation("2025-09-01", "deepseek-reasoner") == ("v3.1", "reject", 64, False)
    assert generation("2025-09-01", "deepseek-chat") == ("v3.1", "ignore", 64, False)
    assert generation("2026-02-15", "deepseek-reasoner") == ("v3.2", "tool_loop", 64, False)
    assert generation("2026-05-06", "deepseek-chat") == ("v4", "whole", 128, True)
    assert generation(NOW, "deepseek-v4-pro") == ("v4", "whole", 128, True)
    assert generation(NOW, "deepseek-flash") == ("v4.1", "whole", 128, True)


def test_concurrency_modalities_and_the_default_at_max_effort() -> None:
    now = at(NOW)
    assert [(m.name, m.concurrency) for m in now.listed] == [("deepseek-flash", 2500), ("deepseek-v4-pro", 500)]
    assert now.model(VISION).concurrency == 2500
    assert now.model("deepseek-flash").default_max_tokens["max"] == 131_072
    assert at("2025-02-01").model("deepseek-chat").concurrency is None
    assert now.model("deepseek-flash").inputs == ("text", "image")
    assert now.model("deepseek-v4-pro").inputs == ("text",)
    assert at("2026-08-22").model("deepseek-v4-flash").inputs == ("text",)
    assert at("2026-08-22").model(VISION).inputs == ("text", "image")


def test_the_tool_block_got_its_blank_line_on_2026_07_31() -> None:
    assert not at("2026-07-30").model("deepseek-v4-flash").tools_newline
    assert at("2026-07-31").model("deepseek-v4-flash").tools_newline


@pytest.mark.parametrize(
    ("instant", "name", "parameter", "expected"),
    [
        ("2025-02-01", "deepseek-reasoner", "logprobs", {"rejected_when": "thinking"}),
        ("2025-02-01", "deepseek-chat", "logprobs", {"rejected_when": "never"}),
        ("2026-02-15", "deepseek-reasoner", "top_logprobs", {"rejected_when": "thinking", "maximum": 20}),
        (NOW, "deepseek-flash", "logprobs", {"rejected_when": "never", "ignored_when": "never"}),
        (NOW, "deepseek-flash", "top_logprobs", {"minimum": 0, "maximum": 20, "needs": "logprobs"}),
        (NOW, "deepseek-flash", "temperature", {"minimum": 0, "maximum": 2, "ignored_when": "thinking"}),
        (NOW, "deepseek-flash", "top_p", {"exclusive_minimum": True, "raised_to": 0.95, "ignored_when": "chat"}),
        (NOW, "deepseek-v4-pro", "top_p", {"raised_to": None, "ignored_when": "thinking", "confidence": "L"}),
        ("2026-05-06", "deepseek-v4-flash", "top_p", {"raised_to": None, "ignored_when": "thinking"}),
        ("2026-05-06", "deepseek-v4-flash", "presence_penalty", {"ignored_when": "thinking", "minimum": -2}),
        (NOW, "deepseek-flash", "frequency_penalty", {"ignored_when": "always", "minimum": -2}),
        (NOW, "deepseek-flash", "n", {"minimum": 1, "maximum": 1}),
        (NOW, "deepseek-flash", "stop", {"max_items": 16}),
        (NOW, "deepseek-flash", "user_id", {"max_length": 512}),
        (NOW, "deepseek-flash", "max_tokens", {"minimum": 1, "maximum": 393_216}),
        ("2026-02-15", "deepseek-chat", "max_tokens", {"minimum": 1, "maximum": 8192}),
        ("2026-02-15", "deepseek-reasoner", "max_tokens", {"minimum": 1, "maximum": 65_536}),
        (NOW, "deepseek-flash", "tool_choice", {"rejected_when": "thinking", "rejected_values": ("required", "named")}),
        (NOW, "deepseek-flash", "tool_choice", {"message": "thinking_tool_choice"}),
        ("2026-07-01", "deepseek-v4-pro", "tool_choice", {"message": "thinking_tool_choice"}),
        ("2026-05-06", "deepseek-v4-pro", "tool_choice", {"message": "reasoner_tool_choice"}),
        ("2025-12-04", "deepseek-reasoner", "tool_choice", {"message": "reasoner_tool_choice"}),
    ],
)
def test_parameter_rules(instant: str, name: str, parameter: str, expected: dict[str, object]) -> None:
    rule = at(instant).model(name).parameters[parameter]
    assert rule.name == parameter
    assert {key: getattr(rule, key) for key in expected} == expected


def test_the_wire_by_date() -> None:
    def wire(instant: str) -> catalogue.Wire:
        return at(instant).wire

    assert [wire(day).usage_details for day in ("2025-01-18", "2025-03-22")] == [False, True]
    assert [wire(day).tool_call_ids for day in ("2025-08-29", "2025-09-03")] == ["indexed-uuid", "indexed-alnum"]
    assert [wire(day).shape_error_status for day in ("2025-04-04", "2025-11-27")] == [422, 400]
    assert wire("2025-04-04").shape_error_content_type == "text/plain; charset=utf-8"
    assert wire(NOW).shape_error_content_type == "application/json"
    assert [wire(day).context_limit for day in ("2025-07-18", "2025-11-01", "2026-05-06", "2026-06-08")] == [
        65_536,
        131_072,
        1_048_576,
        1_048_565,
    ]
    assert wire("2025-06-01").unknown_model_message.format(model="x") == "Model Not Exist"
    assert wire("2026-08-01").unknown_model_message.format(model="x") == (
        "The supported API model names are deepseek-v4-pro or deepseek-v4-flash, but you passed x."
    )
    assert wire(NOW).unknown_model_message.format(model="x") == (
        "The supported API model names are deepseek-flash, deepseek-v4-pro, but you passed x."
    )
    assert [wire(day).queue_seconds for day in ("2025-01-01", NOW)] == [1800, 600]
    assert [wire(day).models_detailed for day in ("2026-08-01", NOW)] == [False, True]
    assert [(wire(day).tool_name_length, wire(day).tools_count) for day in ("2026-08-01", NOW)] == [
        (64, 128),
        (128, None),
    ]
    assert wire(NOW).enum_error_status == 422


def test_every_row_names_its_source_and_confidence() -> None:
    models = read("models.toml")
    rows = [*models["served"], *models["retired"], *models["change"], *models["generations"].values()]
    rows += [*models["caches"].values(), *read("wire.toml")["change"], *read("prices.toml")["price"]]
    rows += [*read("calendar.toml")["schedule"], *read("calendar.toml")["holiday"]]
    rows += [rule for rules in models["parameters"].values() for rule in rules.values() if isinstance(rule, dict)]
    assert len(rows) > 100
    for row in rows:
        assert row["source"], row
        assert row["confidence"] in {"H", "M", "L"}, row


def test_every_table_is_used_and_rows_stand_in_order() -> None:
    data = read("models.toml")
    served = data["served"]
    assert {row["build"] for row in served} == set(data["builds"])
    assert set(data["builds"].values()) == set(data["generations"])
    for kind, key in (("efforts", "efforts"), ("parameters", "parameters"), ("profiles", "profile")):
        named = {row.get(key) for row in [*served, *data["change"], *data["profiles"].values()]}
        named |= {table.get("inherits") for table in data[kind].values()}
        assert set(data[kind]) <= named, kind
    for name in {row["name"] for row in served}:
        begins = [catalogue.utc(row["since"]) for row in served if row["name"] == name]
        assert begins == sorted(set(begins)), name
    since = [catalogue.utc(row["since"]) for row in read("wire.toml")["change"]]
    assert since == sorted(since)


def test_every_parameter_error_has_a_body() -> None:
    rules = [rule for model in at(NOW).models for rule in model.parameters.values()]
    rules += [rule for model in at("2025-12-04").models for rule in model.parameters.values()]
    assert {rule.message for rule in rules if rule.message} <= set(read("errors.toml")["errors"])


def test_every_model_of_every_day_is_complete() -> None:
    day, last = datetime(2024, 12, 26, 12, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    while day < last:
        for model in at(day).models:
            assert set(model.default_max_tokens) == {"chat", "thinking", "max"}
            assert set(model.efforts.values()) <= {"none", "low", "high", "max"}
            assert set(model.effort_text) <= set(model.efforts.values())
            assert model.thinking in {"never", "always", "switch"}
            assert model.fingerprint
            assert hash(model) == hash(at(day).model(model.name))
        day += timedelta(days=1)


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Contract]:
    """The API of 2027, in which one row more announces a model that the code has never heard of."""
    data = deepcopy(read("models.toml"))
    data["builds"]["DeepSeek-V5"] = "V4.1"
    row = {"name": "deepseek-five", "since": date(2027, 1, 1), "build": "DeepSeek-V5", "profile": "v4.1"}
    row |= {"rates": "deepseek-flash", "fingerprint": "f5", "max_output": 5, "source": "a test", "confidence": "H"}
    data["served"].append(row)
    caches = (catalogue._served, catalogue._model, catalogue._generation)
    with monkeypatch.context() as patch:
        patch.setattr(catalogue, "read", lambda name: data if name == "models.toml" else read(name))
        for cached in caches:
            cached.cache_clear()
        yield at("2027-01-01")
    for cached in caches:
        cached.cache_clear()


def test_a_new_model_is_a_new_row(newer: Contract) -> None:
    model = newer.model("deepseek-five")
    assert (model.served, model.title, model.thinking) == ("deepseek-five", "DeepSeek-V4.1-Flash", "switch")
    assert model.parameters["max_tokens"].maximum == 5
    assert newer.listed[-1] is model
    assert newer.price("deepseek-five") == newer.price("deepseek-flash")


def chats() -> list[Recording]:
    return [r for r in recordings() if r.first_party and r.chat and r.status == 200 and r.asked and r.objects]


@requires_recordings
def test_recorded_replies_name_the_model_that_the_catalogue_serves() -> None:
    wrong = [
        (r.name, r.asked["model"], r.objects[0]["model"])
        for r in chats()
        if r.asked and at(r.date).model(r.asked["model"]).served != r.objects[0]["model"]
    ]
    assert wrong == []
    assert len(chats()) >= 200


@requires_recordings
def test_recorded_fingerprints() -> None:
    dated = [r for r in chats() if r.objects[0].get("created") and "REDACTED" not in r.objects[0]["system_fingerprint"]]
    strange = {
        r.objects[0]["system_fingerprint"]
        for r in dated
        if r.asked and at(r.date).model(r.asked["model"]).fingerprint != r.objects[0]["system_fingerprint"]
    }
    assert strange <= {"fp_Og1AzCtNZz_prod0820_fp8_kvcache"}  # one reply of a day on which seven others agree
    assert len(dated) >= 150


@requires_recordings
def test_recorded_shapes_agree_with_the_wire() -> None:
    for r in chats():
        wire, usage = at(r.date).wire, r.objects[-1]["usage"]
        assert ("prompt_tokens_details" in usage) == wire.usage_details, r.name
        text = r.raw.decode()
        if wire.tool_call_ids == "indexed-alnum":
            assert '"call_0_' not in text, r.name
        else:
            assert '"call_00_' not in text, r.name
