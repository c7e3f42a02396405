import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from dsnb.usage import UsageLog
from tests.usage.calls import log_call, turn

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "| a | b |",
    "[click](javascript:alert(1))",
    "![](https://example.com/beacon.png)",
    "https://example.com",
    "`code` **bold** _it_ ~~no~~ \\",
    "$5 and $6",
    r"\(x\) \[y\]",
    "&lt;b&gt;",
    "a\nb",
]


class Cells(HTMLParser):
    """Collect tags and the texts between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.cells: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        if tag in {"td", "th"}:
            self.cells.append("")

    def handle_data(self, data) -> None:
        if self.cells:
            self.cells[-1] += data


def rendered(markdown: str) -> str:
    """As a reader that passes html on and makes links and tables."""
    return MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(markdown)


@pytest.fixture
def log():
    return UsageLog()


def test_all_three_say_the_same(log) -> None:
    for _ in range(1200):
        log_call(log)
    log_call(log, asked_model="deepseek-v4-pro", usage=None)
    log.began(turn())
    bundle = log._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/markdown", "text/html"}
    told = ["deepseek-flash", "deepseek-v4-pro", "1,200", "1,200,000", "51.2%", "240,000", "0.233683", "live"]
    told += ["model asked", "hit rate", "cost (USD)", "UsageLog in memory · 1,202 turns · 1,201 attempts · live"]
    told += ["The cost of 1 attempt is not known and not in these sums", "1 turn never ended, or is running"]
    html = Cells(bundle["text/html"])
    assert html.tags <= {"div", "strong", "table", "thead", "tbody", "tr", "th", "td", "span"}
    for text in told:
        assert text in bundle["text/plain"]
        assert text in re.sub(r"<[^>]*>", "", bundle["text/html"])
        assert text in re.sub(r"<[^>]*>", "", rendered(bundle["text/markdown"]))


def test_an_empty_ledger_says_so(log) -> None:
    for text in log._repr_mimebundle_().values():
        assert "Nothing has been logged yet" in text
        assert "source" not in text


def test_plain_columns_stand_below_each_other(log) -> None:
    log_call(log)
    log_call(log, asked_model="a-model-with-a-much-longer-name")
    _, head, *rows = log._repr_mimebundle_()["text/plain"].splitlines()
    ends = head.index("turns") + len("turns")
    assert all(row[ends - 1] == "1" and row[ends] == " " for row in rows)


def test_many_models_do_not_make_a_long_table(log) -> None:
    for number in range(30):
        log_call(log, asked_model=f"model-{number:02d}")
    for text in log._repr_mimebundle_().values():
        assert "model-11" in text
        assert "model-12" not in text
        assert "18 more models are in summary" in text.replace("\\", "")


@pytest.mark.parametrize("name", HOSTILE)
def test_names_never_become_markup(log, name) -> None:
    log_call(log, asked_model=name)
    check(log, name)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_no_name_becomes_markup(name) -> None:
    log = UsageLog()
    log_call(log, asked_model=name)
    check(log, name)


def check(log: UsageLog, name: str) -> None:
    bundle = log._repr_mimebundle_()
    for html in (bundle["text/html"], rendered(bundle["text/markdown"])):
        page = Cells(html)
        assert page.tags <= {"div", "strong", "table", "thead", "tbody", "tr", "th", "td", "span", "p"}
        assert page.attributes <= {"style"}
        assert len(page.cells) == 16  # two rows of eight: the table is whole
        shown = "".join(c if c.isprintable() else " " for c in name)
        assert page.cells[9].strip() == (shown.strip() or page.cells[9].strip())
    assert "$" not in re.sub(r"<span>\$</span>", "", bundle["text/html"])  # two of them would become mathematics
    assert len(bundle["text/plain"].splitlines()) == 3
