"""Hatch's commands with a registered index: the real URL everywhere, and nothing of crane's."""

from __future__ import annotations

import pytest
from hatch.kit import NEWEST, OLDEST, VERSIONS, HatchDesk
from idp.oidc import Realm
from support.pips import log_in, make_built_sdist
from support.tooling import Toolbox

each_version = pytest.mark.parametrize("version", VERSIONS)
each_installer = pytest.mark.parametrize("installer", ["pip", "uv"])


@each_version
@each_installer
def test_environments(desk: HatchDesk, installer: str) -> None:
    desk.site.add_private("firm-lib", requires=["open-lib"])
    desk.add_pypi("open-lib", "2.0")
    desk.add_pypi("firm-lib", "9.0")
    desk.write("firm-lib", more=f'installer = "{installer}"')

    printed = desk.run("-v", "env", "create", **desk.indexes)

    assert desk.installed() == {"firm_lib-1.0", "open_lib-2.0"}
    assert "crane: python: authenticated as ada via crane" in printed
    assert "127.0.0.1" not in printed.replace(desk.site.net.url(), "")
    assert desk.mentions("127.0.0.1") == []
    # The name is not told to PyPI, and no login and no secret to anybody else.
    assert desk.pypi.asked("firm-lib") == []
    seen = [headers for _, headers in desk.pypi.seen]
    assert seen
    assert not any({"authorization", "proxy-authorization"} & set(headers) for headers in seen)
    assert not any(r.header("proxy-authorization") for r in desk.site.crane.requests)
    # A script is the user's own: it gets nothing of crane's.
    script = "import os; print('gone' if 'CRANE_VIEW' not in os.environ else os.environ)"
    assert "gone" in desk.run("run", "python", "-c", script, **desk.indexes)
    # The view has ended with the installer.
    assert desk.machine.status()[0]["views"] == []
    assert desk.machine.bundles() == []
    # The control: it is crane that lets the installers in, and keeps them from the other one.
    desk.run("env", "prune")
    desk.call("env", "create", program=desk.bare, PIP_NO_CACHE_DIR="1", UV_NO_CACHE="1",
               **desk.indexes)  # fmt: skip
    assert "firm_lib-1.0" not in desk.installed()


MATRIX = """
[tool.hatch.envs.{name}]
skip-install = true
dependencies = ["firm-lib=={{matrix:firm}}"]
installer = "{installer}"
[tool.hatch.envs.{name}.env-vars]
{variable} = "{index}"
[[tool.hatch.envs.{name}.matrix]]
firm = {versions}
"""


def test_an_index_named_in_a_projects_or_an_installers_files(desk: HatchDesk) -> None:
    """In the variables of a matrix's environments, pip.conf, and uv.toml with `authenticate`."""
    desk.site.add_private("firm-lib", "1.0")
    desk.site.add_private("firm-lib", "2.0")
    # Where its index stands in PyPI's place for pip, it answers for PyPI's projects, too.
    desk.site.add_private("firm-lib", "3.0", requires=["open-lib"])
    desk.add_pypi("open-lib", "2.0")
    desk.add_pypi("firm-lib", "9.0")
    index = desk.site.index_url
    matrices = (
        MATRIX.format(name="p", installer="pip", variable="PIP_INDEX_URL", index=index,
                      versions=["3.0"]),
        MATRIX.format(name="u", installer="uv", variable="UV_INDEX_URL", index=index,
                      versions=["1.0", "2.0"]),
    )  # fmt: skip
    desk.write("firm-lib==1.0", more="".join(matrices))
    desk.run("run", "p:python", "-c", "")
    assert desk.installed("p.3.0") == {"firm_lib-3.0", "open_lib-2.0"}
    assert desk.run("run", "u:python", "-c", "print('ran')").count("ran") == 2
    assert desk.installed("u.1.0") == {"firm_lib-1.0"}
    assert desk.installed("u.2.0") == {"firm_lib-2.0"}
    assert "firm-lib==1.0" in desk.run("dep", "show", "requirements", "-e")

    config = desk.machine.user.home / ".config"
    (config / "pip").mkdir()
    # A proxy in pip's files beats the environment's; here it is the one that leads out.
    (config / "pip" / "pip.conf").write_text(
        f"[global]\nextra-index-url = {index}\nproxy = {desk.site.net.url()}\n"
    )
    desk.run("env", "create", HTTPS_PROXY="")
    assert desk.installed("app") == {"firm_lib-1.0"}
    desk.run("env", "prune")
    (config / "uv").mkdir()
    (config / "uv" / "uv.toml").write_text(
        f'[[index]]\nname = "firm"\nurl = "{index}"\nauthenticate = "always"\n'
    )
    desk.run("env", "create", HATCH_ENV_TYPE_VIRTUAL_UV_PATH=str(desk.program.with_name("uv")))
    assert desk.installed("app") == {"firm_lib-1.0"}
    assert desk.pypi.asked("firm-lib") == []


