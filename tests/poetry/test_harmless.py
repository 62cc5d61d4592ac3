"""Whatever is wrong with crane, Poetry works for whom it does not concern."""

from __future__ import annotations

import subprocess
import threading

import pytest
from poetry.kit import NEWEST, VERSIONS, Desk, Poetries, source
from run.kit import says, until
from support.pips import interpreter, register
from support.processes import kill

from crane_devserver.wheels import make_wheel

each_version = pytest.mark.parametrize("version", VERSIONS)


@each_version
def test_a_project_without_a_registered_index(desk: Desk) -> None:
    """Nothing is started for it, and a broken configuration does not concern it."""
    desk.add_pypi("open-lib", "2.0")
    desk.write("open-lib", sources="")

    before = desk.run("lock")
    desk.run("install")

    assert desk.installed() == {"open_lib-2.0"}
    assert desk.machine.agents() == []
    assert desk.machine.log() == ""
    assert not list(desk.machine.paths.data.glob("run/*"))
    desk.config_file.write_text('[index.python\nurl = "https://index.firm.test/"')
    after = desk.run("lock") + desk.run("install")
    assert "crane" not in before + after


@each_version
def test_a_broken_configuration_is_no_way_to_pypi(desk: Desk) -> None:
    """The source is seen in its text, so no request goes there, nor elsewhere, without a login."""
    desk.add_pypi("firm-lib", "9.0")
    desk.site.add_private("firm-lib")
    desk.write("firm-lib")
    with desk.machine.user.config_file.open("a") as file:
        file.write("\nthis is no TOML\n")

    done = desk.call("lock")

    assert done.returncode == 1
    assert "config.toml" in done.stderr
    assert "Traceback" not in says(done)
    assert desk.pypi.asked("firm-lib") == []


def test_a_broken_configuration_stops_no_command_that_needs_no_index(desk: Desk) -> None:
    """It is one line there, for whoever has a source that it seems to name."""
    desk.write()
    with desk.machine.user.config_file.open("a") as file:
        file.write("\n[[")

    done = desk.call("show")

    assert done.returncode == 0 or "poetry.lock not found" in done.stderr, says(done)
    assert [line for line in done.stderr.splitlines() if "config.toml" in line] == [
        line for line in done.stderr.splitlines() if line.startswith("crane: ")
    ]
    assert done.stderr.count("config.toml") == 1


SESSIONS = ("poetry.utils.authenticator", "Authenticator", "create_session")
UPLOADS = ("poetry.publishing.uploader", "Uploader", "make_session")


def of_another_shape(
    desk: Desk, *arguments: str, changed: tuple[str, str, str] = SESSIONS
) -> subprocess.CompletedProcess[str]:
    """Run a Poetry of whose inside something has changed."""
    module, owner, name = changed
    (desk.project / "changed.py").write_text(
        f"from {module} import {owner} as owner\n"
        f"original = owner.{name}\n"
        "def other_method(self, other=None):\n    return original(self)\n"
        f"owner.{name} = other_method\n"
        "from poetry.console.application import main\n"
        "raise SystemExit(main())\n"
    )
    return desk.call("changed.py", *arguments, program=desk.program.with_name("python"))


@each_version
def test_an_unknown_poetry_takes_the_forward_route(desk: Desk) -> None:
    """Where its inside has another shape, the process gets the environment of `crane run`."""
    desk.site.add_private("firm-lib", requires=["open-lib"])
    desk.add_pypi("firm-lib", "9.0")
    desk.add_pypi("open-lib", "2.0")
    desk.write("firm-lib")

    done = of_another_shape(desk, "lock")

    assert done.returncode == 0, says(done) + desk.machine.log()
    assert desk.locked["firm-lib"]["version"] == "1.0"
    assert desk.locked["open-lib"]["version"] == "2.0"
    assert len(desk.machine.agents()) == 1
    assert desk.mentions("127.0.0.1") == []
    text = (desk.project / "pyproject.toml").read_text()
    (desk.project / "pyproject.toml").write_text(text.replace("package-mode = false", ""))
    wheel = make_wheel(desk.project / "dist", "app", "1.0")
    done = of_another_shape(desk, "publish", "--repository", "firm", changed=UPLOADS)
    assert done.returncode == 0, says(done) + desk.machine.log()
    assert (desk.site.private / "app" / wheel.name).read_bytes() == wheel.read_bytes()


