"""Poetry's commands with a registered index: the real URL everywhere, and nothing of crane's."""

from __future__ import annotations

import base64

import pytest
from forward.rig import PRIVATE_HOST
from poetry.kit import VERSIONS, Desk, write_pages
from run.kit import says
from support.pips import make_built_sdist
from support.repacked import repack

from crane_devserver.behaviour import STATIC_INDEX
from crane_devserver.crane import CraneServer
from crane_devserver.repository import Repository

each_version = pytest.mark.parametrize("version", VERSIONS)


@each_version
def test_lock_and_install(desk: Desk) -> None:
    desk.site.add_private("firm-lib", requires=["open-lib"])
    desk.add_pypi("open-lib", "2.0")
    desk.write("firm-lib")

    printed = desk.run("lock", "-vvv") + desk.run("install", "-vvv")

    assert desk.locked["firm-lib"]["source"]["url"] == desk.site.index_url
    assert "source" not in desk.locked["open-lib"]
    assert desk.installed() == {"firm_lib-1.0", "open_lib-2.0"}
    assert "127.0.0.1" not in printed
    assert desk.mentions("127.0.0.1") == []
    assert desk.mentions(desk.site.index_url)  # the control: this way they would be found
    assert printed.count("crane: python: authenticated as ada via crane") == 2
    # No login and no secret is told to anybody else.
    seen = [headers for _, headers in desk.pypi.seen]
    assert seen
    assert not any({"authorization", "proxy-authorization"} & set(headers) for headers in seen)
    assert not any(r.header("proxy-authorization") for r in desk.site.crane.requests)
    # The view has ended with Poetry.
    assert desk.machine.status()[0]["views"] == []
    assert desk.machine.bundles() == []


@each_version
def test_a_projects_days(desk: Desk) -> None:
    """Add, show, update, sync and remove."""
    desk.site.add_private("firm-lib", "1.0")
    desk.site.add_private("firm-tool", "1.0", requires=["firm-lib"])
    desk.add_pypi("open-lib", "2.0")
    desk.write()

    desk.run("add", "firm-tool", "open-lib")
    assert desk.installed() == {"firm_lib-1.0", "firm_tool-1.0", "open_lib-2.0"}

    desk.site.add_private("firm-lib", "1.1")
    desk.add_pypi("open-lib", "2.1")
    desk.add_pypi("firm-lib", "7.7")
    latest = {line.split()[0]: line.split()[1:3] for line in desk.run("show", "-l").splitlines()}
    assert latest["firm-lib"] == ["1.0", "1.1"]
    assert latest["open-lib"] == ["2.0", "2.1"]
    desk.run("update")
    assert desk.installed() == {"firm_lib-1.1", "firm_tool-1.0", "open_lib-2.1"}

    desk.run("remove", "firm-tool")
    assert desk.installed() == {"open_lib-2.1"}
    assert "firm" not in desk.lock.replace(desk.site.index_url, "")

    desk.run("sync")
    assert desk.installed() == {"open_lib-2.1"}


@each_version
def test_the_lock_file_is_the_one_of_direct_credentials(desk: Desk, tmp_path) -> None:
    """Byte for byte: the index shows the same to a Poetry that has a password there."""
    for number in range(3):
        desk.site.add_private(f"firm-{number}", f"1.{number}", requires=["open-lib>=1"])
    desk.site.add_private("firm-0", "2.0", requires=["firm-1", 'firm-2; python_version < "3.12"'])
    desk.add_pypi("open-lib", "1.5")
    desk.write("firm-0", "firm-2")
    write_pages(desk.site.private)

    desk.run("lock")
    through_crane = desk.lock
    (desk.project / "poetry.lock").unlink()
    server = CraneServer(
        [Repository("python", desk.site.private, public=True)],
        keys=f"{desk.site.realm.issuer}/jwks",
        behaviour=STATIC_INDEX,
    )
    guarded = WithPassword(server)
    with desk.site.net.host(guarded, PRIVATE_HOST):
        desk.run(
            "--no-plugins", "lock", POETRY_CACHE_DIR=str(tmp_path / "other-cache"),
            POETRY_HTTP_BASIC_FIRM_USERNAME="u", POETRY_HTTP_BASIC_FIRM_PASSWORD="p",
        )  # fmt: skip

    assert guarded.let_in > 0
    assert desk.lock == through_crane


class WithPassword:
    """An index that knows one password, and no tokens."""

    def __init__(self, app: CraneServer) -> None:
        self._app = app
        self._wanted = b"Basic " + base64.b64encode(b"u:p")
        self.let_in = 0

    async def __call__(self, scope, receive, send) -> None:
        headers = dict(scope.get("headers", ()))
        if scope["type"] == "http" and headers.pop(b"authorization", None) != self._wanted:
            head = {"type": "http.response.start", "status": 401, "headers": []}
            await send(head)
            await send({"type": "http.response.body"})
            return
        self.let_in += 1
        await self._app({**scope, "headers": list(headers.items())}, receive, send)


