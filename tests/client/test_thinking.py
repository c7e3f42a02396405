import pytest

from dsnb.client.decoder import StreamDecoder
from dsnb.client.dialects import DEEPSEEK, OPENAI_COMPATIBLE
from dsnb.client.events import Event
from tests.client.streams import chunk, content, decode, told
from tests.effort import effort


@pytest.mark.parametrize(
    "text",
    ["<think>\nHm, 1 < 2.\n</think>\n\nYes <b>", "\n\n<think>\nHm, 1 < 2.\n</think>\n\nYes <b>"],
)
def test_think_tags_split_anywhere(text: str) -> None:
    expected = [("reasoning", "\nHm, 1 < 2.\n"), ("answer", "\n\nYes <b>")]
    assert told(*content(text)) == expected
    assert told(*content(*text)) == expected
    for at in range(1, len(text)):
        assert told(*content(text[:at], text[at:])) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Hi",
        "\n\nHello <",
        "<thinking> is no tag",
        "<thin",
        "   ",
        "1 </ 2",
        "Write <think> and then </think> around it.",
        "It ends with `</think>`, in quotes.",
        "\"</think>\" and '</think>'",
    ],
)
def test_content_that_is_all_answer(text: str) -> None:
    assert told(*content(text)) == [("answer", text)]
    assert told(*content(*text)) == [("answer", text)]


def test_a_think_tag_that_never_closes_is_all_reasoning() -> None:
    decoder = decode(*content("<think>", "Hm", " </thi"), chunk({}, finish="length"), dialect=OPENAI_COMPATIBLE)
    assert (decoder.reasoning, decoder.answer, decoder.outcome) == ("Hm </thi", "", "length")


def test_a_closing_tag_alone_makes_all_before_it_reasoning() -> None:
    decoder = StreamDecoder(OPENAI_COMPATIBLE)
    events = [event for piece in content("Hm", " so</th", "ink>", "Yes") for event in decoder.feed(piece)]
    assert events == [
        Event("answer", "Hm"),
        Event("answer", " so"),
        Event("reasoning", "Hm so", moved=True),
        Event("answer", "Yes"),
    ]
    assert (decoder.reasoning, decoder.answer) == ("Hm so", "Yes")


def test_the_closing_tag_alone_counts_once_and_outside_quotes() -> None:
    decoder = decode(
        *content("I close it with `</think>`.</think>Yes, `</think>` or </think>"), dialect=OPENAI_COMPATIBLE
    )
    assert (decoder.reasoning, decoder.answer) == ("I close it with `</think>`.", "Yes, `</think>` or </think>")


def test_tags_are_text_where_the_host_tells_reasoning_apart() -> None:
    stream = [chunk({"reasoning": "Hm"}), *content("<think>", "x</think>y")]
    assert told(*stream) == [("reasoning", "Hm"), ("answer", "<think>x</think>y")]
    assert told(*content("<think>x</think>y"), dialect=DEEPSEEK) == [("answer", "<think>x</think>y")]


def test_nothing_is_held_back_once_the_end_is_told() -> None:
    decoder = StreamDecoder(OPENAI_COMPATIBLE)
    assert decoder.feed(b"".join(content("a <"))) == [Event("answer", "a ")]
    assert decoder.feed(chunk({}, finish="stop")) == [Event("answer", "<")]


@pytest.mark.parametrize("hostile", [" ", "<", "`</think>", "</think", "\n"])
@pytest.mark.slow
def test_think_tags_cost_no_more_in_long_texts(hostile: str) -> None:
    def cost(count: int) -> int:
        many, long = content(*[hostile] * count), content(hostile * count * 20)
        return effort(lambda: (decode(*many, dialect=OPENAI_COMPATIBLE), decode(*long, dialect=OPENAI_COMPATIBLE)))

    cost(1)
    assert cost(4_000) <= 8 * 1.1 * cost(500)
