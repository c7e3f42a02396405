"""Markdown that is read while it is being written: the same in the end, each block once, at a cost that is linear."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsnb.display import markdown as md
from dsnb.display.growth import Growth, units
from dsnb.display.text import legible
from tests.display.inspection import assert_harmless
from tests.display.payloads import ALL
from tests.display.test_markdown import MARKUP
from tests.effort import effort

# what begins, goes on with and ends blocks, so that what follows often says what came before
LINES = [
    *("- a\n", "  b\n", "    c\n", "1. x\n", "2. y\n", "2", "-", "+ z\n", "> q\n", "> ```\n", "- ```\n"),
    *(
        "```py\n",
        "```\n",
        "   ```\n",
        "    ```\n",
        "`````\n",
        "~~~\n",
        "a | b\n",
        "--|--\n",
        "c | d\n",
        "===\n",
        "---\n",
    ),
    *("***\n", "# h\n", "\\[\n", "\\] .\n", "$$\n", "\\begin{align}\n", "\\end{align}\n", "words ", "\t", "\n", "\n\n"),
]
PIECES = st.lists(st.sampled_from(LINES * 2 + MARKUP).map(legible), max_size=40)


def grown(pieces, **options):
    growth = Growth(**options)
    for piece in pieces:
        growth.read(piece)
    growth.finish()
    return growth


def joined(growth):
    return "".join(html for _, html in growth.blocks)


@settings(max_examples=300, deadline=None)
@given(PIECES, st.booleans(), st.booleans())
@pytest.mark.slow
def test_blocks_that_were_finished_one_by_one_are_those_of_the_whole(pieces, by_character, breaks):
    text = "".join(pieces)
    growth = grown(text if by_character else pieces, breaks=breaks)
    assert joined(growth) == md.html(text, breaks=breaks)
    ends = [end for end, _ in growth.blocks]
    assert ends == sorted(ends)
    assert not ends or ends[-1] <= units(text)


@settings(max_examples=200, deadline=None)
@given(PIECES)
def test_what_is_finished_is_not_changed_by_whatever_follows(pieces):
    growth, before = Growth(), []
    for piece in pieces:
        growth.read(piece)
        assert growth.blocks[: len(before)] == before
        before = list(growth.blocks)


BLOCKS = {
    "a paragraph, by an empty line": ("Some *words*,\nand more.\n", "\n", "Next"),
    "a heading, by its line": ("## Head", "\n", ""),
    "an underlined heading": ("Head\n---", "\n", ""),
    "a rule": ("***", "\n", ""),
    "a table": ("| a | b |\n|---|--:|\n| 1 | 2 |\n", "\n", ""),
    "code, by its fence": ("```python\nx = 1\n\n\ny = 2\n```", "\n", ""),
    "code that holds fences": ("````\n```\nx\n```\n````", "\n", ""),
    "a formula": ("\\[\nx = 1\n\\]", "\n", ""),
    "a quotation": ("> so it is\n", "\n", "Next"),
    "a list, by what follows": ("- a\n- b\n\n  more\n\n", "Next\n", "- c"),
    "a numbered list": ("1. a\n2. b\n\n", "Next\n", ""),
    "indented code": ("    x = 1\n\n", "Next\n", ""),
}


@pytest.mark.parametrize(("block", "ending", "more"), BLOCKS.values(), ids=BLOCKS.keys())
def test_a_block_is_finished_as_soon_as_it_can_be(block, ending, more):
    growth = Growth()
    for character in block:
        growth.read(character)
    assert growth.blocks == []
    growth.read(ending)
    ((end, html),) = growth.blocks
    assert html == md.blocks(block)[0].html
    assert units(block.rstrip("\n")) <= end <= units(block + ending)
    growth.read(more)
    assert joined(growth) == html


def test_half_a_line_finishes_nothing():
    growth = Growth()
    growth.read("1. a\n\n2")  # a paragraph, or the next item
    assert growth.blocks == []
    growth.read(". b\n\n2\n")
    assert len(growth.blocks) == 1
    assert growth.blocks[0][1].count("<li>") == 2


def test_a_formula_that_may_still_be_closed_holds_back_what_stands_in_it():
    growth = Growth()
    growth.read("Before.\n\n\\[\nx\n\nor a paragraph?\n\n")
    assert [html for _, html in growth.blocks] == ["<p>Before.</p>\n"]
    growth.read("\\]\n")
    assert len(growth.blocks) == 2
    growth = Growth()
    growth.read("\\[\n" + "x\n\n" * 200)  # is none any more
    assert growth.blocks[0][1] == "<p>[\nx</p>\n"


def test_what_would_depend_on_other_blocks_is_read_as_text_live_and_in_the_end():
    text = "See [it][1].\n\n[1]: http://a.test\n\n- a\n- b\n\n- c\n"
    growth = grown(text)
    assert joined(growth) == md.html(text)
    assert "<a " not in joined(growth)
    assert "[1]: http://a.test" in joined(growth)
    assert joined(growth).count("<ul>") == 1  # the list became loose with its last item, and nobody had seen it tight
    assert joined(growth).count("<p>") == 2 + 3


def test_a_draft_shows_what_is_not_finished_and_ends_before_marks_that_say_nothing_yet():
    growth = Growth()
    growth.read("A paragraph with **bold words** that is long enough")
    assert growth.draft == (51, "<p>A paragraph with <strong>bold words</strong> that is long enough</p>\n")
    before = growth.draft
    growth.read(" and")
    assert growth.draft is before  # of which the page shows the text behind the draft
    growth.read(" goes on for another line or so, and so on\n--")
    assert growth.draft[1].startswith("<p>")  # and no heading: these may be the marks of a list
    assert growth.draft[0] == 51 + len(" and goes on for another line or so, and so on")
    growth.read("\n\nNext")
    assert growth.draft is None


def test_the_space_between_a_draft_and_what_follows_is_kept():
    growth = Growth()
    growth.read("one two three four five six seven eight nine ")
    end, html = growth.draft
    assert html == "<p>one two three four five six seven eight nine</p>\n"
    assert end == len("one two three four five six seven eight nine")


def test_places_count_as_a_page_counts():
    growth = Growth()
    growth.read("naïve 🙂\n\nnext")
    assert growth.blocks[0][0] == len("naïve 🙂\n".encode("utf-16-le")) // 2


def test_no_payload_becomes_markup_at_any_time():
    for payload in ALL:
        growth = Growth()
        for start in range(0, len(payload), 7):
            growth.read(legible(payload[start : start + 7]))
            if growth.draft is not None:
                assert_harmless(growth.draft[1])
        growth.finish()
        assert_harmless(joined(growth))


@pytest.mark.parametrize("piece", ["word ", "- a\n", "a\n\n", "```\n", "~~~\nx\n", "\\[\n", "[[a](b)"])
@pytest.mark.slow
def test_no_text_costs_more_than_its_length_however_it_is_cut(piece):
    def cost(size):
        text = legible((piece * size)[:size])
        return effort(lambda: grown(text[at : at + 10] for at in range(0, size, 10)))

    cost(100)
    assert cost(1_600) <= 4 * 1.5 * cost(400)


@pytest.mark.slow
def test_drafts_take_four_times_the_text_at_most():
    for text in ("word " * 3_000, "- item\n" * 2_000, "```\n" + "x = 1\n" * 2_000):
        growth, drafts = Growth(), []
        for at in range(0, len(text), 5):
            growth.read(text[at : at + 5])
            if growth.draft is not None and (not drafts or growth.draft is not drafts[-1]):
                drafts.append(growth.draft)
        assert len(drafts) > 10
        assert sum(end for end, _ in drafts) <= 4.5 * len(text)