def test_an_index_named_in_a_command(desk: HatchDesk) -> None:
    """Beside another one than PyPI; by a source of Hatch's (1.18); and by a file's URL alone."""
    desk.site.add_private("firm-lib")
    desk.add_pypi("firm-lib", "9.0")
    desk.site.add_public("firm-lib", "9.0")
    # What the user has set for the installers goes on counting.
    desk.site.add_private("firm-lib", "2.0")
    (desk.project / "constraints.txt").write_text("firm-lib<2\n")
    constraints = str(desk.project / "constraints.txt")
    url, best = desk.site.public_url, "unsafe-best-match"
    for name in ("pip", "uv"):
        desk.write("firm-lib", more=f'installer = "{name}"')
        desk.run("env", "create", PIP_INDEX_URL=url, UV_INDEX_URL=url, UV_INDEX_STRATEGY=best,
                 PIP_CONSTRAINT=constraints, UV_CONSTRAINT=constraints, **desk.indexes)  # fmt: skip
        assert desk.installed() == {"firm_lib-1.0"}
        desk.run("env", "prune")
    source = f'[tool.hatch.envs.default.sources]\nfirm-lib = {{ index = "{desk.site.index_url}" }}'
    desk.write("firm-lib", more=source)
    desk.run("env", "create")
    assert desk.installed() == {"firm_lib-2.0"}
    desk.run("env", "prune")
    file = f"{desk.site.index_url}/firm-lib/firm_lib-1.0-py3-none-any.whl"
    desk.write(f"firm-lib @ {file}", more='installer = "uv"')
    desk.run("env", "create")
    assert desk.installed() == {"firm_lib-1.0"}
    assert desk.pypi.asked("firm-lib") == []


@each_version
def test_builds_get_private_build_requirements(desk: HatchDesk, toolbox: Toolbox) -> None:
    """Hatch's own backend, and another one, which older versions leave to `python -m build`."""
    desk.site.add_private("firm-build")
    desk.add_pypi("firm-build", "9.0")
    real = ("hatchling==1.33.0", "editables", "build[virtualenv]", "setuptools==80.9.0")
    desk.add_pypi_files(*toolbox.wheels(*real))
    for backend, name in (
        ("hatchling.build", "hatchling"),
        ("setuptools.build_meta", "setuptools"),
    ):
        system = f'[build-system]\nrequires = ["{name}", "firm-build"]\n'
        more = "[tool.hatch.build]\ninclude = ['pyproject.toml']\n"
        more += "[tool.setuptools]\npy-modules = []\n"
        desk.write(more=f'{system}build-backend = "{backend}"\n{more}')
        desk.run("build", **desk.indexes)
        for file in ("app-1.0-py3-none-any.whl", "app-1.0.tar.gz"):
            (desk.project / "dist" / file).unlink()
    assert [
        r for r in desk.site.crane.requests if r.path.endswith("firm_build-1.0-py3-none-any.whl")
    ]
    assert desk.pypi.asked("firm-build") == []


