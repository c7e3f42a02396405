"""What the contract says about a request, as a table that says the same in every representation."""

import pytest

from dsnb.contract import Finding
from dsnb.display.findings import Findings, bundle
from tests.display.inspection import assert_bundle_harmless
from tests.display.payloads import ALL
from tests.display.test_bundle import text_of

FOUND = [
    Finding("temperature.range", "rejected", "temperature", "Invalid temperature", "Set it lower.", None, "H"),
    Finding("prompt.message", "billed", "messages[0]", "12 tokens.", "Nothing needs to change.", None, "H"),
]


@pytest.mark.parametrize("mime", ["text/html", "text/markdown", "text/plain"])
def test_each_representation_says_everything(mime):
    text = text_of(bundle(FOUND))[mime]
    for words in (
        *("2 findings", "1 rejected", "1 billed", "temperature", "rejected", "Invalid temperature", "Set it lower."),
        *("messages[0]", "billed", "12 tokens."),
    ):
        assert words in text
    assert "Nothing needs to change" not in text


def test_it_is_a_list_with_a_line_for_each():
    found = Findings(FOUND)
    assert found == FOUND
    assert repr(found) == (
        "rejected  temperature  Invalid temperature. Set it lower.\nbilled    messages[0]  12 tokens."
    )
    assert found._repr_mimebundle_() == bundle(FOUND)


def test_nothing_found_is_said():
    assert repr(Findings()) == "No findings: the contract has nothing to say about this request."
    data = Findings()._repr_mimebundle_()
    assert data["text/plain"] == "No findings · the contract has nothing to say about this request"
    assert "<table" not in data["text/html"]
    assert_bundle_harmless(data)


@pytest.mark.slow
def test_no_payload_becomes_markup_wherever_it_stands():
    for payload in ALL:
        found = Findings([Finding(payload, payload, payload, payload, payload, None, "H"), *FOUND])
        page, _ = assert_bundle_harmless(bundle(found))
        assert [tag for tag, _ in page.elements].count("tr") == 4
        assert repr(found).count("\n") == 2
