import copy
import pickle

import pytest

from dsnb.client.credentials import Secret, find_key

KEY = "sk-0123456789abcdef"


def test_a_secret_never_shows_itself():
    secret = Secret(KEY)
    shown = f"{secret} {secret!r} {[secret]}"
    assert not any(KEY[i : i + 4] in shown for i in range(len(KEY) - 3))
    assert secret.reveal() == KEY
    assert bool(secret)
    assert not Secret("")


def test_a_secret_does_not_travel():
    for carry in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="environment") as caught:
            carry(Secret(KEY))
        assert KEY not in str(caught.value)


def test_the_environment_comes_before_the_file(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("DEEPSEEK_API_KEY=from-file\n")
    assert find_key().reveal() == "from-file"
    monkeypatch.setenv("DEEPSEEK_API_KEY", "  from-environment\n")
    assert find_key().reveal() == "from-environment"


def test_a_file_further_up_counts_and_the_nearest_one_decides(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text('DEEPSEEK_API_KEY="above"\n')
    inner = tmp_path / "notebooks"
    inner.mkdir()
    monkeypatch.chdir(inner)
    assert find_key().reveal() == "above"
    (inner / ".env").write_text("OTHER=1\n")
    assert find_key() is None


def test_no_key_is_none():
    assert find_key() is None


def test_a_dollar_in_a_key_stays_a_dollar(tmp_path):
    (tmp_path / ".env").write_text("DEEPSEEK_API_KEY=a${HOME}b\n")
    assert find_key().reveal() == "a${HOME}b"
