"""Every command of uv that asks an index, as `crane uv` and as plain uv below `crane run`."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from forward.rig import Site
from run.kit import Machine, says
from support.pips import Environments, installed, make_built_sdist
from support.tooling import traces_in

Run = Callable[..., subprocess.CompletedProcess[str]]
ALL = {"firm_lib-1.0", "firm_dep-2.0", "open_lib-1.0"}


@pytest.fixture(params=["crane uv", "crane run -- uv", "in a shell of crane run"])
def uv(ada: Machine, request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Run uv in each of the ways; it must succeed, and print nothing of this machine."""

    def run(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        # Nothing that an earlier command has left is of use to this one.
        extra = {"UV_NO_CACHE": "1", **extra}
        if request.param == "crane uv":
            done = ada.user.crane("uv", *arguments, **extra)
        elif request.param == "crane run -- uv":
            done = ada.run("uv", *arguments, **extra)
        else:
            done = ada.run("sh", "-c", shlex.join(["uv", *arguments]) + "; exit $?", **extra)
        assert done.returncode == 0, says(done) + ada.log()
        assert traces_in(ada.agent().port, done) == []
        return done

    return run


@pytest.fixture
def needs(ada: Machine) -> Site:
    """Give a private project that needs a private and a public one."""
    site = ada.site
    tool = (
        "def main():\n    import firm_dep, open_lib\n    print('made of', firm_dep.__version__)\n"
    )
    site.add_private(
        "firm-lib", requires=["firm-dep", "open-lib"], files={"firm_lib/__init__.py": tool},
        scripts={"firm-tool": "firm_lib:main"},
    )  # fmt: skip
    site.add_private("firm-dep", "2.0")
    site.add_public("open-lib")
    site.add_public("firm-dep", "9.0")
    return site


def settings(site: Site) -> str:
    return (
        f'[[tool.uv.index]]\nname = "firm"\nurl = "{site.index_url}"\n'
        f'[[tool.uv.index]]\nname = "open"\nurl = "{site.public_url}"\ndefault = true\n'
    )


def test_projects(uv: Run, needs: Site, tmp_path: Path) -> None:
    """uv add, lock, sync, run and export."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = []\n'
        + settings(needs)
    )
    directory = ("--directory", str(project))

    uv("add", "firm-lib", *directory)
    added = (project / "uv.lock").read_bytes()
    uv("lock", "--upgrade", *directory)
    uv("sync", "--locked", "--reinstall", *directory)
    ran = uv("run", "--locked", *directory, "firm-tool")
    exported = uv("export", "--locked", *directory)

    assert (project / "uv.lock").read_bytes() == added
    assert installed(project / ".venv") == ALL
    assert ran.stdout == "made of 2.0\n"
    assert set(re.findall(r"^[\w-]+==[\d.]+", exported.stdout, re.MULTILINE)) == {
        "firm-lib==1.0", "firm-dep==2.0", "open-lib==1.0",
    }  # fmt: skip


def test_the_pip_interface(
    uv: Run, needs: Site, environments: Environments, tmp_path: Path
) -> None:
    """uv pip compile, sync and install; compiled requirements hold the real URLs."""
    where = ("--index", needs.index_url, "--default-index", needs.public_url)
    wanted, compiled = tmp_path / "requirements.in", tmp_path / "requirements.txt"
    wanted.write_text("firm-lib\n")
    first, second = (environments.make(tmp_path / name, None) for name in ("first", "second"))

    uv(
        "pip", "compile", str(wanted), "-o", str(compiled), "--generate-hashes",
        "--emit-index-url", "--emit-index-annotation", *where,
    )  # fmt: skip
    # The file itself names the indexes.
    uv("pip", "sync", str(compiled), "--require-hashes", "-p", str(first))
    uv("pip", "install", "firm-lib", "-p", str(second), *where)

    text = compiled.read_text()
    assert f"# from {needs.index_url}" in text
    assert f"# from {needs.public_url}" in text
    assert "127.0.0.1" not in text
    assert installed(first) == installed(second) == ALL


def test_tools(uv: Run, needs: Site, tmp_path: Path) -> None:
    """uv tool run and install, with the indexes from the environment."""
    where = {
        "UV_INDEX": needs.index_url,
        "UV_DEFAULT_INDEX": needs.public_url,
        "UV_TOOL_DIR": str(tmp_path / "tools"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
    }

    ran = uv("tool", "run", "--from", "firm-lib", "firm-tool", **where)
    uv("tool", "install", "firm-lib", **where)

    assert ran.stdout == "made of 2.0\n"
    assert installed(tmp_path / "tools" / "firm-lib") == ALL
    done = subprocess.run([tmp_path / "bin" / "firm-tool"], capture_output=True, text=True)
    assert done.stdout == "made of 2.0\n"


def test_scripts(uv: Run, needs: Site, tmp_path: Path) -> None:
    """uv run with a script that names what it needs, and where that is (PEP 723)."""
    script = tmp_path / "script.py"
    lines = ('dependencies = ["firm-lib"]\n' + settings(needs)).splitlines()
    header = "".join(f"# {line}\n" for line in ["/// script", *lines, "///"])
    script.write_text(f"{header}import firm_lib\nfirm_lib.main()\n")

    assert uv("run", str(script)).stdout == "made of 2.0\n"


def test_isolated_builds(uv: Run, needs: Site, environments: Environments, tmp_path: Path) -> None:
    """A source distribution whose build needs a private project."""
    make_built_sdist(
        needs.private / "firm-source", "firm-source", build_requires=["firm-dep"],
        prologue="import firm_dep; assert firm_dep.__version__ == '2.0'",
    )  # fmt: skip
    environment = environments.make(tmp_path / "environment", None)
    where = ("--index", needs.index_url, "--default-index", needs.public_url)

    uv("pip", "install", "firm-source", "-p", str(environment), *where)

    assert installed(environment) == {"firm_source-1.0"}


def test_an_index_that_insists_on_a_login(ada: Machine, needs: Site, tmp_path: Path) -> None:
    """`crane uv` gives uv one to show, which ends at the gateway; an own one ends there as well."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.11"\n'
        'dependencies = ["firm-lib"]\n'
        + settings(needs).replace('"\nurl', '-x"\nauthenticate = "always"\nurl', 1)
    )
    command = ("lock", "--directory", str(tmp_path), "--no-cache", "--upgrade")

    given = ada.user.crane("uv", *command)
    own = ada.run("uv", *command, UV_INDEX_FIRM_X_USERNAME="me", UV_INDEX_FIRM_X_PASSWORD="secret")

    assert given.returncode == 0, says(given) + ada.log()
    assert own.returncode == 0, says(own) + ada.log()
    shown = {r.header("authorization") or "" for r in needs.crane.requests}
    assert all(value.startswith("Bearer ") for value in shown if value)
