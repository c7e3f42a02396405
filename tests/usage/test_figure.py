import sys
from io import BytesIO
from itertools import combinations, pairwise

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from dsnb.client.usage import Usage
from dsnb.usage import UsageLog
from dsnb.usage.figure import _KINDS
from tests.usage.calls import log_call

CONTRAST = 3.0  # what WCAG 2 asks of graphics that carry meaning


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text()]


def png(figure: Figure, **options) -> np.ndarray:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", **options)
    buffer.seek(0)
    return imread(buffer)


@pytest.fixture
def log():
    return UsageLog()


def test_the_picture_shows_tokens_by_kind_and_the_cost_so_far(log) -> None:
    for _ in range(10):
        log_call(log)
    upper, lower = log.plot().axes
    heights = [sum(bar.get_height() for bar in kind) for kind in upper.containers]
    assert heights == [5120, 4880, 1500, 500]  # hit, miss, reasoning, answer
    assert [bar.get_height() for bar in upper.containers[0]] == [512] * 10
    (line,) = [patch for patch in lower.patches if not patch.get_fill()]
    assert line.get_data().values == pytest.approx(np.arange(1, 11) * 0.000194736)
    assert {"cache hit  5.12k", "answer  500", "$0.00195", "live · 10 turns · 12k tokens"} <= set(words(log.plot()))
    assert lower.get_ylabel() == "cost so far (USD)"
    assert {"¥0.013", "cost so far (CNY)"} <= set(words(log.plot("CNY")))


def test_an_empty_ledger_says_so(log) -> None:
    figure = log.plot()
    assert words(figure) == ["Nothing has been logged yet."]
    assert figure.get_figheight() == 1  # inch
    assert "no turns" in repr(figure._repr_mimebundle_()[0]["text/plain"])


def test_live_and_emulated_calls_have_their_own_axes(log) -> None:
    log_call(log)
    log_call(log, source="emulator", usage=Usage(10, 5, 15, 0, 10, 0))
    figure = log.plot()
    assert len(figure.axes) == 4
    titles = {"live · 1 turn · 1.2k tokens", "emulator · 1 turn · 15 tokens"}
    assert titles | {"cache miss  488", "cache miss  10"} <= set(words(figure))


def test_what_is_not_known_is_said(log) -> None:
    log_call(log, usage=None)
    assert {"+ 1 attempt\nof unknown size", "unknown"} <= set(words(log.plot()))


@pytest.mark.slow
def test_a_long_ledger_is_drawn_in_few_strokes(log) -> None:
    for _ in range(1501):
        log_call(log)
    upper, lower = log.plot().axes
    assert len(upper.containers[0]) <= 60
    assert sum(bar.get_height() for kind in upper.containers for bar in kind) == 1501 * 1200
    assert upper.get_ylabel() == "tokens in 26 turns"
    values = lower.patches[1].get_data().values
    assert len(values) == 1000
    assert values[-1] == pytest.approx(1501 * 0.000194736)


def luminance(colour: np.ndarray) -> np.ndarray:
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
def test_text_is_legible_on_light_and_dark_pages(log, page) -> None:
    for _ in range(3):
        log_call(log)
    figure = log.plot()
    image = png(figure)
    assert (image[:4, :4, 3] == 0).all()  # nothing is painted behind it
    ground = luminance(np.array(to_rgb(page)))
    for text in figure.findobj(lambda artist: hasattr(artist, "get_text")):
        if text.get_text() and text.get_text() != "■":
            ink = luminance(np.array(to_rgb(text.get_color())))
            assert (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05) > CONTRAST


def test_the_kinds_can_be_told_apart_without_hue() -> None:
    light = [luminance(np.array(to_rgb(colour))) for colour in _KINDS.values()]
    for one, other in pairwise(light):  # neighbours in the stack
        assert (max(one, other) + 0.05) / (min(one, other) + 0.05) > 1.5
    for one, other in combinations(light, 2):  # which others become where a kind has no tokens
        assert (max(one, other) + 0.05) / (min(one, other) + 0.05) > 1.2


def test_the_same_ledger_gives_the_same_svg(log) -> None:
    log_call(log)
    files = []
    for _ in range(2):
        buffer = BytesIO()
        log.plot().savefig(buffer, format="svg")
        files.append(buffer.getvalue())
    assert files[0] == files[1]
    assert b"cache hit" in files[0]  # text stays text


def test_it_shows_itself_without_pyplot(log) -> None:
    before = set(sys.modules)
    log_call(log)
    data, metadata = log.plot()._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert data["text/plain"] == "<Figure: tokens by kind and growing cost of 1 live turn>"
    shown = imread(BytesIO(data["image/png"]))
    assert shown.shape[1] == 2 * metadata["image/png"]["width"]
    assert "matplotlib.pyplot" not in set(sys.modules) - before
