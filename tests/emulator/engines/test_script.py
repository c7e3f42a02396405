"""What the default engine answers: scenarios, tools, JSON, results and reports."""

import json
import re

import pytest

from dsnb.contract import at, tokens
from dsnb.contract.settings import settings
from dsnb.emulator.engines import EngineRequest, engine
from dsnb.emulator.engines.script import scenarios
from tests.effort import effort

SCRIPT = engine("script")
CONTRACT = at("2026-11-16T12:00:00Z")
FLASH = CONTRACT.model("deepseek-flash")


def function(name, properties=None, required=None, description=""):
    schema = {"type": "object", "properties": properties or {}}
    if required is not None:
        schema["required"] = required
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


CITY = {"city": {"type": "string"}}
WEATHER = function("get_weather", CITY, ["city"], "Return the weather.")
FORECAST = function("get_weather_forecast", {**CITY, "days": {"type": "integer"}}, ["city", "days"])
AIR = function("get_air_quality", CITY, ["city"])
DICE = function("roll_dice")
ADD = function("add", {"x": {"type": "number"}, "y": {"type": "number"}}, ["x", "y"], "Return the sum of two numbers.")
STOCK = function("lookupStockPrice", {"symbol": {"type": "string"}}, ["symbol"])
SEARCH = function("search", {"query": {"type": "string"}}, ["query"])


def ask(message, *tools, messages=None, **fields):
    """Return the script's answer; no thinking unless asked."""
    body = {
        "model": "deepseek-flash",
        "messages": messages or [{"role": "user", "content": message}],
        "thinking": {"type": "disabled"},
        **({"tools": list(tools)} if tools else {}),
        **fields,
    }
    meant = settings(body, FLASH)
    return SCRIPT.answer(EngineRequest(body, CONTRACT, FLASH, meant, tokens.prompt_tokens(body, FLASH)))


def called(message, *tools, **fields):
    """Return the calls of an answer as pairs of name and arguments."""
    return [(call.name, json.loads(call.arguments)) for call in ask(message, *tools, **fields).tool_calls]


@pytest.mark.parametrize(
    ("message", "tools", "expected"),
    [
        ("What is the weather in Paris?", [WEATHER], [("get_weather", {"city": "Paris"})]),
        ("what's the weather in tokyo today?", [WEATHER, STOCK], [("get_weather", {"city": "tokyo"})]),
        ("Please use get_weather for Oslo.", [DICE, WEATHER], [("get_weather", {"city": "Oslo"})]),
        ("Call the get weather tool for `San Francisco`", [WEATHER], [("get_weather", {"city": "San Francisco"})]),
        (
            "What is the weather AND the air quality in Tokyo?",
            [WEATHER, AIR],
            [("get_weather", {"city": "Tokyo"}), ("get_air_quality", {"city": "Tokyo"})],
        ),
        ("Weather in Rome?", [WEATHER, FORECAST], [("get_weather", {"city": "Rome"})]),
        (
            "A weather forecast for Rome, 5 days",
            [WEATHER, FORECAST],
            [("get_weather_forecast", {"city": "Rome", "days": 5})],
        ),
        ("Roll the dice 3 times", [DICE], [("roll_dice", {})] * 3),
        ("Roll the dice twice, please", [DICE, ADD], [("roll_dice", {})] * 2),
        ("Do not roll the dice twice; roll the dice once", [DICE], [("roll_dice", {})]),
        ("What is the stock price of MSFT?", [STOCK, WEATHER], [("lookupStockPrice", {"symbol": "MSFT"})]),
        ("Search for penguins in Antarctica", [SEARCH], [("search", {"query": "Search for penguins in Antarctica"})]),
        ('search "blue whale songs"', [SEARCH], [("search", {"query": "blue whale songs"})]),
        ("Call add with 3 and 4", [ADD, DICE], [("add", {"x": 3, "y": 4})]),
        ("call add with x=7, y=-2.5", [ADD], [("add", {"x": 7, "y": -2.5})]),
        ("What is the sum of the two numbers 2 and 3?", [ADD, WEATHER], [("add", {"x": 2, "y": 3})]),
        (
            "Weather in Paris, Rome and Oslo?",
            [WEATHER],
            [("get_weather", {"city": city}) for city in ("Paris", "Rome", "Oslo")],
        ),
        (
            "Call roll_dice, then add 2 and 5, then get_weather in Bern",
            [WEATHER, ADD, DICE],
            [("roll_dice", {}), ("add", {"x": 2, "y": 5}), ("get_weather", {"city": "Bern"})],
        ),
        (
            "Call add for 1 and 2, and call get_weather for Bern",
            [WEATHER, ADD],
            [("add", {"x": 1, "y": 2}), ("get_weather", {"city": "Bern"})],
        ),
        (
            "Call roll_dice, and then tell me the weather in Bern",
            [WEATHER, FORECAST, DICE],
            [("roll_dice", {}), ("get_weather", {"city": "Bern"})],
        ),
        (
            "The stock price of MSFT and the weather in Rome",
            [WEATHER, STOCK],
            [("lookupStockPrice", {"symbol": "MSFT"}), ("get_weather", {"city": "Rome"})],
        ),
        ("Do not call any tools. What is the weather in Paris?", [WEATHER], []),
        ("Don't use the tools, just say the weather", [WEATHER], []),
        ("Without calling a tool, say what the weather is", [WEATHER], []),
        ("Roll the dice, but do not call get_weather", [WEATHER, DICE], [("roll_dice", {})]),
        (
            "Call get_weather for Rome and do not call any other tool",
            [WEATHER, AIR],
            [("get_weather", {"city": "Rome"})],
        ),
        ("Hello, how are you?", [WEATHER, ADD, DICE, SEARCH], []),
        ("", [WEATHER], []),
    ],
)
def test_tools_are_called_by_what_the_message_names(message, tools, expected):
    assert called(message, *tools) == expected