@each_version
def test_isolated_builds_get_private_build_requirements(desk: Desk) -> None:
    """A private source distribution needs a private project to build; Poetry installs that one."""
    desk.site.add_private("firm-build")
    make_built_sdist(
        desk.site.private / "firm-made", "firm-made",
        build_requires=["firm-build"], prologue="import firm_build",
    )  # fmt: skip
    desk.write("firm-made")

    desk.run("lock")
    desk.run("install")

    assert desk.installed() == {"firm_made-1.0"}


def test_build_gets_private_build_requirements(desk: Desk) -> None:
    """Of the project itself."""
    desk.site.add_private("firm-build")
    desk.write()
    pyproject = desk.project / "pyproject.toml"
    backend = "import firm_build\nfrom poetry.core.masonry.api import *\n"
    (desk.project / "backend.py").write_text(backend)
    (desk.project / "app.py").write_text("")
    text = pyproject.read_text().replace("package-mode = false", "package-mode = true")
    pyproject.write_text(
        text + '[build-system]\nrequires = ["poetry-core", "firm-build"]\n'
        'build-backend = "backend"\nbackend-path = ["."]\n'
    )
    packages = next((desk.program.parent.parent / "lib").glob("python3*/site-packages"))
    repack(packages, desk.pypi.folder, "poetry-core")

    desk.run("build", "--format", "wheel")

    assert list((desk.project / "dist").glob("app-1.0-*.whl"))


def test_many_downloads_at_once(desk: Desk) -> None:
    names = [f"firm-{number}" for number in range(12)]
    for name in names:
        desk.site.add_private(name, size=200_000)
    desk.write(*names)

    desk.run("lock")
    desk.run("install", POETRY_INSTALLER_MAX_WORKERS="8")

    assert desk.installed() == {f"{name.replace('-', '_')}-1.0" for name in names}


def test_both_caches_work(desk: Desk) -> None:
    """A second environment needs no file, although crane has lost its own cache meanwhile."""
    desk.site.add_private("firm-lib", size=100_000)
    # With hashes: without them Poetry downloads a file anew to compare it with its lock.
    write_pages(desk.site.private)
    desk.write("firm-lib")
    desk.run("lock")
    assert desk.mentions("https://index.firm.test/python/firm-lib/")  # of cachecontrol
    assert not desk.mentions("Metadata-Version:"), "Poetry keeps what it read of it, not the text"
    desk.run("install")
    desk.machine.end_all()
    desk.machine.user.crane("cache", "purge", check=True)
    before = len(desk.site.crane.requests)

    desk.run("env", "remove", "--all")
    desk.run("install")

    later = desk.site.crane.requests[before:]
    # What has a range is crane's, which reads metadata ahead.
    assert [r.path for r in later if r.path.endswith(".whl") and not r.header("range")] == []
    assert desk.installed() == {"firm_lib-1.0"}


def test_search_finds_private_projects(desk: Desk) -> None:
    desk.site.add_private("firm-lib")
    desk.write(sources=desk.source("firm"))

    assert "firm-lib" in desk.run("search", "firm-lib")


@each_version
def test_publish_needs_no_login_of_poetrys(desk: Desk) -> None:
    """To a source by its name; the next command finds the file."""
    from crane_devserver.wheels import make_wheel

    desk.write(more="", sources=desk.source("firm"))
    text = (desk.project / "pyproject.toml").read_text()
    (desk.project / "pyproject.toml").write_text(text.replace("package-mode = false", ""))
    wheel = make_wheel(desk.project / "dist", "app", "1.0")

    desk.run("publish", "--repository", "firm")
    assert (desk.site.private / "app" / wheel.name).read_bytes() == wheel.read_bytes()
    posts = [r for r in desk.site.crane.requests if r.method == "POST"]
    assert (posts[0].header("authorization") or "").startswith("Bearer ")
    desk.run("publish", "--repository", "firm")

    make_wheel(desk.project / "dist", "app", "1.0", requires=["x"])
    other = desk.call("publish", "--repository", "firm")
    assert other.returncode != 0
    assert "crane: File already exists" in says(other).replace("\n", " ")
    assert "127.0.0.1" not in says(other)
    desk.run("publish", "--repository", "firm", "--skip-existing")


def test_self_commands_are_as_before(desk: Desk) -> None:
    desk.write()
    with_plugin = desk.run("self", "show", "plugins")
    assert "poetry-plugin-crane" in with_plugin

    one = desk.call("self", "lock")
    other = desk.call("--no-plugins", "self", "lock")

    assert one.returncode == other.returncode
    assert _without_times(says(one)) == _without_times(says(other).replace("'--no-plugins', ", ""))
    assert desk.machine.agents() == []


def _without_times(text: str) -> str:
    import re

    return re.sub(r"\d+\.\ds", "", text)
