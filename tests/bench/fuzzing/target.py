"""What the fuzzer runs: each input is held to the rules of `tests.client.hostile`, led by what of dsnb it covers."""

import sys

import atheris

with atheris.instrument_imports(include=["dsnb"]):
    from tests.client.hostile import check

atheris.Setup(sys.argv, check)
atheris.Fuzz()
