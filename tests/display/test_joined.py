"""A completion as it is shown: what was given and what was written, told apart and harmless."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsnb.client.reply import Reply
from dsnb.display import joined
from dsnb.display.text import legible
from tests.display.inspection import _TEXT, Page, assert_harmless, assert_markdown_harmless
from tests.display.payloads import ALL
from tests.effort import effort

TAGS = _TEXT | {"ins"}
AREA = Reply(
    start='def area(r):\n    """Return the area."""\n',
    answer="    pi = 3.14\n\n    area = pi * r",
    suffix=" ** 2\n    return area\n",
)


def texts(html, tag):
    """Return what stands in each element of a tag."""
    return [Page.read(inner).text for inner in re.findall(f"(?s)<{tag}>(.*?)</{tag}>", html)]


def rows(html):
    """Return the kind and the text of each line."""
    lines = re.findall(r'(?m)<span class="dsnb-(line|new|both)">(.*)</span>$', html.removesuffix("</code></pre>"))
    return [(kind, Page.read(inner).text) for kind, inner in lines]


def test_lines_say_who_wrote_them():
    html = joined.html(AREA)
    assert rows(html) == [
        ("line", "def area(r):"),
        ("line", '    """Return the area."""'),
        ("new", "    pi = 3.14"),
        ("new", ""),
        ("both", "    area = pi * r ** 2"),
        ("line", "    return area"),
    ]
    assert texts(html, "ins") == ["    pi = 3.14", "", "    area = pi * r"]
    assert_harmless(html, tags=TAGS)


def test_markdown_and_text_mark_the_lines_of_the_model():
    plain = [
        "  def area(r):",
        '      """Return the area."""',
        "+     pi = 3.14",
        "+",
        "+     area = pi * r ** 2",
        "      return area",
    ]
    assert joined.plain(AREA).split("\n") == plain
    assert joined.markdown(AREA) == "\n".join(["```diff", *plain, "```"])


def test_a_token_that_both_wrote_keeps_its_colour():
    html = joined.html(Reply(start="def f():\n    ret", answer="urn 'a", suffix="b'\n"))
    assert '<span class="k">ret</span><ins><span class="k">urn</span> <span class="s">\'a</span></ins>' in html
    assert '<span class="s">b\'</span></span>' in html


@pytest.mark.parametrize(
    ("reply", "kind", "coloured"),
    [
        (Reply(start="```python\n", answer="return 1\n"), "joined", ["return", "1"]),
        (Reply(start="Here:\n```py\n", answer="is = None\n```\nThis is not code."), "joined", ["is", "None"]),
        (Reply(start="In a word, this ", answer="is not code."), "prose", []),
        (Reply(start="Select the best", answer=" of all"), "prose", []),
        (Reply(start="lorem ", answer="is", suffix=" ipsum"), "joined", []),
        (Reply(start="SELECT a ", answer="FROM b"), "joined", ["SELECT", "FROM"]),
        (Reply(start='{"a":', answer=" 1}"), "joined", ['"a"', "1"]),
    ],
)
def test_languages_are_those_of_fences_or_show_by_signs(reply, kind, coloured):
    html = joined.html(reply)
    assert html.startswith(f'<pre class="dsnb-{kind}">')
    assert re.findall(r'<span class="[kscmf]">([^<]*)</span>', html) == coloured


def test_only_what_goes_on_from_something_is_joined():
    assert [joined.fits(reply) for reply in (Reply("x"), Reply("x", start="a"), Reply("x", suffix="b"))] == [0, 1, 1]


@pytest.mark.parametrize("payload", ALL)
@pytest.mark.slow
def test_hostile_text_is_shown_and_never_obeyed(payload):
    for reply in (
        Reply(start="def f():\n", answer=payload, suffix="\nreturn"),
        Reply(start=payload, answer=payload, suffix=payload),
        Reply(start="```python\n" + payload, answer=payload),
    ):
        page = assert_harmless(joined.html(reply), tags=TAGS)
        shown = "".join(map(legible, (reply.start, reply.answer, reply.suffix)))
        assert page.text == shown.removesuffix("\n")
        assert_markdown_harmless(joined.markdown(reply))


PIECE = st.text(st.sampled_from("ab \n\t`~'\"<&>{#=\\$\r\u2028\ud800😀é")) | st.sampled_from(
    ["```python\n", "```\n", "def f():\n", "'''", "~~~\n", "&amp;"]
)


@given(PIECE, PIECE, PIECE)
def test_nothing_is_lost_whoever_wrote_it(start, answer, suffix):
    reply = Reply(start=start, answer=answer, suffix=suffix)
    html = joined.html(reply)
    page = assert_harmless(html, tags=TAGS)
    given_, wrote, after = map(legible, (start, answer, suffix))
    whole = given_ + wrote + after
    assert page.text == whole.removesuffix("\n")
    assert "".join(texts(html, "ins")) == wrote.replace("\n", "")
    lines = joined.plain(reply).split("\n")
    assert [line[2:] for line in lines] == [line.rstrip() for line in whole.removesuffix("\n").split("\n")]


@pytest.mark.parametrize("piece", ["\n", " ", "`", "``` \n", "class a:", "import\n", "<&>'\"", "select a ", "=> "])
@pytest.mark.slow
def test_the_work_grows_with_the_text_and_no_faster(piece):
    def work(count):
        return effort(lambda: joined.html(Reply(start=piece * count, answer=piece * count, suffix=piece * count)))

    work(10)
    assert work(1600) <= 8 * 1.3 * work(200) + 2000
