"""One JupyterLab and one browser for all tests of a file that need them."""

import os

import pytest

from tests.display.lab import Lab, missing


@pytest.fixture(scope="module")  # no longer: while a browser is driven from here, no other test can run an event loop
def lab(tmp_path_factory):
    """Serve an empty folder; skip where a person has no browser for this, fail where a machine must have one."""
    if problem := missing():
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up(f"the live panel in a browser {problem}")
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def notebook(lab):
    """Show a notebook without cells; its kernel is shared, and is a new one after a test that has ended it."""
    name = "shared.ipynb"
    if not (lab.folder / name).exists():
        lab.write(name)
    notebook = lab.open(name)
    notebook.fill()
    return notebook