@pytest.mark.parametrize(
    ("instructions", "message", "expected"),
    [
        ("You must call the roll_dice tool.", "Hello", [("roll_dice", {})]),
        ("Always use `roll_dice`.", "What is the weather in Rome?", [("get_weather", {"city": "Rome"})]),
        ("Always use `roll_dice`.", "Do not call any tool.", []),
        ("Never call roll_dice.", "Hello", []),
        ("The tool roll_dice exists.", "Hello", []),
    ],
)
def test_a_tool_that_the_system_message_orders_is_called_where_the_user_names_none(instructions, message, expected):
    messages = [{"role": "system", "content": instructions}, {"role": "user", "content": message}]
    assert called(message, WEATHER, DICE, messages=messages) == expected


def test_tool_choice_forces_or_forbids():
    assert called("Hello", WEATHER, DICE, tool_choice="required") != []
    named = {"type": "function", "function": {"name": "roll_dice"}}
    assert called("weather in Rome", WEATHER, DICE, tool_choice=named) == [("roll_dice", {})]
    assert called("Do not call any tool", WEATHER, tool_choice="required")[0][0] == "get_weather"
    assert called("weather in Rome", WEATHER, tool_choice="none") == []
    assert called("Roll the dice 3 times", DICE, tool_choice="required") == [("roll_dice", {})] * 3


def test_results_are_repeated_and_no_tool_is_called_again():
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
    history = [
        {"role": "user", "content": "weather in Rome"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"celsius": 21}'},
    ]
    answer = ask("", WEATHER, messages=history)
    assert answer.tool_calls == ()
    assert '- `get_weather`: {"celsius": 21}' in answer.content
    assert "dsnb emulator" in answer.content
    later = [*history, {"role": "assistant", "content": "21"}, {"role": "user", "content": "and the weather in Oslo?"}]
    assert [json.loads(one.arguments) for one in ask("", WEATHER, messages=later).tool_calls] == [{"city": "Oslo"}]


def test_the_report_says_what_arrived_and_who_speaks():
    history = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Two"},
        {"role": "user", "content": [{"type": "text", "text": "Three\nfour " + "long " * 60}]},
    ]
    answer = ask("", WEATHER, messages=history, thinking={"type": "enabled"})
    text = answer.content
    assert text.startswith("This is the **dsnb emulator**: no model has read your message")
    assert "`deepseek-flash` (DeepSeek-V4.1-Flash-1017), by the contract of 2026-11-16" in text
    assert "1 system, 2 user, 1 assistant messages" in text
    body = {"model": "deepseek-flash", "messages": history, "tools": [WEATHER]}
    assert f"{tokens.prompt_tokens(body, FLASH)} prompt tokens" in text
    assert "on, effort `high`" in text
    assert "`get_weather`" in text
    assert "> Three four long" in text
    assert text.endswith(" …")
    assert 40 <= tokens.count(answer.reasoning) <= 120
    assert answer.reasoning.startswith("We are the dsnb emulator")


def test_the_report_names_parameters_without_effect():
    from dsnb.emulator import Emulator
    from tests.emulator.talking import answer, body

    with Emulator() as emulator:
        text = answer(emulator, body("Hi", presence_penalty=1, thinking={"type": "enabled"}, temperature=0.5))[
            "content"
        ]
    assert re.search(r"\*\*Without effect here:\*\* .*`presence_penalty`", text)
    assert "`temperature`" in text


