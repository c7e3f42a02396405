"""Model text as Markdown: what it may become, what it never becomes, and at what cost."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dsnb.display import markdown as md
from dsnb.display import math
from tests.display.inspection import Page, assert_harmless, assert_markdown_harmless, outside_fences
from tests.display.payloads import ALL, PAYLOADS
from tests.effort import effort

WRAPPERS = {
    "alone": "{}",
    "in a sentence": "Look: {} and on.",
    "in a list": "- {}\n  - nested",
    "in a quotation": "> {}",
    "in a heading": "## {}",
    "in a table": "| a | b |\n|---|--:|\n| {} | x |",
    "in emphasis": "**{}**",
    "in a link": "[{}](http://a.test)",
    "after a fence": "```python\nx\n```\n{}",
    "in an open fence": "```\n{}",
    "in a formula": r"\( {} \)",
    "behind a dollar": "${} $x$",
}
MARKUP = [
    *("`", "```", "```\n", "~~~\n", "*", "**", "_", "~~", "[", "]", "](", ")", "(", "<", ">", "&", "&lt;", "&#60;"),
    *("!", "![", "|", "|-|-|", "\n", "\n\n", "\n- ", "\n1. ", "\n> ", "\n# ", "    ", "\t", "\\", "\\\\", "$", "$$"),
    *("\\(", "\\)", "\\[", "\\]", "\\begin{align}", "\\end{align}", "{", "}", "\\href", "\\frac12", "<b>", "</b>"),
    *("<img src=x onerror=alert(1)>", "javascript:", "http://a.test/", "@@0@@", '"', "'", "=", "---", ":", " ", "%"),
    *("\r", "\x1b[0m", "\u202e", "\u2028", "\x00", "é", "שלום", "中文", "\ud800", "word", "two words", "1.", "<!--"),
]
HOSTILE = st.lists(st.sampled_from(MARKUP) | st.text(max_size=5), max_size=40).map("".join)


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS.keys())
def test_no_payload_becomes_markup(wrapper):
    for payload in ALL:
        text = wrapper.replace("{}", payload)
        assert_harmless(md.html(text))
        assert_markdown_harmless(md.markdown(text))


@settings(max_examples=150, deadline=None)
@given(HOSTILE, st.booleans())
def test_whatever_is_written_only_allowed_html_comes_out(text, breaks):
    assert_harmless(md.html(text, breaks=breaks))


@settings(max_examples=150, deadline=None)
@given(HOSTILE, st.booleans())
def test_whatever_is_written_the_markdown_holds_no_markup_of_the_model(text, breaks):
    assert_markdown_harmless(md.markdown(text, breaks=breaks))


@settings(max_examples=100, deadline=None)
@example(["$$", "%", "$$"])
@given(st.lists(st.sampled_from([piece for piece in MARKUP if "word" not in piece]), max_size=30))
def test_no_word_is_lost(pieces):
    text = "".join(f"{piece}word{number}z" for number, piece in enumerate(pieces))
    page = Page.read(md.html(text))
    twin = md.markdown(text)
    seen = page.text + "".join(attributes.get("href", "") for _, attributes in page.elements)
    for number in range(len(pieces)):
        # the name that a fence gives its language is no text
        if f"word{number}z" not in seen:
            assert any(f"word{number}z" in line for line in text.split("\n") if "```" in line or "~~~" in line)
        else:
            assert f"word{number}z" in twin or f"word{number}z" in md.html(twin)


@settings(max_examples=100, deadline=None)
@given(HOSTILE)
def test_the_markdown_says_what_the_html_says(text):
    def words(page):
        return "".join(character for character in page.text if character.isalnum())

    ours = assert_harmless(md.html(text))
    twin = assert_markdown_harmless(md.markdown(text))
    if "\\" not in text and "$" not in text:  # formulas read differently: < is \lt, | is \vert
        assert words(twin) == words(ours)


@settings(max_examples=200, deadline=None)
@given(HOSTILE)
def test_a_block_reads_alone_as_it_does_in_its_text(text):
    blocks = md.blocks(text)
    source = md.legible(text)
    for block in blocks:
        assert source[block.start :].startswith(block.source)
    if blocks:  # what streams goes on from the last block, and must not change it
        rest = md.blocks(source[blocks[-1].start :])
        assert [block.html for block in rest] == [blocks[-1].html]


def test_common_markdown():
    html = md.html(
        "# Title\n\nSome *em*, **strong**, ~~gone~~, `code` and [a link](https://a.test/?x=1&y=2).\n\n1. one\n2. two"
    )
    assert html == (
        "<h3>Title</h3>\n<p>Some <em>em</em>, <strong>strong</strong>, <s>gone</s>, <code>code</code> and "
        '<a href="https://a.test/?x=1&amp;y=2" rel="noopener noreferrer">a link</a>.</p>\n'
        "<ol><li>one\n</li>\n<li>two\n</li>\n</ol>\n"
    )


def test_reference_links_stay_text_since_their_ends_come_too_late():
    assert md.html("[a][1]\n\n[1]: http://a.test") == "<p>[a][1]</p>\n<p>[1]: http://a.test</p>\n"


def test_a_table_keeps_its_alignment():
    table = "| name | n |\n|:--|--:|\n| a \\| b | 1 |"
    assert '<td align="left">a | b</td>\n<td align="right">1</td>' in md.html(table)
    assert md.markdown(table) == "| name | n |\n| :-- | --: |\n| a \\| b | 1 |"


@pytest.mark.parametrize(
    "source",
    [
        "Some *em* and **strong** and ~~gone~~.",
        "- one\n- two\n  - three\n- four",
        "1. one\n2. two",
        "- one\n\n- two\n\n  more",
        "> a quotation\n>\n> > and one in it",
        "### A heading",
        "```python\nprint(1)\n```",
        "a line\\\nand another",
        "[a link](https://a.test/path)",
        "Inline `code` here.",
        "$x^2$ and",
    ],
)
def test_plain_markdown_is_its_own_twin(source):
    assert md.markdown(source) == source.replace("### ", "##### ")


@pytest.mark.parametrize(
    ("text", "html"),
    [
        (r"\( a < b \)", r"<span>\( a &lt; b \)</span>"),
        (r"\[ x \]", r"<span>\[ x \]</span>"),
        ("$$ x $$", r"<span>\[ x \]</span>"),
        ("\\[\na\n\n- b\n\\].", r"<span>\[ a - b . \]</span>"),
        ("\\begin{align}\na &= b\n\\end{align}", r"<span>\[ \begin{align} a &amp;= b \end{align} \]</span>"),
        ("the sum $a+b$.", r"<span>\( a+b \)</span>"),
        (r"\[ \begin{pmatrix} 1 & 2 \\[2pt] 3 & 4 \end{pmatrix} \]", r"1 &amp; 2 \\[2pt] 3 &amp; 4"),
        ("\\(x %\ny\\)", r"<span>\( x y \)</span>"),
        ("so $$50% of x$$ it is", "<code>$$50% of x$$</code>"),  # of which TeX would keep the 50
        (r"$$50\% \text{ of } x$$", r"<span>\[ 50\% \text{ of } x \]</span>"),
        (r"\( \text{if } a < b \)", r"<span>\( \text{if } a &lt; b \)</span>"),
        (r"\( \text{if a < b} \)", r"<code>\( \text{if a &lt; b} \)</code>"),
        (r"\[ E = mc^2 \label{eq:1} \]", r"<span>\[ E = mc^2 \]</span>"),
    ],
)
def test_formulas_become_what_jupyter_typesets(text, html):
    assert html in md.html(text)


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        (r"\( a < b \)", r"$a \lt  b$"),
        (r"So \[ |x| \] holds", r"So $$\vert x\vert $$ holds"),
        ("\\[\na\n\\]", "$$a$$"),
        ("the sum $a+b$.", "the sum $a+b$."),
    ],
)
def test_formulas_become_what_jupyter_finds_in_markdown(text, markdown):
    assert md.markdown(text) == markdown


@pytest.mark.parametrize(
    "text", ["$5 and $6", "US$5 to AU$6", "$5-$6", "a $ b $ c", "$HOME/$PATH", r"\$x\$", "5$ and 6$"]
)
def test_prices_are_no_formulas(text):
    html = md.html(text)
    assert "\\(" not in html
    assert html.count("<span>$</span>") == text.count("$")
    assert md.markdown(text).count("<span>&#36;</span>") == text.count("$")


def test_delimiters_in_code_stay_as_they_are():
    assert md.html(r"`\(x\)` and `$y$`") == "<p><code>\\(x\\)</code> and <code>$y$</code></p>\n"
    assert md.html("```\n\\[x\\]\n$$y$$\n```") == "<pre><code>\\[x\\]\n$$y$$\n</code></pre>\n"
    assert md.markdown(r"`$y$`") == "<code>&#36;y&#36;</code>"


@pytest.mark.parametrize("payload", [payload for payload in PAYLOADS["math"] if "\\(" in payload or "$" in payload])
def test_hostile_formulas_are_shown_as_code_or_text(payload):
    assert not any(
        name in math_of(md.html(payload)) for name in ("href", "url", "class", "Id", "def", "require", "rule")
    )


def math_of(html):
    return "".join(string for string in Page.read(html).strings if string.startswith(("\\(", "\\[")))


@pytest.mark.parametrize(
    "tex",
    [
        r"\frac{-b \pm \sqrt{b^2-4ac}}{2a}",
        r"\int_0^\infty e^{-x^2}\,dx = \frac{\sqrt{\pi}}{2}",
        r"\left\{ \begin{array}{ll} 1 & x > 0 \\ 0 & \text{otherwise} \end{array} \right.",
        r"\mathbb{E}_{x \sim p}[\log p_\theta(x)] \triangleq \operatorname*{arg\,max}_\theta \mathcal{L}",
        r"\underbrace{a + \cdots + a}_{n\text{ times}} \tag{1}",
        r"\boxed{\textcolor{red}{42}}",
        r"A \xrightarrow{\;f\;} B \hspace{1em} \forall x \in \mathbb{R}^{n \times m}",
        r"\begin{aligned} \nabla \cdot \mathbf{E} &= \frac{\rho}{\varepsilon_0} \end{aligned}",
    ],
)
def test_what_people_write_is_typeset(tex):
    assert math.fit(tex) == tex


@pytest.mark.parametrize("info", ["mermaid", "math", 'x"onload=alert(1)', "<b>", "dot", "a" * 50, "{.python}"])
def test_a_fence_names_its_language_only_by_a_plain_name(info):
    text = f"```{info}\nx\n```"
    assert "alert" not in md.html(text)
    assert md.markdown(text) == "```\nx\n```"


def test_a_fence_cannot_be_closed_by_what_is_in_it():
    text = "````\n```\n<b>\n````\nafter"
    assert md.markdown(text) == "````\n```\n<b>\n````\n\nafter"
    assert outside_fences(md.markdown(text)).strip() == "after"


def test_code_in_known_languages_is_coloured_and_keeps_its_text():
    html = md.html("```python\ndef f():\n    return '<b>'  # why\n```")
    assert Page.read(html).text.strip("\n") == "def f():\n    return '<b>'  # why"
    assert {tuple(attributes.items()) for tag, attributes in Page.read(html).elements if tag == "span"} == {
        (("class", kind),) for kind in "kfsc"
    }


def test_text_from_right_to_left_finds_its_direction():
    assert md.html("שלום") == '<p dir="auto">שלום</p>\n'
    assert md.html("hello") == "<p>hello</p>\n"


def test_deep_nesting_loses_nothing():
    for text in (
        ">" * 500 + " word",
        "- " * 500 + "word",
        "*" * 500 + "word" + "*" * 500,
        "[" * 500 + "word" + "](http://a.test)" * 500,
    ):
        page = assert_harmless(md.html(text))
        assert "word" in page.text
        assert "word" in md.markdown(text)


LANGUAGES = ["python", "bash", "javascript", "html", "sql", "json", "c", "r", "yaml", "latex"]

SLOW = [
    "[",
    "![",
    "*_",
    "*a **a ",
    "[a](",
    "[[a](b)",
    "![a](",
    "`a``b```c",
    "<a",
    "\\(",
    "\\[\n",
    "$$\n",
    "$a ",
    "\\(\\\\)",
]
SLOW += [
    "a\n-|-\n",
    "  - a\n",
    "> ",
    "&#x;",
    "a_b ",
    "\\begin{align}\n",
    "(((",
    "$a$",
    "- a\n\n",
    "```\n",
    "```python\n'\n",
    "|",
]


@pytest.mark.parametrize("piece", SLOW)
@pytest.mark.slow
def test_no_text_costs_more_than_its_length(piece):
    def cost(size):
        text = (piece * size)[:size]
        return effort(lambda: [(block.html, block.markdown) for block in md.blocks(text)])

    cost(100)
    assert cost(4_000) <= 8 * 1.2 * cost(500)


CODE_PIECES = ["'", '"', "(", "\\", "/*", "<a ", "${", "a.", "\n ", "0x", "{{", "- ", "<!--", "=", "a:"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.slow
def test_no_code_costs_more_than_its_length(language):
    def cost(piece, size):
        return effort(lambda: md.html(f"```{language}\n{piece * size}\n```"))

    cost("a", 1)
    for piece in CODE_PIECES:
        assert cost(piece, 8_000) <= 8 * 1.2 * cost(piece, 1_000), piece
