"""The three lists of dependencies say the same: pyproject.toml, environment.yml and the lock."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {"matplotlib-base": "matplotlib"}  # the package without a GUI toolkit
CONDA_ONLY = {"python", "pip"}


def declared() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [text for texts in project["optional-dependencies"].values() for text in texts]
    found = [Requirement(text) for text in [*project["dependencies"], *extras]]
    return {canonicalize_name(r.name): r for r in found if r.name != "dsnb"}


def in_conda() -> dict[str, Requirement]:
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in entries if isinstance(entry, dict))
    found = {}
    for text in [*(e for e in entries if isinstance(e, str)), *(p for p in pip if not p.startswith("-"))]:
        requirement = Requirement(text)
        found[canonicalize_name(CONDA_NAMES.get(requirement.name, requirement.name))] = requirement
    return found


def test_conda_lists_what_the_project_declares():
    conda = {name: str(r.specifier) for name, r in in_conda().items() if name not in CONDA_ONLY}
    assert conda == {name: str(r.specifier) for name, r in declared().items()}


def test_conda_asks_for_the_same_python():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert str(in_conda()["python"].specifier) == project["requires-python"]


def test_the_lock_pins_every_dependency_within_its_bounds():
    lock = (ROOT / "requirements.lock").read_text()
    pinned = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", lock, re.MULTILINE))
    assert {name for name in declared() if name not in pinned} == set()
    assert {name for name, r in declared().items() if pinned[name] not in r.specifier} == set()


def test_the_locks_hold_hashes_and_no_addresses():
    for name in ("requirements.lock", "requirements-model.lock", "requirements-uv.lock"):
        text = (ROOT / name).read_text()
        pins = re.findall(r"^[a-z0-9.-]+==.*", text, re.MULTILINE)
        assert pins, name
        assert all(line.endswith("\\") for line in pins), f"{name}: a pin without a hash"
        assert "://" not in text
        assert "--index" not in text
