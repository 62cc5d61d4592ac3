"""pip's own HTTP cache works as without crane: the URLs are the same from run to run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from forward.net import Net
from forward.rig import PUBLIC_HOST, Site
from support.pips import (
    OLDEST_AND_NEWEST,
    MakeEnvironment,
    Pip,
    end_agents,
    log_in,
    register,
)
from support.world import User

from crane_devserver.behaviour import CRANE, STATIC_INDEX
from crane_devserver.crane import CraneServer
from crane_devserver.repository import Repository

KEEP = "max-age=31536000"
CACHED_HOST = "index.cached.test"


def says(done: CompletedProcess[str]) -> str:
    return f"{done.args}\n{done.returncode}\n{done.stdout}\n{done.stderr}"


def downloads(*servers: CraneServer) -> Counter[str]:
    """Return how often each whole wheel was sent, and forget it."""
    found: Counter[str] = Counter()
    for server in servers:
        for request in server.requests:
            # A question for its end is answered with the whole file, of which no more is read.
            is_part = request.header("range") is not None
            if request.path.endswith(".whl") and request.status == 200 and not is_part:
                found[request.path.rpartition("/")[2]] += 1
        server.requests.clear()
    return found


@pytest.fixture
def kept(
    net: Net, site: Site, tmp_path: Path, ada: User
) -> Iterator[tuple[CraneServer, CraneServer]]:
    """Give indexes that let their files be kept, as PyPI does, registered in place of the usual."""
    private, public = tmp_path / "kept-private", tmp_path / "kept-public"
    for folder in (private, public):
        folder.mkdir()
    site.private, site.public = private, public
    common = {"keys": f"{site.realm.issuer}/jwks", "behaviour": STATIC_INDEX}
    crane = CraneServer(
        [Repository("python", private, cache_control=KEEP)], issuer=site.realm.issuer, **common
    )
    pypi = CraneServer([Repository("simple", public, public=True, cache_control=KEEP)], **common)
    with ExitStack() as stack:
        stack.enter_context(net.host(crane, CACHED_HOST))
        stack.enter_context(net.host(pypi, PUBLIC_HOST))
        index = site.index(name="kept", url=f"https://{CACHED_HOST}/python", default=True)
        register(ada, index)
        log_in(ada, site.realm, index)
        yield crane, pypi
        end_agents(ada)


@pytest.mark.parametrize("pip", OLDEST_AND_NEWEST, ids=str)
def test_a_second_run_downloads_nothing_again(
    pip: Pip,
    kept: tuple[CraneServer, CraneServer],
    site: Site,
    ada: User,
    make_environment: MakeEnvironment,
) -> None:
    """Not even with another agent, at another port, whose own cache is empty."""
    folder = make_environment(pip)
    site.add_private("secret-lib", requires=["open-lib"], size=400_000)
    site.add_public("open-lib", size=400_000)
    line = ("pip", "--python", str(folder), "download", "secret-lib", "-d")

    first = ada.crane(*line, "first")
    once = downloads(*kept)
    end_agents(ada)
    second = ada.crane(*line, "second", CRANE_CACHE_SIZE="0")

    assert first.returncode == second.returncode == 0, says(first) + says(second)
    assert once == {"secret_lib-1.0-py3-none-any.whl": 1, "open_lib-1.0-py3-none-any.whl": 1}
    assert not downloads(*kept), says(second)
    assert second.stdout.count("Using cached") >= 2, says(second)


@pytest.mark.parametrize("pip", OLDEST_AND_NEWEST, ids=str)
def test_what_pip_may_not_keep_comes_from_the_gateways_cache(
    pip: Pip, site: Site, ada: User, make_environment: MakeEnvironment
) -> None:
    """A Crane server forbids it, so pip asks for the file again; the index is not asked."""
    folder = make_environment(pip)
    site.crane.behaviour = CRANE
    site.add_private("secret-lib", size=400_000)
    line = ("pip", "--python", str(folder), "download", "secret-lib", "-d")

    first = ada.crane(*line, "first")
    once = downloads(site.crane)
    second = ada.crane(*line, "second")

    assert first.returncode == second.returncode == 0, says(first) + says(second)
    assert once == {"secret_lib-1.0-py3-none-any.whl": 1}
    assert not downloads(site.crane)
