import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dsnb


def test_every_name_of_the_face_is_there_and_sorted():
    assert dsnb.__all__ == sorted(dsnb.__all__)
    for name in dsnb.__all__:
        assert getattr(dsnb, name).__doc__
        assert name in dir(dsnb)
    with pytest.raises(AttributeError, match="oracle"):
        _ = dsnb.oracle


def test_the_face_shows_what_is_documented_and_no_more():
    assert dir(dsnb) == sorted([*dsnb.__all__, "__version__", "contract", "economics", "errors", "experiments"])
    assert callable(dsnb.load_ipython_extension)


def test_importing_loads_nothing_else():
    code = "import sys; before = set(sys.modules); import dsnb; print(sorted(set(sys.modules) - before))"
    environment = {"PYTHONPATH": str(Path(dsnb.__file__).parents[1])}
    command = [sys.executable, "-S", "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert "'dsnb'" in loaded
    assert not [name for name in ("openai", "httpx", "pandas", "starlette", "typing") if f"'{name}'" in loaded]


def test_the_package_and_the_project_tell_one_version():
    project = tomllib.loads((Path(dsnb.__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert project["version"] == dsnb.__version__
