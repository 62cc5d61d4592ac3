"""What must not work: without crane's authority or token, and private names from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from forward.rig import Site
from run.kit import Machine, says
from support.tooling import UV, TakesBasicToo


def install(site: Site, target: Path, *more: str) -> tuple[str, ...]:
    where = ("--index", site.index_url, "--default-index", site.public_url)
    return ("uv", "pip", "install", "firm-lib", "--target", str(target), *where, *more)


@pytest.fixture
def both(ada: Machine) -> Site:
    """Give a private project, and a stranger of that name with a higher version."""
    ada.site.add_private("firm-lib")
    ada.site.add_public("firm-lib", "9.0")
    return ada.site


def test_without_crane_uv_gets_nothing(ada: Machine, both: Site, tmp_path: Path) -> None:
    done = ada.user.run(*install(both, tmp_path / "t"), "--no-cache", UV_HTTP_RETRIES="0")

    assert done.returncode != 0 or list((tmp_path / "t").glob("firm_lib-9.0*")), says(done)
    assert not list((tmp_path / "t").glob("firm_lib-1.0*"))


def test_without_the_authority_uv_trusts_nobody(ada: Machine, both: Site, tmp_path: Path) -> None:
    """With the certificates that it trusted before crane."""
    command = install(both, tmp_path / "t", "--no-cache")
    script = f'SSL_CERT_FILE="$CRANE_ORIGINAL_SSL_CERT_FILE" exec {" ".join(command)}'

    bare = ada.run("sh", "-c", script, UV_HTTP_RETRIES="0")
    inside = ada.run(*command)

    assert bare.returncode != 0
    assert "invalid peer certificate" in bare.stderr, says(bare)
    assert inside.returncode == 0, says(inside) + ada.log()


@pytest.mark.parametrize("only", [True, False], ids=["--index python", "all indexes"])
def test_without_a_token_nothing_comes(
    machine: Machine, server: TakesBasicToo, tmp_path: Path, only: bool
) -> None:
    """Nobody is logged in: the reason, and no stranger of that name from the public index."""
    machine.site.add_private("firm-lib")
    machine.site.add_public("firm-lib", "9.0")
    chosen = ("--index", "python") if only else ()
    command = [UV, *install(machine.site, tmp_path / "t", "--no-cache")[1:]]

    done = machine.user.crane("run", *chosen, "--", *command, UV_HTTP_RETRIES="0")

    assert done.returncode != 0
    assert "crane login python" in done.stderr, says(done)
    assert not list(tmp_path.glob("t/firm*"))
    assert machine.site.crane.requests == [] or all(
        r.status != 200 for r in machine.site.crane.requests if "firm-lib" in r.path
    )


@pytest.mark.parametrize("strategy", ["first-index", "unsafe-first-match", "unsafe-best-match"])
@pytest.mark.parametrize("order", ["private first", "public first"])
def test_private_names_come_from_the_private_index(
    ada: Machine, both: Site, tmp_path: Path, strategy: str, order: str
) -> None:
    """Although the public index has a higher version, and uv was told to take the best."""
    first, last = both.index_url, both.public_url
    if order == "public first":
        first, last = last, first
    command = ["uv", "pip", "install", "firm-lib", "--target", str(tmp_path / "t"), "--no-cache"]
    where = ["--index", first, "--default-index", last, "--index-strategy", strategy]

    done = ada.run(*command, *where)

    assert done.returncode == 0, says(done) + ada.log()
    assert [p.name for p in (tmp_path / "t").glob("firm_lib-*")] == ["firm_lib-1.0.dist-info"]


def test_without_crane_the_public_one_would_win(ada: Machine, both: Site, tmp_path: Path) -> None:
    """The control of the test above."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine index.firm.test login static-user password static-password\n")
    command = [*install(both, tmp_path / "t"), "--index-strategy", "unsafe-best-match"]

    done = ada.user.run(*command, "--no-cache", NETRC=str(netrc))

    assert done.returncode == 0, says(done)
    assert [p.name for p in (tmp_path / "t").glob("firm_lib-*")] == ["firm_lib-9.0.dist-info"]
