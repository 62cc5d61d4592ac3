"""Whatever is wrong with crane, Hatch works for whom it does not concern."""

from __future__ import annotations

import subprocess

import pytest
from hatch.kit import NEWEST, VERSIONS, HatchDesk, Hatches
from run.kit import says
from support.pips import interpreter

each_version = pytest.mark.parametrize("version", VERSIONS)


@each_version
def test_a_project_without_a_registered_index(desk: HatchDesk) -> None:
    """Nothing is started for it, and a broken configuration does not concern it."""
    desk.add_pypi("open-lib", "2.0")
    desk.write("open-lib")
    config = desk.machine.user.config_file

    before = desk.run("env", "create")

    assert desk.installed() == {"open_lib-2.0"}
    desk.run("env", "prune")
    broken = '[index.python\nurl = "https://index.firm.test/"'
    config.write_text(broken)
    after = desk.run("env", "create") + desk.run("run", "python", "-c", "")
    assert desk.installed() == {"open_lib-2.0"}
    assert "crane" not in before + after
    assert desk.machine.agents() == []
    assert desk.machine.log() == ""
    assert not list(desk.machine.paths.data.glob("run/*"))


def test_a_broken_configuration_is_no_way_to_pypi(desk: HatchDesk) -> None:
    """The index is seen in its text, so nothing is asked, there or elsewhere, without a login."""
    desk.add_pypi("firm-lib", "9.0")
    desk.site.add_private("firm-lib")
    with desk.machine.user.config_file.open("a") as file:
        file.write("\nthis is no TOML\n")

    for installer in ("pip", "uv"):
        desk.write("firm-lib", more=f'installer = "{installer}"')
        done = desk.call("run", "python", "-c", "", **desk.indexes)
        assert done.returncode == 1
        assert "config.toml" in done.stderr
        assert "Traceback" not in says(done)
        assert desk.pypi.asked("firm-lib") == []


CHANGED = """
import sys
import hatch.utils.platform as module
original = module.Platform.run_command
def run_command(self, command, *, shell=False, env=None, **kwargs):
    return original(self, command, shell=shell, **kwargs)
module.Platform.run_command = run_command
from hatch_crane import watch
watch.catch_up()
from hatch.cli import main
main()
"""


def test_an_unknown_hatch_is_left_alone(desk: HatchDesk) -> None:
    """Whom it concerns is told what to do, and others nothing."""
    desk.write()
    # Of a name that is not Hatch's: the module is changed before the plugin hears of it.
    (desk.project / "changed.py").write_text(CHANGED)
    python = desk.program.with_name("python")

    told = desk.run("changed.py", "env", "create", program=python, **desk.indexes)
    silent = desk.run("changed.py", "env", "show", program=python)

    assert "run: crane run -- hatch" in told
    assert "crane" not in silent
    desk.site.add_private("firm-lib")
    desk.write("firm-lib")
    done = desk.machine.user.crane(
        "run", "--", *desk.here(desk.bare, "run", "python", "-c", "0"),
        **desk.environ(**desk.indexes),
    )  # fmt: skip
    assert done.returncode == 0, says(done)
    assert desk.installed() == {"firm_lib-1.0"}


def test_below_crane_run(desk: HatchDesk) -> None:
    """The plugin goes its own way there, and the agent is the same one."""
    desk.site.add_private("firm-lib")
    desk.add_pypi("firm-lib", "9.0")
    for installer in ("pip", "uv"):
        desk.write("firm-lib", more=f'installer = "{installer}"')
        done = desk.machine.user.crane(
            "run", "--", *desk.here(desk.program, "run", "python", "-c", "0"),
            **desk.environ(**desk.indexes),
        )  # fmt: skip
        assert done.returncode == 0, says(done) + desk.machine.log()
        assert desk.installed() == {"firm_lib-1.0"}
        desk.run("env", "prune")
    assert len(desk.machine.agents()) == 1


LOADED = """
import sys
from hatch_crane import watch
from hatch.utils.platform import Platform
from hatch.cli.application import Application
watch.catch_up()
Platform().run_command(["true", "pip", "install"])
print(sorted(name for name in sys.modules if "crane" in name))
"""
OTHERS = "import sys; print([n for n in sys.modules if 'crane' in n], sys.meta_path)"


@pytest.mark.parametrize("whose", ["fresh", "unknown"])
def test_what_is_loaded_where_there_is_no_index(request: pytest.FixtureRequest, whose: str) -> None:
    """At the start and at an installer's; with none registered, or one that is not named here.

    benchmarks/plugins.py has the times.
    """
    desk: HatchDesk = request.getfixturevalue(whose)
    desk.write()
    python = desk.program.with_name("python")

    loaded = desk.run("-c", LOADED, program=python)

    assert "hatch_crane.route" in loaded
    for part in ("clients.project_route", "config", "agent", "gateway", "auth"):
        assert f"crane_core.{part}" not in loaded
    # Other programs of this environment get an import, and nothing that acts.
    done = subprocess.run([python, "-c", OTHERS], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("['hatch_crane', 'hatch_crane.watch']")
    assert "Watch" not in done.stdout


def test_on_the_latest_python_here(desk: HatchDesk, hatches: Hatches) -> None:
    found = next(filter(None, map(interpreter, ("3.14", "3.13", "3.12"))), None)
    if found is None:
        pytest.skip("there is no later Python here")
    desk.program = hatches.hatch(NEWEST, python=found)
    desk.site.add_private("firm-lib")
    desk.write("firm-lib")

    desk.run("env", "create", **desk.indexes)

    assert desk.installed() == {"firm_lib-1.0"}