INTERNAL = """
[tool.hatch.envs.hatch-test]
skip-install = true
dependencies = ["firm-lib"]
[tool.hatch.envs.hatch-test.scripts]
run = "python -c 'import firm_lib; print(firm_lib.__file__)'"
[tool.hatch.envs.hatch-static-analysis]
config-path = "none.toml"
dependencies = ["firm-lint"]
[tool.hatch.envs.hatch-static-analysis.scripts]
format-check = "python -c 'import firm_lint; print(firm_lint.__file__)'"
lint-check = "python -c 'import firm_lint'"
"""


@each_version
def test_hatchs_own_environments(desk: HatchDesk, version: str) -> None:
    """Of `test` and `fmt`; and `env lock` and `dep lock`, for which nothing is installed."""
    for name in ("firm-lib", "firm-lint"):
        desk.site.add_private(name)
        desk.add_pypi(name, "9.0")
    desk.write("firm-lib", more=f'installer = "uv"\n{INTERNAL}')

    assert "firm_lib" in desk.run("test", **desk.indexes)
    assert "firm_lint" in desk.run("fmt", "--check", **desk.indexes)
    if version == NEWEST:
        url = f"{desk.site.index_url}/firm-lib/firm_lib-1.0-py3-none-any.whl"
        for installer, more, command in (
            ("pip", "", ("env", "lock", "default", "--export", "pylock.toml")),
            ("uv", "locked = true", ("dep", "lock")),
        ):
            desk.run("env", "prune")  # uv makes environments without pip
            desk.write("firm-lib", more=f'installer = "{installer}"\n{more}')
            desk.run(*command, **desk.indexes)
            lock = desk.project / "pylock.toml"
            assert url in lock.read_text()
            assert "127.0.0.1" not in lock.read_text()
            if more:
                desk.run("dep", "sync", **desk.indexes)
                assert desk.installed("app") == {"firm_lib-1.0"}
            lock.unlink()
    assert desk.pypi.asked("firm-") == []


@pytest.mark.parametrize("version", [OLDEST])  # test_hatch_added.py has the newest
def test_a_project_that_names_the_plugin(desk: HatchDesk) -> None:
    """It is loaded by Hatch then, however that was started."""
    desk.site.add_private("firm-lib")
    desk.add_pypi("firm-lib", "9.0")
    desk.write("firm-lib", more="[tool.hatch.env.collectors.crane]")

    desk.run("env", "create", program=desk.bare, **desk.indexes)

    assert desk.installed() == {"firm_lib-1.0"}


SEES = """
import glob, os
assert not [name for name in os.environ if name.startswith("CRANE_TOKEN_")]
def read(path):
    try:
        return open(path, "rb").read()
    except OSError:  # it has ended meanwhile
        return b""
lines = [read(path) for path in glob.glob("/proc/[0-9]*/cmdline")]
assert not [line for line in lines if b"@127.0.0.1" in line]
"""


def test_what_a_build_sees(desk: HatchDesk, realm: Realm) -> None:
    """No login, and no secret in the list of processes, even if pip's files name a proxy."""
    token = log_in(desk.machine.user, realm)
    # pip 26 hands a proxy that it was given on to the pip of a build, as an argument.
    for name, needs in (("firm-build", []), ("firm-made", ["firm-build"])):
        make_built_sdist(desk.site.private / name, name, build_requires=needs, prologue=SEES)
    config = desk.machine.user.home / ".config" / "pip" / "pip.conf"
    config.parent.mkdir()
    config.write_text(f"[global]\nproxy = {desk.site.net.url()}\n")
    desk.write("firm-made")

    desk.run("env", "create", CRANE_TOKEN_PYTHON=token, HTTPS_PROXY="", **desk.indexes)

    assert desk.installed() == {"firm_made-1.0"}
    assert desk.mentions(token) == []
