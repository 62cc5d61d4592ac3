"""Programs that run pip or uv for their users: pipx, pip-tools, tox, nox and build."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from forward.rig import Site
from run.kit import Machine, says
from support.pips import installed
from support.tooling import Toolbox, add_real, traces_in

from crane_devserver.behaviour import STATIC_INDEX

ALL = {"firm_lib-1.0", "firm_dep-2.0", "open_lib-1.0"}


def test_pipx_installs(
    ada: Machine, pips: dict[str, str], needs: Site, toolbox: Toolbox, tmp_path: Path
) -> None:
    """Its own pip comes from the public index."""
    add_real(needs, toolbox.wheels("pip==26.3"))
    extra = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin")}

    done = ada.run(toolbox.program("pipx"), "install", "firm-lib", **pips, **extra)

    assert done.returncode == 0, says(done) + ada.log()
    assert installed(tmp_path / "pipx" / "venvs" / "firm-lib") == ALL
    assert ada.user.run(str(tmp_path / "bin" / "firm-tool")).stdout == "made of 2.0\n"
    assert traces_in(ada.agent().port, done) == []


def test_pip_compile_writes_real_urls(
    ada: Machine, needs: Site, toolbox: Toolbox, tmp_path: Path
) -> None:
    """The indexes are named in the file that it compiles."""
    # A public index asks nobody for a login, whatever the path.
    needs.public_server.behaviour = replace(STATIC_INDEX, challenge=False)
    wanted, compiled = tmp_path / "requirements.in", tmp_path / "requirements.txt"
    wanted.write_text(
        f"--index-url {needs.index_url}\n--extra-index-url {needs.public_url}\nfirm-lib\n"
    )
    command = [toolbox.program("pip-compile", "pip-tools"), "--generate-hashes", "--no-header"]

    done = ada.run(
        *command, "--cache-dir", str(tmp_path / "cache"), "-o", str(compiled), str(wanted)
    )

    assert done.returncode == 0, says(done) + ada.log()
    text = compiled.read_text()
    assert f"--index-url {needs.index_url}\n" in text
    assert f"--extra-index-url {needs.public_url}\n" in text
    assert set(re.findall(r"^[\w-]+==[\d.]+", text, re.MULTILINE)) == {
        "firm-lib==1.0", "firm-dep==2.0", "open-lib==1.0",
    }  # fmt: skip
    assert "127.0.0.1" not in text
    assert traces_in(ada.agent().port, done) == []
    # pip-tools asks each index for hashes, by an API of PyPI's: not for private names elsewhere,
    # and no person for a password where there is no such API.
    asked = {r.path for r in needs.public_server.requests if r.path.endswith("/json")}
    assert asked == {"/open-lib/json"}


def test_tox_installs_into_its_environments(
    ada: Machine, pips: dict[str, str], toolbox: Toolbox, project: Path
) -> None:
    """It passes few variables on to what it starts; those that crane sets are among them."""
    (project / "tox.toml").write_text(
        'env_list = ["unit"]\n'
        '[env.unit]\nskip_install = true\ndeps = ["firm-lib"]\ncommands = [["firm-tool"]]\n'
    )

    done = ada.run(toolbox.program("tox"), "run", "-c", str(project / "tox.toml"), **pips)

    assert done.returncode == 0, says(done) + ada.log()
    assert "made of 2.0" in done.stdout
    assert installed(project / ".tox" / "unit") >= ALL
    assert traces_in(ada.agent().port, done) == []


@pytest.mark.parametrize("backend", ["virtualenv", "uv"])
def test_nox_installs_into_its_sessions(
    ada: Machine, pips: dict[str, str], toolbox: Toolbox, project: Path, backend: str
) -> None:
    (project / "noxfile.py").write_text(
        "import nox\n\n\n@nox.session\ndef unit(session):\n"
        "    session.install('firm-lib')\n    session.run('firm-tool')\n"
    )
    command = (toolbox.program("nox"), "--noxfile", str(project / "noxfile.py"))

    done = ada.run(*command, "--default-venv-backend", backend, **pips)

    assert done.returncode == 0, says(done) + ada.log()
    assert "made of 2.0" in done.stdout + done.stderr
    assert installed(project / ".nox" / "unit") >= ALL


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_build_gets_what_a_build_needs(
    ada: Machine, pips: dict[str, str], toolbox: Toolbox, project: Path, installer: str
) -> None:
    """python -m build, in an isolated environment."""
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["firm-lib"]\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (project / "backend.py").write_text(
        "import pathlib\n\n\ndef build_wheel(folder, *ignored):\n"
        "    import firm_dep, firm_lib\n"
        "    name = f'tiny-{firm_dep.__version__}-py3-none-any.whl'\n"
        "    pathlib.Path(folder, name).touch()\n    return name\n"
    )
    python = toolbox.program("python", "build")

    done = ada.run(
        python, "-m", "build", "--wheel", "--installer", installer, str(project), **pips
    )  # fmt: skip

    assert done.returncode == 0, says(done) + ada.log()
    assert [p.name for p in (project / "dist").iterdir()] == ["tiny-2.0-py3-none-any.whl"]
