"""uv's projects: the lock is the one of a direct login, byte for byte, and anybody's."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from forward.rig import PRIVATE_HOST, Site
from idp.oidc import Realm
from run.kit import Machine, says
from support.pips import installed, log_in, register
from support.tooling import (
    STATIC_PASSWORD,
    STATIC_USER,
    UV,
    TakesBasicToo,
    traces,
    traces_in,
)
from support.world import User

from crane_devserver.behaviour import CRANE
from crane_devserver.repository import Repository

TEAM_URL = f"https://{PRIVATE_HOST}/team"


@dataclass(frozen=True)
class Form:
    """A way to name indexes in pyproject.toml, and what the project needs."""

    indexes: str
    needs: tuple[str, ...] = ("firm-lib",)


FIRM = '[[tool.uv.index]]\nname = "firm"\nurl = "{firm}"\n'
TEAM = '[[tool.uv.index]]\nname = "team"\nurl = "{team}"\n'
OPEN = '[[tool.uv.index]]\nname = "open"\nurl = "{open}"\ndefault = true\n'
FORMS = {
    "before the default": Form(FIRM + OPEN),
    "the default": Form(f"{FIRM}default = true\n", ("firm-alone",)),
    "explicit": Form(
        f'{FIRM}explicit = true\n{OPEN}[tool.uv.sources]\nfirm-lib = {{{{ index = "firm" }}}}\n'
        'firm-dep = {{ index = "firm" }}\n',
        ("firm-lib", "firm-dep"),
    ),
    "several": Form(TEAM + FIRM + OPEN, ("firm-lib", "team-lib")),
    "with a slash": Form(FIRM.replace("{firm}", "{firm}/") + OPEN),
    "old settings": Form('[tool.uv]\nindex-url = "{open}"\nextra-index-url = ["{firm}"]\n'),
}


def make_project(folder: Path, site: Site, form: Form) -> Path:
    """Write a project that names its indexes by their own URLs."""
    folder.mkdir()
    indexes = form.indexes.format(firm=site.index_url, team=TEAM_URL, open=site.public_url)
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.11"\n'
        f"dependencies = {json.dumps(form.needs)}\n{indexes}"
    )
    return folder


@pytest.fixture
def filled(ada: Machine, realm: Realm) -> Site:
    """Give the indexes with something in them, a second protected one, and names in two places."""
    site = ada.site
    site.add_private("firm-lib", requires=["firm-dep", "open-lib"])
    site.add_private("firm-dep", "2.0")
    site.add_private("firm-alone", requires=["firm-dep>=1"])
    site.add_public("open-lib")
    site.add_public("firm-dep", "9.0")
    everyone = frozenset({"everyone"})
    folder = site.private.parent / "team"
    site.crane.repositories["team"] = Repository("team", folder, read_groups=everyone)
    shutil.copytree(site.add_private("team-lib").parent, folder / "team-lib")
    shutil.rmtree(site.private / "team-lib")
    team = site.index(name="team", url=TEAM_URL)
    register(ada.user, team)
    log_in(ada.user, realm, team)
    return site


def lock_directly(ada: Machine, folder: Path, cache: Path) -> str:
    """Lock with a static login at the indexes, and no crane."""
    netrc = cache.with_name("netrc")
    login = f"login {STATIC_USER} password {STATIC_PASSWORD}"
    netrc.write_text(f"machine {PRIVATE_HOST} {login}\n")
    command = (UV, "lock", "--directory", str(folder))
    done = ada.user.run(*command, UV_CACHE_DIR=str(cache), NETRC=str(netrc))
    assert done.returncode == 0, says(done)
    return (folder / "uv.lock").read_text()


def check_lock(ada: Machine, form: Form, server: TakesBasicToo, folder: Path) -> str:
    """Lock with crane and directly; the two must be the same."""
    project = make_project(folder / "project", ada.site, form)
    direct = make_project(folder / "direct", ada.site, form)

    done = ada.user.crane("uv", "lock", "--directory", str(project))
    assert done.returncode == 0, says(done) + ada.log()
    assert server.static_logins == 0
    lock = (project / "uv.lock").read_text()

    assert lock == lock_directly(ada, direct, folder / "direct-cache")
    assert server.static_logins > 0
    return lock


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_lock_is_the_one_of_a_direct_login(
    ada: Machine, filled: Site, server: TakesBasicToo, tmp_path: Path, form: Form
) -> None:
    lock = check_lock(ada, form, server, tmp_path)

    assert 'name = "firm-dep"\nversion = "2.0"' in lock
    assert filled.index_url in lock


def test_a_lock_at_a_crane_server_is_the_one_of_a_direct_login(
    ada: Machine, filled: Site, server: TakesBasicToo, tmp_path: Path
) -> None:
    """It states no hashes, and answers strangers with a login page, so uv has to insist."""
    filled.crane.behaviour = CRANE
    insists = f'{FIRM}authenticate = "always"\n'

    lock = check_lock(ada, Form(insists + OPEN), server, tmp_path)

    assert f'source = {{ registry = "{filled.index_url}" }}' in lock


def test_a_lock_serves_a_colleague(
    ada: Machine, filled: Site, realm: Realm, tmp_path: Path
) -> None:
    """With another home, another agent, another port, and nothing in a cache."""
    project = make_project(tmp_path / "project", filled, FORMS["before the default"])
    directory = ("--directory", str(project))
    done = ada.user.crane("uv", "lock", *directory)
    assert done.returncode == 0, says(done) + ada.log()
    lock = (project / "uv.lock").read_bytes()
    bob = colleague(ada, realm, tmp_path / "bob")
    try:
        # Without --upgrade, uv asks nobody about a lock that it is content with.
        upgraded = bob.user.crane("uv", "lock", "--upgrade", *directory)
        synced = bob.user.crane("uv", "sync", "--locked", *directory)
        port = bob.agent().port
    finally:
        bob.end_all()

    assert port != ada.agent().port
    assert upgraded.returncode == 0, says(upgraded) + bob.log()
    assert synced.returncode == 0, says(synced) + bob.log()
    assert (project / "uv.lock").read_bytes() == lock
    assert installed(project / ".venv") == {"firm_lib-1.0", "firm_dep-2.0", "open_lib-1.0"}


def colleague(ada: Machine, realm: Realm, home: Path) -> Machine:
    """Give another user of another machine, who has registered the index on their own."""
    home.mkdir()
    variables = {**ada.user.variables, "UV_CACHE_DIR": str(home / "uv-cache")}
    other = User(home, realm.issuer, variables)
    register(other, ada.site.index())
    log_in(other, realm, ada.site.index(), account="bob")
    return Machine(other, ada.site)


def test_nothing_of_this_machine_is_left(ada: Machine, filled: Site, tmp_path: Path) -> None:
    """In the project, what is installed, uv's own cache, and what it prints with -v."""
    project = make_project(tmp_path / "project", filled, FORMS["before the default"])
    directory = ("--directory", str(project))
    printed = []
    for command in (["lock"], ["sync"], ["export"], ["tree"], ["lock", "--upgrade"]):
        done = ada.user.crane("uv", *command, *directory)
        assert done.returncode == 0, says(done) + ada.log()
        printed += traces_in(ada.agent().port, done)
    cache = Path(ada.user.variables["UV_CACHE_DIR"])

    assert printed == []
    assert traces(ada.agent().port, project, cache) == []
    assert any(filled.index_url.encode() in p.read_bytes() for p in cache.rglob("*.rkyv"))
