import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsnb.client.text import quote, well_formed


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "Authentication Fails, Your api key: ****0000 is invalid",
            "Authentication Fails, Your api key: [hidden] is invalid",
        ),
        (
            "Authentication Fails, Your api key: test is invalid",
            "Authentication Fails, Your api key: [hidden] is invalid",
        ),
        (
            "Authentication Fails, Your api key: ****-key is invalid",
            "Authentication Fails, Your api key: [hidden] is invalid",
        ),
        ("Incorrect API key provided: sk-abcd***********wxyz.", "Incorrect API key provided: [hidden]"),
        ("key sk-0123456789abcdef is bad", "key [hidden] is bad"),
        ("(sk-or-v1-0123456789abcdef)", "([hidden])"),
        ("sk-proj-ab_cd-ef…wxyz", "[hidden]"),
        ("gsk_0123456789abcdef, hf_0123456789abcdef", "[hidden], [hidden]"),
        ("Authorization: Bearer abcdef.ghi-jkl", "Authorization: Bearer [hidden]"),
        ("ends in ****0000", "ends in [hidden]"),
        ("API key：0123", "API key：[hidden]"),
    ],
)
def test_no_part_of_a_key_is_quoted(text: str, shown: str) -> None:
    assert quote(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'",
        "a risk-free task, **bold** and 2 ** 3",
        "add your own key to accumulate your rate limits: https://openrouter.ai/settings/integrations",
        "unknown variant `image_url`, expected `text` at line 1 column 335",
    ],
)
def test_other_words_stay(text: str) -> None:
    assert quote(text) == text


def test_quotes_are_one_printable_line_of_limited_length() -> None:
    assert quote("a\n\tb\x1b[31m\x00 \u202e c\ud800") == "a b [31m c"
    assert quote("word " * 1000, 80) == ("word " * 1000)[:79] + "…"
    assert len(quote("x" * 10**7)) == 500


@settings(deadline=None)
@given(st.text(st.sampled_from("sk-_*: apiKEYbearer\n0🦀\ud800"), max_size=80))
def test_quotes_can_always_be_written(text: str) -> None:
    quote(text).encode()
    assert "***" not in quote(text)


def test_surrogates_are_joined_or_replaced() -> None:
    assert well_formed("plain") == "plain"
    assert well_formed("是😀") == "是😀"
    assert well_formed("\ud83d\ude00 \ude00 \ud83d") == "😀 \ufffd \ufffd"
