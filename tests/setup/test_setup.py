"""`crane setup`: from a URL to the first download; once more, and nothing is asked."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.pips import NEWEST, RUNNING, Environments, Pip
from support.terminals import pexpect
from support.tooling import UV
from support.workshop import Builder
from support.world import CRANE, SECONDS, User, World

from crane_cli.tools import Tool, plugin_command
from crane_core import __version__


def setup(user: User, *arguments: str, code: int = 0, **extra: str) -> dict[str, Any]:
    """Run `crane setup --json`, without a terminal, and return its data."""
    done = user.crane("setup", "--json", *arguments, **extra)
    assert done.returncode == code, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    data: dict[str, Any] = answer["data"] or {"message": answer["errors"][0]["message"]}
    return data


@pytest.fixture
def pip(environments: Environments, tmp_path: Path) -> Path:
    """Give an environment with pip."""
    return environments.make(tmp_path / "env", Pip(RUNNING, NEWEST))


def at_terminal(user: User, *arguments: str, answers: dict[str, str]) -> tuple[str, int]:
    """Run crane on a terminal and answer what it asks; return all it showed, and its code."""
    child = pexpect.spawn(
        CRANE, list(arguments), env={**user.environ, "TERM": "xterm"}, cwd=str(user.home),
        timeout=SECONDS, encoding="utf-8", dimensions=(50, 200),
    )  # fmt: skip
    shown = ""
    left = dict(answers)
    while (number := child.expect_exact([pexpect.EOF, *left])) > 0:
        question = list(left)[number - 1]
        shown += child.before + question
        answer = left.pop(question)
        if answer == "^C":
            child.sendintr()
        else:
            child.sendline(answer)
    child.close()
    return shown + child.before, child.exitstatus


def test_a_first_run_at_a_terminal_and_a_second_that_asks_nothing(
    world: World, user: User, pip: Path
) -> None:
    world.add_private("firm-lib")
    user.variables |= {"VIRTUAL_ENV": str(pip), "PATH": "/usr/bin:/bin"}
    url, trust = "as you would give it to pip -i: ", "Do you trust "

    shown, code = at_terminal(user, "setup", answers={url: world.index_url, trust: "^C"})
    assert code == 130, shown
    assert "Traceback" not in shown
    assert not user.config_file.exists()

    shown, code = at_terminal(user, "setup", answers={url: world.index_url, trust: "y"})
    assert code == 0, shown
    assert "\x1b[32m✓\x1b[0m python is registered now" in shown
    shown = re.sub(r"\x1b\[\d+m", "", shown)
    assert f"sends its users to {user.issuer} to log in" in shown
    assert re.search(r"waiting for you, (10:00|9:5\d) left", shown)
    for line in ("✓ python is registered now", "✓ logged in now as ada",
                 "✓ pip downloaded firm_lib-1.0-py3-none-any.whl from python",
                 "next:", "crane pip install PROJECT"):  # fmt: skip
        assert line in shown, shown
    assert "FAIL" not in shown

    before = user.config_file.read_bytes()
    user.variables["NO_COLOR"] = "1"
    shown, code = at_terminal(user, "setup", answers={"[y/N]": "y", url: "x"})
    assert code == 0, shown
    assert "[y/N]" not in shown
    assert "\x1b[" not in shown
    assert "✓ python is registered (" in shown
    assert "✓ logged in as ada" in shown
    assert user.config_file.read_bytes() == before


def test_its_twin_without_a_terminal_and_a_teams_file(
    world: World, user: User, pip: Path, tmp_path: Path
) -> None:
    user.variables |= {"VIRTUAL_ENV": str(pip), "PATH": "/usr/bin:/bin"}
    assert setup(user, code=2)["message"] == "nobody can be asked here for the URL of your index"
    assert "no registered index and no file" in setup(user, "crane.test/x", code=2)["message"]
    assert setup(user, world.index_url, code=2)["message"].startswith("Do you trust ")

    options = ("--yes", "--plugins", "none", "--no-test")
    data = setup(user, world.index_url, *options, "--name", "firm", "--private", "acme-*")
    assert (data["registered"], data["login"]) == ("now", {"account": "ada", "when": "now"})
    assert (data["plugins"], data["test"]) == ([], None)
    again = setup(user, world.index_url, *options, "--name", "firm", "--private", "acme-*")
    assert (again["registered"], again["login"]["when"]) == ("before", "before")
    assert setup(user, "firm", "--plugins", "vim", code=2)["message"].startswith("there is no plug")
    absent = setup(user, "firm", "--plugins", "pdm", "--no-test")
    assert absent["plugins"][0]["state"] == "failed"
    failed = setup(user, "firm", "--test", "no-such-project", "--plugins", "none", code=1)
    assert failed["test"]["state"] == "bad"
    assert failed["next"][0].startswith("crane doctor firm")

    wrong = f"{world.crane_url}/pyhton/simple"
    mistyped = setup(user, wrong, "--yes", "--plugins", "none")["test"]
    assert (mistyped["state"], mistyped["project"]) == ("warning", None)
    assert f"{wrong} with what your firm says: crane setup {wrong[:-7]}, or " in mistyped["fix"]

    world.add_public("open-lib")
    setup(user, "firm", "--fallback", world.public_url, "--no-test")
    public = setup(user, "firm", "--test", "open-lib", "--plugins", "none")["test"]
    assert public["state"] == "warning"
    assert public["text"].endswith(f"from {world.public_url}, since firm has no open-lib")

    # For colleagues: pyproject.toml as it is, and a file where there is none.
    project = user.home / "pyproject.toml"
    text = (
        '# ours\r\n[project]\r\nname = "app"  # the app\r\n\r\n[tool.ruff]\r\nline-length = 1\r\n'
    )
    project.write_bytes(text.encode())
    assert setup(user, "firm", "--team", "no/x.toml", code=2)["message"] == "there is no folder no"
    assert setup(user, "firm", "--team")["changed"]
    assert setup(user, "firm", "--team")["changed"] is False
    written = project.read_bytes().decode()
    assert written.startswith(text)
    block = f'index = "{world.index_url}"\r\nissuer = "{user.issuer}"\r\nname = "firm"'
    assert block in written.replace("\r\n", "\n").replace("\n", "\r\n")
    project.unlink()
    done = user.crane("setup", "firm", "--team", check=True)
    assert done.stdout.splitlines()[-1].endswith("they run: crane setup crane.toml")
    shared = (user.home / "crane.toml").read_text()
    (session,) = (path.read_text() for path in user.sessions.glob("*.json"))
    secrets = re.findall(r'_token": "([^"]{20,})"', session)
    assert secrets
    assert not [secret for secret in secrets if secret in shared]
    assert "acme" not in shared

    colleague = User(tmp_path / "bob", user.issuer, dict(user.variables))
    colleague.home.mkdir()
    shutil.copy(user.home / "crane.toml", colleague.home)
    assert "crane.toml says that the index" in setup(colleague, "crane.toml", code=2)["message"]
    assert not colleague.config_file.exists()
    data = setup(colleague, "crane.toml", *options)
    assert (data["index"], data["registered"]) == ("firm", "now")
    # A checkout that nobody has named is not believed, --yes or not.
    (colleague.home / "crane.toml").rename(colleague.home / "other.toml")
    colleague.config_file.unlink()
    project = colleague.home / "pyproject.toml"
    project.write_bytes(written.encode())
    assert "[tool.crane] in pyproject.toml says" in setup(colleague, "--yes", code=2)["message"]
    project.write_text("[tool.crane]\nindex = 7\n")
    assert "index is not known there" in setup(colleague, code=3)["message"]


def test_a_plugin_for_a_tool_of_uvs(logged_in: User, tmp_path: Path) -> None:
    """With a real `uv tool`, and wheels as a release builds them."""
    wheels = [Builder(tmp_path).build(folder)[1].parent for folder in ("core", "hatch-plugin")]
    environ = {
        "UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
        "PATH": os.pathsep.join([str(tmp_path / "bin"), str(Path(UV).parent), "/usr/bin", "/bin"]),
        "UV_FIND_LINKS": ",".join(map(str, wheels)), "UV_PYTHON_DOWNLOADS": "never",
    }  # fmt: skip
    install = (UV, "tool", "install", "--python", sys.executable, "hatch==1.18.2", "--with", "six")
    done = subprocess.run(install, env={**os.environ, **environ}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    logged_in.variables |= environ

    offered = setup(logged_in, "--no-test")["plugins"]
    refused, code = at_terminal(logged_in, "setup", "--no-test", answers={"[y/N]": "n"})
    shown, done_code = at_terminal(logged_in, "setup", "--no-test", answers={"[y/N]": "y"})

    command = ["uv", "tool", "install", "hatch==1.18.2", "--with", "six", "--with", "hatch-crane"]
    assert offered == [{"tool": "hatch", "state": "offered", "command": command}]
    question = f"hatch 1.18.2 has no plugin of crane. Run: {' '.join(command)}? [y/N]"
    for text in (refused, shown):
        assert question in text
    assert (code, done_code) == (0, 0)
    assert "which is new" not in refused
    assert f"hatch 1.18.2 has hatch-crane {__version__}, which is new" in shown
    again = setup(logged_in, "--no-test", "--plugins", "hatch")["plugins"]
    assert again == [{"tool": "hatch", "state": "present", "command": []}]
    assert (tmp_path / "bin" / "hatch").exists()
    assert list((tmp_path / "tools" / "hatch").glob("lib/*/site-packages/six.py"))


@pytest.fixture
def installed(tmp_path: Path) -> Callable[[str, str, str], Tool]:
    """Make what a tool's environment looks like after each way to install it."""

    def make(name: str, mark: str, content: str) -> Tool:
        prefix = tmp_path / mark.replace("/", "-") / name
        (prefix / "bin").mkdir(parents=True)
        (prefix / mark).parent.mkdir(parents=True, exist_ok=True)
        (prefix / mark).write_text(content)
        program = prefix / "bin" / name
        program.touch()
        return Tool(name, str(program), "1.0", f"{name}-crane", python=sys.executable)

    return make


def test_each_way_in_which_a_tool_was_installed(installed: Callable[..., Tool]) -> None:
    environ = {"PATH": str(Path(UV).parent)}
    receipt = '[tool]\nrequirements = [{ name = "pdm", extras = ["all"], specifier = ">=2" }, %s]\n'

    def command(name: str, mark: str, content: str = "") -> str:
        return " ".join(plugin_command(installed(name, mark, content), environ) or ["-"])

    assert command("pdm", "pipx_metadata.json") == "pipx inject pdm pdm-crane"
    assert command("pdm", "uv-receipt.toml", receipt % '{ name = "x" }') == (
        "uv tool install pdm[all]>=2 --with x --with pdm-crane"
    )
    assert command("poetry", "pyvenv.cfg") == "poetry self add poetry-crane"
    hatch = command("hatch", "pyvenv.cfg")
    assert hatch == f"{sys.executable} -m pip install hatch-crane"
    # The system's own, and what uv would not find again.
    assert command("hatch", "lib/python3.11/EXTERNALLY-MANAGED") == "-"
    assert command("hatch", "uv-receipt.toml", receipt % '{ name = "x", directory = "/x" }') == "-"
