"""Two commands share an agent only if it would do the same for both."""

from __future__ import annotations

from pathlib import Path

import pytest

from crane_core.agent import key as key_module
from crane_core.agent.key import agent_environment, agent_key
from crane_core.platform import Paths, user_paths

ENVIRON = {"PATH": "/bin", "HOME": "/home/ada"}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Give folders with a configuration file."""
    paths = user_paths({"CRANE_HOME": str(tmp_path)})
    paths.config.mkdir()
    paths.config_file.write_text('[index.one]\nurl = "https://one.example.com"\n')
    return paths


DIFFERENT = [
    "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "NO_PROXY", "no_proxy", "ALL_PROXY",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "CRANE_TOKEN_ONE", "CRANE_CLIENT_SECRET_ONE",
    "CRANE_OFFLINE", "CRANE_VAULT", "CRANE_PREFETCH", "CRANE_ID_TOKEN", "CI_JOB_ID",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "DBUS_SESSION_BUS_ADDRESS", "PYTHON_KEYRING_BACKEND",
]  # fmt: skip
SAME = [
    "PATH", "TERM", "PWD", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CRANE_NON_INTERACTIVE", "CRANE_VIEW",
    "CRANE_CHANGED", "CRANE_ORIGINAL_HTTPS_PROXY", "GITHUB_STEP_SUMMARY", "BROWSER",
]  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_changes_what_an_agent_does_is_another_key(paths: Paths, name: str) -> None:
    keys = {agent_key(paths, {**ENVIRON, name: value}) for value in ("", "a", "b")}

    assert len(keys) == 3
    assert agent_key(paths, ENVIRON) in keys  # as an empty one


@pytest.mark.parametrize("name", SAME)
def test_what_does_not_is_the_same_key(paths: Paths, name: str) -> None:
    assert agent_key(paths, {**ENVIRON, name: "a"}) == agent_key(paths, ENVIRON)


def test_the_configuration_counts_to_the_letter(paths: Paths) -> None:
    before = agent_key(paths, ENVIRON)
    paths.config_file.write_text(paths.config_file.read_text() + "\n")
    after = agent_key(paths, ENVIRON)
    paths.config_file.unlink()

    assert len({before, after, agent_key(paths, ENVIRON)}) == 3


def test_version_machine_and_folders_count(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {agent_key(paths, ENVIRON)}
    keys.add(agent_key(Paths(paths.config, paths.data, tmp_path / "other"), ENVIRON))
    monkeypatch.setattr(key_module, "__version__", "99")
    keys.add(agent_key(paths, ENVIRON))
    monkeypatch.setattr(key_module, "machine_mark", lambda: "another container")
    keys.add(agent_key(paths, ENVIRON))

    assert len(keys) == 4


def test_a_file_of_roots_that_has_changed_is_another_key(paths: Paths, tmp_path: Path) -> None:
    roots = tmp_path / "roots.pem"
    environ = {**ENVIRON, "SSL_CERT_FILE": str(roots)}
    keys = {agent_key(paths, environ)}
    for content in ("one", "another"):
        roots.write_text(content)
        keys.add(agent_key(paths, environ))

    assert len(keys) == 3


def test_names_and_values_are_not_mixed_up(paths: Paths) -> None:
    one = agent_key(paths, {"CRANE_A": "b\nCRANE_C=d"})

    assert one != agent_key(paths, {"CRANE_A": "b", "CRANE_C": "d"})


def test_relative_paths_mean_the_starters_folder() -> None:
    environ = {
        "CRANE_HOME": "home",
        "SSL_CERT_FILE": "/abs/x.pem",
        "SSL_CERT_DIR": "a:/b",
        "X": "y",
    }

    assert agent_environment(environ, "/work") == {
        "CRANE_HOME": "/work/home", "SSL_CERT_FILE": "/abs/x.pem", "SSL_CERT_DIR": "/work/a:/b",
        "X": "y",
    }  # fmt: skip
    home = agent_environment({"CRANE_HOME": "~/c"}, "/work")["CRANE_HOME"]
    assert home == str(Path.home() / "c")


def test_runtime_files_are_in_memory_where_there_is_a_folder_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()

    assert user_paths({"XDG_RUNTIME_DIR": str(folder)}).runtime == folder / "crane"
    for none in ({}, {"XDG_RUNTIME_DIR": "relative"}, {"XDG_RUNTIME_DIR": "/nowhere"}):
        paths = user_paths(none)
        assert paths.runtime == paths.data / "agents"
