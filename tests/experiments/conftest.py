"""A session with an emulator, for sweeps to ask."""

import pytest

import dsnb
from tests.experiments.killing import AS_OF
from tests.once import ONCE


@pytest.fixture
def ds(emulator):
    with dsnb.connect(emulator.base_url, as_of=AS_OF, retry=ONCE, quiet=True) as ds:
        yield ds
