import math

import pytest

from dsnb import Timeouts
from dsnb.errors import ConfigurationError


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "10", True])
@pytest.mark.parametrize("name", ["connect", "read", "stall", "deadline"])
def test_nonsense_is_told(name, value):
    with pytest.raises(ConfigurationError, match=rf"Timeouts\({name}=.*seconds above 0"):
        Timeouts(**{name: value})


def test_none_is_no_limit():
    assert Timeouts(stall=None, deadline=None).deadline is None
