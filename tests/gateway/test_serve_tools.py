"""Real installers on the URL that `crane serve` prints."""

from __future__ import annotations

import ensurepip
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from gateway.depot import lose_files

from crane_devserver import Fault

if TYPE_CHECKING:
    from gateway.serving import Operator
    from support.world import World

UV = str(Path(sys.executable).with_name("uv"))
# pip runs from its own wheel, so that no test waits for an environment to be made.
PIP_WHEEL = next((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"), None)
needs_pip = pytest.mark.skipif(PIP_WHEEL is None, reason="this Python carries no pip")


def pip_download(operator: Operator, url: str, *what: str) -> subprocess.CompletedProcess[str]:
    """Run `pip download` as the user."""
    return operator.user.run(
        sys.executable, f"{PIP_WHEEL}/pip", "--isolated", "download", "--no-cache-dir",
        "--retries", "0", "--index-url", url, "--dest", "downloads", *what,
    )  # fmt: skip


def uv_install(
    operator: Operator, url: str, *what: str, default: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `uv pip install` as the user, into a folder; `default` is an index that comes last."""
    indexes = ("--index", url, "--default-index", default) if default else ("--index-url", url)
    return operator.user.run(
        UV, "pip", "install", "--no-cache", "--no-config", "--python", sys.executable,
        "--target", "installed", *indexes, *what,
        UV_HTTP_RETRIES="0",
    )  # fmt: skip


def publish_both(world: World) -> None:
    """Put a private project on the index, what it needs and a false twin on the public one."""
    world.add_private("secret-lib", requires=["public-lib"])
    world.add_public("secret-lib", "9.0")
    world.add_public("public-lib", "2.0")


@needs_pip
@pytest.mark.parametrize("options", [(), ("--token",)])
def test_pip_downloads_private_first_and_the_rest_from_the_fallback(
    world: World, operator: Operator, options: tuple[str, ...]
) -> None:
    publish_both(world)
    with operator.serve(*options) as serve:
        done = pip_download(operator, f"{serve.address}/simple/", "secret-lib")

    assert done.returncode == 0, done.stderr
    names = {path.name for path in (operator.user.home / "downloads").iterdir()}
    assert names == {"secret_lib-1.0-py3-none-any.whl", "public_lib-2.0-py3-none-any.whl"}
    assert not any("secret" in r.path for r in world.public_server.requests)


@pytest.mark.skipif(shutil.which(UV) is None, reason="uv is not installed")
@pytest.mark.parametrize("options", [(), ("--token",)])
def test_uv_installs_private_first_and_the_rest_from_the_fallback(
    world: World, operator: Operator, options: tuple[str, ...]
) -> None:
    publish_both(world)
    with operator.serve(*options) as serve:
        done = uv_install(operator, f"{serve.address}/python/simple/", "secret-lib")

    assert done.returncode == 0, done.stderr
    installed = operator.user.home / "installed"
    assert "1.0" in (installed / "secret_lib" / "__init__.py").read_text()
    assert "2.0" in (installed / "public_lib" / "__init__.py").read_text()
    assert not any("secret" in r.path for r in world.public_server.requests)


@needs_pip
def test_pip_shows_why_a_page_failed_and_takes_the_name_from_nowhere_else(
    world: World, operator: Operator
) -> None:
    """pip passes over a page with an error status in silence, and goes on with its next index."""
    publish_both(world)
    world.crane.faults.append(Fault("/python/secret-lib/", status=403))
    with operator.serve() as serve:
        url = f"{serve.address}/simple/"
        done = pip_download(operator, url, "secret-lib", "--extra-index-url", world.public_url)

    assert done.returncode != 0
    assert "refused the login (HTTP 403)" in done.stderr + done.stdout
    assert not (operator.user.home / "downloads").exists() or not any(
        (operator.user.home / "downloads").iterdir()
    )


@needs_pip
def test_pip_shows_why_a_file_failed(world: World, operator: Operator) -> None:
    publish_both(world)
    world.crane.faults.append(Fault("/python/secret-lib/secret", status=403))
    with operator.serve() as serve:
        done = pip_download(operator, f"{serve.address}/simple/", "secret-lib")

    assert done.returncode != 0
    assert "refused the login (HTTP 403)" in done.stderr + done.stdout


@pytest.mark.skipif(shutil.which(UV) is None, reason="uv is not installed")
@pytest.mark.parametrize("status", [401, 403, 503])
def test_uv_stops_at_a_page_that_failed(world: World, operator: Operator, status: int) -> None:
    publish_both(world)
    world.crane.faults.append(Fault("/python/secret-lib/", status=status))
    with operator.serve() as serve:
        url = f"{serve.address}/simple/"
        done = uv_install(operator, url, "secret-lib", default=world.public_url)

    assert done.returncode != 0
    assert not (operator.user.home / "installed" / "secret_lib").exists()


@needs_pip
def test_pip_never_takes_a_file_that_has_changed(world: World, operator: Operator) -> None:
    world.add_private("changed-lib")
    with operator.serve() as serve:
        url = f"{serve.address}/simple/"
        assert pip_download(operator, url, "changed-lib").returncode == 0
        shutil.rmtree(operator.user.home / "downloads")
        world.add_private("changed-lib", files={"changed_lib/__init__.py": "print('evil')"})
        # The cache has the first bytes, and could give them for a while.
        lose_files(operator.home.paths.cache)
        done = pip_download(operator, url, "changed-lib")
        serve.err.wait_for("is not the file it was before")

    assert done.returncode != 0
    assert not list((operator.user.home / "downloads").glob("*.whl"))
