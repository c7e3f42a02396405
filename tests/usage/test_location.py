import sys
from pathlib import Path

import platformdirs
import pytest

from dsnb.usage.location import default_path, notebook

CHECKOUT = '[project]\nname = "dsnb"\n'


@pytest.fixture(autouse=True)
def _no_folder_is_chosen(monkeypatch):
    monkeypatch.delenv("DSNB_DATA")


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A user's own data folder."""
    home = tmp_path / "home"
    monkeypatch.setattr(platformdirs, "user_data_path", lambda name, appauthor: home / name)
    return home


def test_a_folder_of_ones_choice(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("DSNB_DATA", str(tmp_path / "my" / "data"))
    assert default_path() == tmp_path / "my" / "data" / "usage.sqlite"
    assert default_path().parent.is_dir()


def test_a_relative_folder_and_one_at_home(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("DSNB_DATA", "here")
    assert default_path() == tmp_path / "here" / "usage.sqlite"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DSNB_DATA", "~/there")
    assert default_path() == tmp_path / "there" / "usage.sqlite"


@pytest.mark.parametrize("place", [".", "notebooks", "notebooks/deeper"])
def test_the_data_folder_of_a_checkout(monkeypatch, tmp_path, place) -> None:
    (tmp_path / "pyproject.toml").write_text(CHECKOUT)
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / place)
    assert default_path() == tmp_path / "data" / "usage.sqlite"


@pytest.mark.parametrize("project", [b'[project]\nname = "other"', b"[project", b"\xff\xfe", b"project = 3", b""])
def test_somebody_elses_project_is_no_checkout(home, tmp_path, project) -> None:
    (tmp_path / "pyproject.toml").write_bytes(project)
    assert default_path() == home / "dsnb" / "usage.sqlite"
    assert (home / "dsnb").is_dir()


def test_a_checkout_around_somebody_elses_project(monkeypatch, tmp_path) -> None:
    (tmp_path / "pyproject.toml").write_text(CHECKOUT)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "pyproject.toml").write_text("[project]\nname = 'other'")
    monkeypatch.chdir(tmp_path / "other")
    assert default_path() == tmp_path / "data" / "usage.sqlite"


def test_a_folder_that_cannot_be_made_is_not_an_error_yet(monkeypatch, tmp_path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DSNB_DATA", str(tmp_path / "file" / "data"))
    assert default_path() == tmp_path / "file" / "data" / "usage.sqlite"


@pytest.mark.parametrize(
    ("session", "name"),
    [
        ("/home/me/notebooks/00-start-here.ipynb", "00-start-here.ipynb"),
        ("00-start-here.ipynb", "00-start-here.ipynb"),
        (r"C:\me\a.ipynb", "a.ipynb"),
        ("/home/me/console-1-5d3e8d2a", None),
        ("", None),
    ],
)
def test_jupyter_names_the_notebook_in_the_environment(monkeypatch, session, name) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", session)
    assert notebook() == name


def test_vs_code_names_the_notebook_in_the_namespace(monkeypatch) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert notebook() is None
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__vsc_ipynb_file__", str(Path("/home/me/b.ipynb")), raising=False)
    assert notebook() == "b.ipynb"
    monkeypatch.setattr(main, "__vsc_ipynb_file__", 7)
    assert notebook() is None
