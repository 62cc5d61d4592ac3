"""The completion scripts, loaded into real shells and asked; and the manual page."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.pips import index_of, register
from support.terminals import pexpect
from support.world import CRANE, User, World

from crane_cli.commands import COMMANDS
from crane_cli.completion.tree import Node, tree_of
from crane_cli.main import parser

# What is typed, some of what is offered, and some of what is not.
ASKED = [
    ("crane ", {"setup", "index", "prefetch", "completion"}, {"--json", "register"}),
    ("crane ind", {"index"}, {"login"}),
    ("crane index ", {"register", "list", "secret"}, {"index", "status"}),
    ("crane index set --gr", {"--grant"}, {"--json"}),
    ("crane index set python --grant ", {"device", "jwt-bearer"}, {"python"}),
    ("crane login ", {"python", "team"}, {"--force"}),
    ("crane run --index ", {"python", "team"}, set()),
    ("crane --debug index show te", {"team"}, {"python"}),
    ("crane prefetch lo", {"lock.txt"}, {"python"}),
    ("crane completion ", {"bash", "zsh", "fish", "powershell"}, set()),
    ("crane pip install --in", set(), {"--index"}),
]


@pytest.fixture
def two(user: User, world: World) -> User:
    """Give a user with two indexes, and a file."""
    register(user, index_of(world), index_of(world, name="team", url=f"{world.crane_url}/team"))
    (user.home / "lock.txt").touch()
    user.variables["PATH"] = f"{Path(CRANE).parent}:{os.environ['PATH']}"
    return user


def script_of(user: User, shell: str) -> Path:
    path = user.home / f"crane.{shell}"
    path.write_text(user.crane("completion", shell, check=True).stdout)
    return path


def check(offered: list[set[str]]) -> None:
    for (line, wanted, unwanted), found in zip(ASKED, offered, strict=True):
        assert wanted <= found, (line, found)
        assert not unwanted & found, (line, found)


def test_bash(two: User) -> None:
    lines = [f"source {script_of(two, 'bash')}"]
    for line, _, _ in ASKED:
        words = " ".join(shlex.quote(word) for word in line.split(" "))
        lines += [
            f"COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))",
            '_crane crane "" ""; echo "${COMPREPLY[*]}"',
        ]

    done = two.run("bash", "--norc", "-c", "\n".join(lines), check=True)

    assert done.stderr == ""
    check([set(line.split()) for line in done.stdout.split("\n")[:-1]])


def test_fish(two: User) -> None:
    if not (fish := shutil.which("fish")):
        pytest.skip("fish is not here")
    asked = "; echo ----; ".join(f"complete -C {shlex.quote(line)}" for line, _, _ in ASKED)

    done = two.run(fish, "-N", "-c", f"source {script_of(two, 'fish')}; {asked}", check=True)

    assert done.stderr == ""
    answers = done.stdout.split("----\n")
    check([{line.partition("\t")[0] for line in text.splitlines()} for text in answers])


def test_zsh(two: User) -> None:
    if not (zsh := shutil.which("zsh")):
        pytest.skip("zsh is not here")
    child = pexpect.spawn(
        zsh, ["-f", "-i"], env={**two.environ, "TERM": "dumb", "PS1": "$ "}, cwd=str(two.home),
        encoding="utf-8", timeout=30, dimensions=(200, 250),
    )  # fmt: skip
    child.sendline(
        "autoload -U compinit; compinit -u -D; setopt autolist noautomenu; "
        f"LISTMAX=9999; source {script_of(two, 'zsh')}; echo rea''dy"
    )
    child.expect("ready")
    offered = []
    for line, _, _ in ASKED:
        child.send(f"{line}\t")
        child.send("\x18E")  # undefined: does nothing
        child.sendcontrol("u")
        child.sendline("echo en''d")
        child.expect("end")
        # Beside a word may stand what it means.
        words = [line.partition(" -- ")[0] for line in child.before.splitlines()]
        offered.append(set(" ".join(words).split()) - set(line.split()))
    child.close(force=True)
    check(offered)


def test_powershell(two: User) -> None:
    if not (pwsh := shutil.which("pwsh")):
        pytest.skip("pwsh is not here")
    asked = "; ".join(
        f"'----'; [System.Management.Automation.CommandCompletion]::CompleteInput('{line}', "
        f"{len(line)}, $null).CompletionMatches | ForEach-Object {{ $_.CompletionText }}"
        for line, _, _ in ASKED
    )
    command = f". {script_of(two, 'powershell')}; {asked}"
    done = two.run(pwsh, "-NoProfile", "-Command", command, check=True)
    check([set(re.findall(r"[\w.-]+", text)) for text in done.stdout.split("----\n")[1:]])


def test_a_broken_configuration_disturbs_no_shell(two: User) -> None:
    two.config_file.write_text("[[")
    done = two.crane("completion", "--indexes", check=True)
    assert (done.stdout, done.stderr) == ("", "")


def nodes() -> Iterator[Node]:
    return tree_of(parser()).walk()


def leaves() -> list[Node]:
    found = [node for node in nodes() if node.words and not node.children]
    assert {node.words[0] for node in found} == set(COMMANDS)
    return found


def examples(node: Node) -> list[list[str]]:
    """Return crane's own arguments in a node's examples, wherever in a line it stands."""
    found = []
    for line in node.examples.splitlines():
        text = re.split(r"\s{3,}", line.strip())[0]
        if inside := re.search(r"\(['\"]?(crane [^'\")]*)", text):
            found.append(shlex.split(inside[1]))
        elif plain := re.match(r"(?:[A-Z_]+=\S+ )?(crane .*?)(?: [|<>] .*)?$", text):
            found.append(shlex.split(plain[1]))
    return [words[1:] for words in found]


def test_every_commands_help_has_an_example_that_parses() -> None:
    for node in nodes():
        found = examples(node)
        assert any(words[: len(node.words)] == [*node.words] for words in found), node.path
        for words in found:
            try:
                args = parser(words).parse_args(words)
            except SystemExit:
                pytest.fail(f"crane {' '.join(words)}")
            assert callable(args.run), words


def test_options_mean_the_same_everywhere() -> None:
    meant: dict[str, set[tuple[str, ...]]] = {}
    for node in leaves():
        assert all(option.help for option in node.options), node.path
        for option in node.options:
            meant.setdefault(option.flags[-1], set()).add((option.metavar, *option.flags))
    # One takes a file of crane-pip's, the other one of pip's.
    odd = {flag: found for flag, found in meant.items() if len(found) > 1}
    assert odd == {}
    without = {node.path for node in leaves() if ("--json",) not in {o.flags for o in node.options}}
    assert without == {
        "token", "pip", "uv", "run", "env", "serve", "demo", "completion", "man",
    }  # fmt: skip
    for name in ("INDEX", "PROJECT", "FILE"):
        assert any(a.usage.strip("[]").startswith(name) for n in leaves() for a in n.arguments)


def test_the_manual_page(user: User) -> None:
    page = user.crane("man", check=True).stdout

    shipped = Path(__file__).parents[2] / "packages" / "cli" / "man" / "crane.1"
    assert page == shipped.read_text(), "run: crane man > packages/cli/man/crane.1"
    assert page.startswith(".TH CRANE 1")
    for node in leaves():
        assert f".SS crane {node.path}".replace("-", "\\-") in page
    assert "\n.in" not in page
    assert not [line for line in page.splitlines() if line.startswith("'")]
    if groff := shutil.which("groff"):
        command = [groff, "-man", "-Tutf8", "-ww", "-z", str(shipped)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_parser_without_help_is_none() -> None:
    """The tree reads argparse's inside: if that changes, this fails first."""
    top = argparse.ArgumentParser(prog="x")
    top.add_argument("--file", metavar="FILE", help="a file")
    sub = top.add_subparsers().add_parser("y", help="does y")
    sub.add_argument("what", choices=("a", "b"))
    tree = tree_of(top)
    assert [o.flags for o in tree.options] == [("-h", "--help"), ("--file",)]
    assert (tree.children[0].summary, tree.children[0].arguments[0].value.words) == (
        "does y", ("a", "b"),
    )  # fmt: skip
