"""The pictures: what they say, and that it can be read on light and on dark pages."""

from io import BytesIO

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

import dsnb
from dsnb.contract.prices import history
from dsnb.errors import ConfigurationError, DsnbError
from dsnb.experiments.economics import compare, off_peak, plot_prices
from tests.usage.test_figure import CONTRAST, luminance, words

NIGHT, PEAK = "2026-11-16T12:00Z", "2026-09-24T02:10Z"


def figures() -> dict[str, Figure]:
    return {
        "prices": plot_prices(),
        "breaks even": compare(64_000, retrieved=4_000, questions=50, at=NIGHT).plot(),
        "does not": compare(400_000, retrieved=4_000, questions=1, question=300, at=NIGHT).plot(),
        "peak hours": off_peak((1, 1, 1), at=PEAK).plot(),
    }


@pytest.fixture(scope="module")
def drawn() -> dict[str, Figure]:
    return figures()


def test_prices_are_drawn_from_the_first_to_those_that_stand(drawn) -> None:
    strips = drawn["prices"].axes
    assert [axes.get_title(loc="left") for axes in strips] == ["input from the cache", "other input", "output"]
    assert {"pro\n$0.022 – 0.044", "chat, flash\n$0.15 – 0.30", "pro\n$1.98 – 3.96"} <= set(words(drawn["prices"]))
    assert "chat, flash\n¥0.02 – 0.04" in words(dsnb.economics.plot_prices("cny"))
    lowest = min(float(price.usd.hit) for price in history())
    assert min(line.get_ydata().min() for line in strips[0].lines) == lowest
    with pytest.raises(DsnbError, match="USD and CNY"):
        plot_prices("EUR")


def test_the_break_even_is_in_the_picture_where_there_is_one(drawn) -> None:
    found = compare(64_000, retrieved=4_000, questions=50, at=NIGHT)
    even = found.break_even.questions
    left, right = drawn["breaks even"].axes
    assert f"breaks even\nat question {even}" in words(drawn["breaks even"])
    long, short = (line.get_ydata() for line in left.lines[:2])
    assert long[even - 2] > short[even - 2]
    assert long[even - 1] <= short[even - 1]
    assert (right.lines[-1].get_xdata()[0], right.lines[-1].get_ydata()[0]) == (64_000, 4_000)
    few = compare(64_000, retrieved=4_000, questions=2, at=NIGHT).plot()
    assert f"breaks even\nat question {even}" in words(few)  # drawn as far as it takes
    assert not [text for text in words(drawn["does not"]) if "breaks even" in text]


def test_peak_hours_are_filled_on_working_days_only(drawn) -> None:
    (axes,) = drawn["peak hours"].axes
    spans = [(bar.get_x(), bar.get_width(), round(bar.get_y() + bar.get_height() / 2)) for bar in axes.patches]
    assert sorted({(begin, width) for begin, width, _ in spans}) == [(0, 24), (9, 3), (14, 4)]
    assert sorted({line for begin, _, line in spans if begin}) == [0, 4, 5, 6]  # Thursday, then Monday to Wednesday
    assert [text.get_text() for text in axes.texts].count("National Day") == 7
    night = off_peak((1, 1, 1), at="2025-06-11T12:00Z", model="deepseek-chat").plot(days=2).axes[0]
    assert {(bar.get_x(), bar.get_width()) for bar in night.patches} == {(0, 24), (0, 0.5), (8.5, 15.5)}
    with pytest.raises(ConfigurationError, match="between 1 and 60 days"):
        off_peak((1, 1, 1), at=PEAK).plot(days=0)


@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
def test_they_are_legible_on_light_and_dark_pages(drawn, page) -> None:
    ground = luminance(np.array(to_rgb(page)))
    for figure in drawn.values():
        for text in figure.findobj(lambda artist: hasattr(artist, "get_text")):
            if text.get_text():
                ink = luminance(np.array(to_rgb(text.get_color())))
                assert (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05) > CONTRAST


def test_they_show_themselves_on_no_ground_and_in_words(drawn) -> None:
    for figure in drawn.values():
        data, _ = figure._repr_mimebundle_()
        assert (imread(BytesIO(data["image/png"]))[:4, :4, 3] == 0).all()
        assert data["text/plain"].startswith("<Figure: ")
        assert data["text/plain"].count("\n") == 0
