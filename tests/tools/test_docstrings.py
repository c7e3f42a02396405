import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsnb.tools.docstrings import read

GOOGLE = """Return a price.

    Slow on Sundays.

    Args:
        symbol (str): The ticker,
            in capitals.
        when (Optional[Literal["a", "b"]]): Which day: today
            or later.

            A second paragraph.
        *rest: More.

    Returns:
        The price in USD.
    """
NUMPY = """
    Return a price.

    Slow on Sundays.

    Parameters
    ----------
    symbol : str
        The ticker,
        in capitals.
    when, until : {"a", "b"}, optional
        Which day: today or later.

        A second paragraph.
    *rest
        More.

    Returns
    -------
    float
        The price in USD.
    """
REST = """Return a price.

    Slow on Sundays.

    :param symbol: The ticker,
        in capitals.
    :type symbol: str
    :param str when: Which day: today or later.

        A second paragraph.
    :param rest: More.
    :returns: The price in USD.
    """


@pytest.mark.parametrize("docstring", [GOOGLE, NUMPY, REST])
def test_parameters_are_taken_out_and_all_other_text_stays(docstring):
    text, about = read(docstring, ["symbol", "when", "rest"])
    assert about == {
        "symbol": "The ticker, in capitals.",
        "when": "Which day: today or later.\n\nA second paragraph.",
        "rest": "More.",
    }
    assert text.startswith("Return a price.\n\nSlow on Sundays.\n\n")
    assert text.endswith("The price in USD.")
    assert not any(word in text for word in ("symbol", "ticker", "Args", "Parameters", ":type", "\n\n\n"))


def test_a_numpy_line_may_name_several():
    assert read(NUMPY, ["until"])[1] == {"until": "Which day: today or later.\n\nA second paragraph."}


def test_text_behind_the_parameters_stays():
    text, about = read("Do.\n\nArgs:\n    a: One.\n\nMind the gap.", ["a"])
    assert (text, about) == ("Do.\n\nMind the gap.", {"a": "One."})


@pytest.mark.parametrize(
    "docstring",
    [
        "",
        "Do it: now.",
        "Do.\n\nExample:\n    a: b",
        "Do.\n\nArgs:\n    nothing that is a parameter",
        "Do.\n\nArgs:\n    other: of something else",
        "Parameters are fun.\n\nParameters",
        "Do.\n\n:param other: of something else",
        "Title\n-----\nText.",
    ],
)
def test_what_speaks_of_no_parameter_is_text(docstring):
    assert read(docstring, ["a", "b"]) == (docstring, {})


def test_entries_of_other_names_do_not_run_into_ours():
    assert read("Do.\n\nArgs:\n    a: One.\n    z: Not ours.\n    b:\n        Two.", ["a", "b"])[1] == {
        "a": "One.",
        "b": "Two.",
    }


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["Args:", "  a: x", "a : x", "----", "Parameters", ":param a: x", "", "    y", "Text."]))
)
def test_any_docstring_can_be_read(lines):
    text, about = read("\n".join(lines), ["a"])
    assert set(about) <= {"a"}
    assert text.count("Text.") + "".join(about.values()).count("Text.") <= lines.count("Text.")
