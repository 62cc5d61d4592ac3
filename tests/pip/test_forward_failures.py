"""What a person reads when something ends, or does not start, around a pip of the forward route."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from forward.rig import Site
from support.pips import (
    INDEX_ROUTE,
    OLDEST_AND_NEWEST,
    MakeEnvironment,
    Pip,
    agents,
    bundles,
    installed,
)
from support.world import CRANE, SECONDS, User, World

from crane_devserver.faults import Fault

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kills processes the POSIX way")


def says(done: CompletedProcess[str]) -> str:
    return f"{done.args}\n{done.returncode}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("pip", OLDEST_AND_NEWEST, ids=str)
def test_a_login_that_ends_in_mid_run_is_told_in_pips_own_words(
    pip: Pip, site: Site, ada: User, make_environment: MakeEnvironment
) -> None:
    """And no name is taken from elsewhere instead."""
    folder = make_environment(pip)
    site.add_private("secret-lib", requires=["secret-part"])
    site.add_private("secret-part")
    site.add_public("secret-part", "9.0")
    site.realm.expire("refresh")
    # As after a change of the server's keys: from some page on, no token is good any more.
    site.crane.faults.append(Fault("/python/secret-part/", status=401))

    done = ada.crane(
        "pip", "--python", str(folder), "install", "secret-lib",
        "--extra-index-url", site.public_url,
    )  # fmt: skip

    assert done.returncode == 1, says(done)
    assert "run: crane login python" in done.stdout + done.stderr, says(done)
    assert "Traceback" not in done.stderr
    assert not installed(folder)
    assert not any("secret" in request.path for request in site.public_server.requests)


@pytest.mark.parametrize("pip", OLDEST_AND_NEWEST, ids=str)
def test_a_file_that_is_refused_is_told_in_pips_own_words(
    pip: Pip, site: Site, ada: User, make_environment: MakeEnvironment
) -> None:
    folder = make_environment(pip)
    site.add_private("secret-lib")
    site.crane.faults.append(Fault("/python/secret-lib/secret_lib-1.0", status=404))

    done = ada.crane("pip", "--python", str(folder), "install", "secret-lib")

    assert done.returncode == 1, says(done)
    assert "python has no secret_lib-1.0-py3-none-any.whl, or you may not read it" in done.stderr


@pytest.mark.parametrize("pip", OLDEST_AND_NEWEST, ids=str)
def test_an_agent_that_is_killed_in_mid_run_leaves_a_clear_error(
    pip: Pip, world: World, ready: User, make_environment: MakeEnvironment
) -> None:
    folder = make_environment(pip)
    world.add_private("secret-lib", size=3_000_000)
    world.add_private("secret-part")
    world.crane.faults.append(Fault("/python/secret-lib/secret_lib", bytes_per_second=2_000))
    with subprocess.Popen(
        [CRANE, "pip", "--python", str(folder), "install", "--retries=1", "secret-lib"],
        env=ready.environ, cwd=ready.home, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout
        for line in process.stdout:
            if "Downloading" in line:
                break
        (agent,) = agents(ready)
        os.kill(agent.pid, signal.SIGKILL)
        out, errors = process.communicate(timeout=SECONDS)

    assert process.returncode in {1, 2}, out + errors
    assert "ERROR" in errors
    assert not installed(folder)
    # The next command has another agent, and sweeps up after that one.
    world.crane.faults.clear()
    assert ready.crane("pip", "--python", str(folder), "install", "secret-part").returncode == 0
    assert installed(folder) == {"secret_part-1.0"}


def test_an_agent_that_is_killed_between_two_requests_cannot_be_gone_around(
    world: World, ready: User, telling: Callable[..., Any], make_environment: MakeEnvironment
) -> None:
    """pip goes on trying the dead proxy, and never the index, or another one, without it."""
    folder = make_environment()
    pip = telling()
    world.add_private("secret-lib")
    world.add_public("secret-lib", "9.0")
    ready.crane("pip", "--python", str(pip.environment), "install", "x", check=True)
    (agent,) = agents(ready)
    os.kill(agent.pid, signal.SIGKILL)
    world.crane.requests.clear()

    done = ready.run(
        str(folder / "bin" / "python"), "-m", "pip", "install", "--retries=1", "secret-lib",
        "-i", world.index_url, "--extra-index-url", world.public_url,
        **{n: pip.told["environ"][n] for n in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")},
    )  # fmt: skip

    assert done.returncode == 1
    assert "Connection refused" in done.stderr, says(done)
    assert not installed(folder)
    assert not list(world.crane.requests)
    assert not any("secret" in r.path for r in world.public_server.requests)


def in_the_way(user: User) -> Path:
    """Put a file where the agent's folder is to be."""
    path = user.sessions.parent / "agents"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    return path


def test_an_agent_that_does_not_start_is_told_in_one_line_and_nothing_else_is_tried(
    ready: User, telling: Callable[..., Any]
) -> None:
    """A gateway with a loopback URL would be there, but would leave its URL in what pip writes."""
    pip = telling()

    done = ready.crane(
        "pip", "--python", str(pip.environment), "install", "x", CRANE_AGENT_IDLE="soon"
    )

    assert (done.returncode, done.stderr.count("\n")) == (33, 1), says(done)
    assert "crane pip --route index" in done.stderr
    assert not pip.was_called


def test_the_index_route_needs_no_agent(
    world: World, ready: User, make_environment: MakeEnvironment
) -> None:
    folder = make_environment()
    world.add_private("secret-lib")

    done = ready.crane(
        "pip", *INDEX_ROUTE, "--python", str(folder), "install", "secret-lib",
        CRANE_AGENT_IDLE="soon",
    )  # fmt: skip

    assert done.returncode == 0, says(done)
    assert "Looking in indexes: http://127." in done.stdout
    assert installed(folder) == {"secret_lib-1.0"}
    assert not agents(ready)


def test_a_folder_that_cannot_be_used_is_told_in_one_line(
    ready: User, telling: Callable[..., Any]
) -> None:
    pip = telling()
    in_the_way(ready)

    done = ready.crane("pip", "--python", str(pip.environment), "install", "x")

    assert done.returncode in {8, 33}, says(done)
    assert "Traceback" not in done.stderr
    assert not pip.was_called


def test_an_index_that_is_nowhere_opens_no_view(ready: User, telling: Callable[..., Any]) -> None:
    url = "https://elsewhere.example.com/simple"

    done = ready.crane("pip", "--python", str(telling().environment), "install", "-i", url, "x")

    assert done.returncode == 5
    assert not agents(ready)
    assert not bundles(ready)
