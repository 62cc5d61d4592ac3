"""Which registered indexes a uv command names: there `crane uv` logs in before uv starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from crane_cli.commands.uv import named_indexes, uv_command
from crane_core.config.model import Configuration, Index

URL = "https://one.example.com/python"
KNOWN = Configuration(
    {
        "one": Index("one", URL, "https://sso.example.com"),
        "two": Index("two", "https://two.example.com/python", "https://sso.example.com"),
    }
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder, as a user without settings."""
    folder = tmp_path / "workspace" / "member"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return folder


def named(*arguments: str, **environ: str) -> list[str]:
    return [index.name for index in named_indexes(KNOWN, uv_command(arguments, environ))]


def test_nothing_is_named() -> None:
    assert named("pip", "install", "x") == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--index", URL), (f"--index={URL}/",), ("--default-index", f"{URL}/simple"),
        ("--index", f"firm={URL}"), ("pip", "install", "-i", URL, "x"), ("--extra-index-url", URL),
        ("--index-url", URL),
    ],
)  # fmt: skip
def test_options(arguments: tuple[str, ...]) -> None:
    assert named(*arguments) == ["one"]


@pytest.mark.parametrize("name", ["UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_variables(name: str) -> None:
    assert named("lock", **{name: URL}) == ["one"]
    assert named("lock", UV_INDEX=f"a={URL} https://two.example.com/python/simple") == [
        "one",
        "two",
    ]


FILES = [
    ("pyproject.toml", f'[[tool.uv.index]]\nurl = "{URL}"\n'),
    ("pyproject.toml", f'[tool.uv]\nindex-url = "{URL}"\n'),
    ("pyproject.toml", f'[tool.uv]\nextra-index-url = ["https://x", "{URL}"]\n'),
    ("pyproject.toml", f'[tool.uv.pip]\nindex-url = "{URL}"\n'),
    ("uv.toml", f'[[index]]\nname = "firm"\nurl = "{URL}/simple/"\n'),
    ("uv.toml", f'index-url = "{URL}"\n'),
]


@pytest.mark.parametrize(("name", "text"), FILES)
def test_files_of_the_project_and_its_workspace(folder: Path, name: str, text: str) -> None:
    (folder.parent / name).write_text(text)
    assert named("sync") == ["one"]


@pytest.mark.parametrize("option", ["--project", "--directory"])
def test_files_of_another_project(folder: Path, option: str) -> None:
    other = folder / "other"
    other.mkdir()
    (other / "uv.toml").write_text(FILES[-1][1])

    assert named("sync") == []
    assert named(option, "other", "sync") == ["one"]
    assert named(f"{option}={other}", "sync") == ["one"]


def test_the_users_own_file(tmp_path: Path) -> None:
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv.toml").write_text(FILES[-1][1])

    assert named("sync", XDG_CONFIG_HOME=str(tmp_path)) == ["one"]


@pytest.mark.parametrize("text", ["no toml", "tool = 1", "[tool]\nuv = 1", "[tool.uv]\nindex = 1"])
def test_a_broken_file_is_uvs_to_tell(folder: Path, text: str) -> None:
    (folder / "pyproject.toml").write_text(text)
    assert named("sync") == []
