"""Whatever is wrong with crane, PDM works for whom it does not concern."""

from __future__ import annotations

import pytest
from pdm.kit import NEWEST, VERSIONS, PdmDesk, Pdms
from run.kit import says
from support.pips import interpreter

each_version = pytest.mark.parametrize("version", VERSIONS)


@each_version
def test_a_project_without_a_registered_index(desk: PdmDesk) -> None:
    """Nothing is started for it, and a broken configuration does not concern it."""
    desk.add_pypi("open-lib", "2.0")
    desk.write("open-lib", sources="")

    before = desk.run("lock")
    desk.run("install")

    assert desk.installed() == {"open_lib-2.0"}
    assert desk.machine.agents() == []
    assert desk.machine.log() == ""
    assert not list(desk.machine.paths.data.glob("run/*"))
    desk.machine.user.config_file.write_text('[index.python\nurl = "https://index.firm.test/"')
    after = desk.run("lock") + desk.run("install") + desk.run("outdated")
    assert "crane" not in before + after


def test_a_broken_configuration_is_no_way_to_pypi(desk: PdmDesk) -> None:
    """The source is seen in its text, so no request goes there, nor elsewhere, without a login."""
    desk.add_pypi("firm-lib", "9.0")
    desk.site.add_private("firm-lib")
    desk.write("firm-lib")
    with desk.machine.user.config_file.open("a") as file:
        file.write("\nthis is no TOML\n")

    for extra in ({}, {"PDM_USE_UV": "1"}):
        done = desk.call("lock", **extra)
        assert done.returncode == 1
        assert "config.toml" in done.stderr
        assert "Traceback" not in says(done)
        assert desk.pypi.asked("firm-lib") == []
    # What needs no index works.
    assert "pypi.org" in desk.run("config", "pypi.url")


CHANGES = {
    "the environment": """
from pdm.environments.base import BaseEnvironment as owner
original = owner._build_session
def _build_session(self, sources=None, mounts=None, other=None):
    return original(self, sources, mounts)
owner._build_session = _build_session
""",
    "the client": """
from pdm.models.session import PDMPyPIClient as owner
original = owner._transport_for_url
def _transport_for_url(self, url, other=None):
    return original(self, url)
owner._transport_for_url = _transport_for_url
""",
}


# The two versions are alike in both.
@pytest.mark.parametrize(
    ("version", "change"), list(zip(VERSIONS, CHANGES.values(), strict=True)), ids=list(CHANGES)
)
def test_an_unknown_pdm_takes_the_forward_route(desk: PdmDesk, change: str) -> None:
    """Where its inside has another shape, the process gets the environment of `crane run`."""
    desk.site.add_private("firm-lib", requires=["open-lib"])
    desk.add_pypi("firm-lib", "9.0")
    desk.add_pypi("open-lib", "2.0")
    desk.write("firm-lib")
    (desk.project / "changed.py").write_text(
        f"{change}\nfrom pdm.core import main\nraise SystemExit(main())\n"
    )

    done = desk.call("changed.py", "lock", program=desk.program.with_name("python"))

    assert done.returncode == 0, says(done) + desk.machine.log()
    assert desk.versions == {"firm-lib": "1.0", "open-lib": "2.0"}
    assert len(desk.machine.agents()) == 1
    assert desk.mentions("127.0.0.1") == []


def test_below_crane_run(desk: PdmDesk) -> None:
    """The plugin goes its own way there, and the agent is the same one."""
    desk.site.add_private("firm-lib")
    desk.add_pypi("firm-lib", "9.0")
    desk.write("firm-lib")
    for program in (desk.program, desk.bare):  # the forward route alone, too
        done = desk.machine.user.crane(
            "run", "--index", "python", "--", str(program), "--no-cache", "lock",
            "-p", str(desk.project), **desk.environ(),
        )  # fmt: skip

        assert done.returncode == 0, says(done) + desk.machine.log()
        assert desk.versions == {"firm-lib": "1.0"}
        assert len(desk.machine.agents()) == 1
        (desk.project / "pdm.lock").unlink()


KILLS = """
import os, select, signal
from pdm.core import main
from pdm.models.candidates import PreparedCandidate as owner
from crane_core.agent.runtime import places
from crane_core.platform import user_paths
original, asked = owner._get_metadata_from_metadata_link, []
def _get_metadata_from_metadata_link(self, *arguments):
    asked.append(self)
    if len(asked) in (2, 4):
        found = (place.read() for place in places(user_paths(os.environ)))
        for runtime in found:
            if runtime is not None and runtime.is_running:
                end = os.pidfd_open(runtime.pid)
                os.kill(runtime.pid, signal.SIGKILL)
                select.select([end], [], [])
                print("killed", runtime.pid)
    return original(self, *arguments)
owner._get_metadata_from_metadata_link = _get_metadata_from_metadata_link
raise SystemExit(main())
"""


def test_an_agent_that_is_killed_in_between(desk: PdmDesk) -> None:
    """Right after a page has promised metadata. Another one takes over, and nothing is missed.

    PDM takes *not found* for a project that needs nothing.
    """
    for number in range(6):
        needs = [f"firm-{number + 1}"] if number < 5 else []
        desk.site.add_private(f"firm-{number}", requires=needs)
    desk.write("firm-0")
    (desk.project / "kills.py").write_text(KILLS)

    # Fetching ahead would have everything before PDM asks.
    printed = desk.run(
        "kills.py", "lock", program=desk.program.with_name("python"), CRANE_PREFETCH="off"
    )

    assert printed.count("killed") == 2
    assert desk.versions == {f"firm-{number}": "1.0" for number in range(6)}
    assert f"killed {desk.machine.agent().pid}" not in printed


LOADED = """
import sys
from pdm.core import Core
Core.load_plugins = lambda self: None
core = Core()
from pdm_crane.plugin import activate
activate(core)
project = core.create_project()
from pdm_crane import route
assert route._start.client_made_for(project) is None
print(sorted(name for name in sys.modules if "crane" in name))
"""


@each_version
def test_what_is_loaded_where_there_is_no_index(fresh: PdmDesk) -> None:
    """For what PDM does before any request; benchmarks/plugins.py has the times."""
    fresh.write(sources="")

    loaded = fresh.run("-c", LOADED, program=fresh.program.with_name("python"))

    assert "pdm_crane.route" in loaded
    for part in ("clients.project_route", "config", "agent", "gateway", "auth"):
        assert f"crane_core.{part}" not in loaded


def test_on_the_latest_python_here(desk: PdmDesk, pdms: Pdms) -> None:
    found = next(filter(None, map(interpreter, ("3.14", "3.13", "3.12"))), None)
    if found is None:
        pytest.skip("there is no later Python here")
    desk.program = pdms.pdm(NEWEST, python=found)
    desk.site.add_private("firm-lib", requires=["open-lib"])
    desk.add_pypi("open-lib", "2.0")
    desk.write("firm-lib")

    desk.run("lock")
    desk.run("install")

    assert desk.installed() == {"firm_lib-1.0", "open_lib-2.0"}