@pytest.mark.parametrize("broken", [False, True], ids=["nobody logged in", "broken configuration"])
def test_an_unknown_poetry_without_a_way_takes_nothing_from_elsewhere(
    unknown: Desk, broken: bool
) -> None:
    unknown.site.add_private("firm-lib")
    unknown.add_pypi("firm-lib", "9.0")
    unknown.write("firm-lib")
    if broken:
        with unknown.config_file.open("a") as file:
            file.write("\n[[")

    done = of_another_shape(unknown, "lock")

    assert done.returncode == 1
    assert ("config.toml" if broken else "crane login python") in done.stderr, says(done)
    assert "Traceback" not in says(done)
    assert unknown.pypi.asked("firm-lib") == []


def test_below_crane_run(desk: Desk) -> None:
    """The plugin goes its own way there, and the agent is the same one."""
    desk.site.add_private("firm-lib")
    desk.write("firm-lib")

    done = desk.machine.user.crane(
        "run", "--", str(desk.program), "--directory", str(desk.project), "lock", **desk.environ()
    )

    assert done.returncode == 0, says(done) + desk.machine.log()
    assert desk.locked["firm-lib"]["version"] == "1.0"
    assert len(desk.machine.agents()) == 1


@each_version
def test_an_agent_that_is_killed_in_between(desk: Desk) -> None:
    """Pages come slowly; while the lock runs, the agent goes. Another one takes over."""
    for number in range(8):
        needs = [f"firm-{number + 1}"] if number < 7 else []
        desk.site.add_private(f"firm-{number}", requires=needs)
    desk.write("firm-0")
    killed: list[int] = []

    def kill_after_the_third_page() -> None:
        until(lambda: desk.site.crane.requests and any(
            "firm-2" in r.path for r in desk.site.crane.requests), 60)  # fmt: skip
        for runtime in desk.machine.agents():
            kill(runtime.pid)
            killed.append(runtime.pid)

    thread = threading.Thread(target=kill_after_the_third_page)
    thread.start()
    # Fetching ahead would have everything before Poetry asks.
    done = desk.call("lock", CRANE_PREFETCH="off")
    thread.join()

    assert killed
    assert done.returncode == 0, says(done)
    assert len(desk.locked) == 8
    assert desk.machine.agent().pid not in killed


def test_two_private_indexes(desk: Desk, realm) -> None:
    """Both registered; Poetry's own order decides between them, and PyPI gets neither's names."""
    from support.pips import log_in

    other = desk.site.index(name="tools", url=f"{desk.site.crane_url}/python/deep", fallback="none")
    desk.site.add_private("firm-lib", requires=["tool-lib"])
    make_wheel(desk.site.private / "deep" / "tool-lib", "tool-lib", "1.0")
    desk.add_pypi("tool-lib", "9.0")
    desk.add_pypi("firm-lib", "9.0")
    register(desk.machine.user, other)
    log_in(desk.machine.user, realm, other)
    desk.write(
        "firm-lib",
        sources=desk.source("firm") + source("tools", other.url, "primary")
        + source("PyPI", None, "primary"),
    )  # fmt: skip

    desk.run("lock")

    assert desk.locked["tool-lib"]["source"]["url"] == other.url
    assert desk.locked["firm-lib"]["version"] == "1.0"


LOADED = """
import sys
from poetry.console.application import Application
from poetry.plugins.plugin_manager import PluginManager  # as Poetry has it when it loads us
from poetry_plugin_crane.plugins import CraneApplicationPlugin
CraneApplicationPlugin().activate(Application())
print(sorted(name for name in sys.modules if "crane" in name))
"""


@each_version
def test_what_is_loaded_where_there_is_no_index(desk: Desk) -> None:
    """An index is registered, and not used here; benchmarks/plugins.py has the times."""
    loaded = desk.run("-c", LOADED, program=desk.program.with_name("python"))

    assert "poetry_plugin_crane.start" in loaded
    for part in ("clients.project_route", "config", "agent", "gateway", "auth"):
        assert f"crane_core.{part}" not in loaded


def test_on_the_latest_python_here(desk: Desk, poetries: Poetries) -> None:
    found = next(filter(None, map(interpreter, ("3.14", "3.13", "3.12"))), None)
    if found is None:
        pytest.skip("there is no later Python here")
    desk.program = poetries.poetry(NEWEST, python=found)
    desk.site.add_private("firm-lib", requires=["open-lib"])
    desk.add_pypi("open-lib", "2.0")
    desk.write("firm-lib")

    desk.run("lock")
    desk.run("install")

    assert desk.installed() == {"firm_lib-1.0", "open_lib-2.0"}