def test_nothing_thinks_where_the_request_does_not():
    for message in ("Hello", "Prove that sqrt(2) is irrational", "Roll the dice"):
        assert ask(message, DICE).reasoning is None
        assert ask(message, DICE, thinking={"type": "enabled"}).reasoning


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Prove that sqrt(2) is irrational", "$\\sqrt{2}$"),
        ("prove that sqrt(2) is irrational.", "contradiction"),
        ("Please show why √2 is irrational", "$\\blacksquare$"),
        ("Write a function for Fibonacci numbers", "```python"),
        ("How many primes are there below 100?", "**25**"),
        ("你好", "模拟器"),
    ],
)
def test_scenarios(message, words):
    answer = ask(message, thinking={"type": "enabled"})
    assert words in answer.content
    assert len(answer.reasoning) > 30


def test_every_scenario_says_who_wrote_it():
    assert len(scenarios()) >= 4
    for scenario in scenarios():
        assert re.search(r"dsnb (emulator|模拟器)", scenario.answer)
        assert re.search(r"dsnb (emulator|模拟器)", scenario.reasoning)


def test_the_scripted_code_and_numbers_are_right():
    fibonacci = ask("fibonacci").content
    space = {}
    exec(re.search(r"```python\n(.*?)```", fibonacci, re.DOTALL)[1], space)  # noqa: S102 — our own text
    rows = re.findall(r"^\| (\d+) \| (\d+) \| ([\d.]+) \|$", fibonacci, re.MULTILINE)
    assert rows
    for n, value, ratio in rows:
        assert space["fibonacci"](int(n)) == int(value)
        assert f"{space['fibonacci'](int(n) + 1) / int(value):.3f}" == ratio
    primes = [n for n in range(2, 100) if all(n % d for d in range(2, n))]
    assert ", ".join(map(str, primes)) in ask("How many primes are below 100?").content


JSON = {"response_format": {"type": "json_object"}}


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (
            'Extract name and age as json like {"name": "Ann", "age": 1}: Jane Smith is 45',
            {"name": "Jane Smith", "age": 45},
        ),
        ('Answer in json: {"city": "...", "numbers": [1]}. Rome 4 5', {"city": "Rome", "numbers": [4, 5]}),
        ('json with {"ok": true, "nested": {"score": 0.5}}', {"ok": True, "nested": {"score": 0.5}}),
        (
            'json by {"properties": {"color": {"enum": ["red", "blue"]}}, "required": ["color"]}: a blue car',
            {"color": "blue"},
        ),
    ],
)
def test_json_mode_fills_the_form_that_the_prompt_gives(prompt, expected):
    assert json.loads(ask(prompt, **JSON).content) == expected


@pytest.mark.parametrize(
    ("prompt", "fields"),
    [
        ("Give json with the keys `title`, `author` and `year` for Dune", ["title", "author", "year"]),
        ("Answer in json: {name, age, email}", ["name", "age", "email"]),
        ('Return json {"name": string, "tags": [string]}', ["name", "tags"]),
    ],
)
def test_json_mode_takes_names_from_an_outline(prompt, fields):
    assert sorted(json.loads(ask(prompt, **JSON).content)) == sorted(fields)


def test_json_mode_without_a_form_describes_the_request():
    found = json.loads(ask("say something in json", **JSON).content)
    assert found["messages"] == {"user": 1}
    assert "dsnb emulator" in found["from"]


def test_json_mode_reads_the_form_in_the_system_message():
    history = [
        {
            "role": "system",
            "content": "Parse question and answer, and output json.\n\nEXAMPLE INPUT: Which is the highest mountain? "
            'Mount Everest.\n\nEXAMPLE JSON OUTPUT:\n{\n    "question": "Which is the highest mountain?",\n'
            '    "answer": "Mount Everest"\n}',
        },
        {"role": "user", "content": "Which is the longest river? The Nile."},
    ]
    found = json.loads(ask("", messages=history, **JSON).content)
    assert list(found) == ["question", "answer"]
    assert "Everest" not in str(found)


@pytest.mark.parametrize(
    "mark", ["[", "{", "'", '"', "`", "A ", "show sqrt ", "a=[", '{"a": ', "1", "and ", "do not call "]
)
@pytest.mark.slow
def test_a_message_made_to_take_long_does_not(mark):
    properties = {"a": {"type": "array", "items": {"type": "string"}}, "b": {"type": "object"}, "c": {"type": "string"}}
    tool = function("collect_items", properties, list(properties))

    def cost(size):
        request = f"collect items json {mark * size}"
        return effort(lambda: (ask(request, tool), ask(request, **JSON), ask(mark * size)))

    cost(1)
    assert cost(4_000) <= 8 * 1.1 * cost(500)
