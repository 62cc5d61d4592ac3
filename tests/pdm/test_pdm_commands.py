"""PDM's commands with a registered index: the real URL everywhere, and nothing of crane's."""

from __future__ import annotations

import base64
import os
import ssl
import sys
from pathlib import Path

import pytest
import trustme
from forward.rig import PRIVATE_HOST, PUBLIC_HOST
from pdm.kit import VERSIONS, PdmDesk, source
from poetry.kit import write_pages
from run.kit import says
from support.pips import make_built_sdist

from crane_core.index.announcement import FIELD
from crane_devserver.behaviour import STATIC_INDEX
from crane_devserver.crane import CraneServer
from crane_devserver.repository import Repository
from crane_devserver.running import serve_in_thread
from crane_devserver.wheels import make_wheel

each_version = pytest.mark.parametrize("version", VERSIONS)
GROUPS = '[dependency-groups]\ndev = ["firm-old<2", {include-group = "other"}]\nother = []'
BACKEND = """
import os, zipfile
{prologue}
def build_wheel(folder, config_settings=None, metadata_directory=None):
    info = "app-1.0.dist-info"
    with zipfile.ZipFile(os.path.join(folder, "app-1.0-py3-none-any.whl"), "w") as wheel:
        wheel.writestr(f"{{info}}/METADATA", "Metadata-Version: 2.1\\nName: app\\nVersion: 1.0\\n")
        wheel.writestr(f"{{info}}/WHEEL",
                       "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{{info}}/RECORD", "")
    return "app-1.0-py3-none-any.whl"
"""


@each_version
def test_lock_and_install(desk: PdmDesk) -> None:
    desk.site.add_private("firm-lib", requires=["open-lib"])
    desk.site.add_private("firm-old", "1.0")
    desk.site.add_private("firm-old", "2.0")
    desk.add_pypi("open-lib", "2.0")
    desk.add_pypi("firm-lib", "9.0")
    desk.write("firm-lib", more=GROUPS)

    printed = desk.run("lock", "-v")
    # The agent was told what the project requires, and reads nothing that PDM will not.
    assert not any("firm_old-2.0" in r.path for r in desk.site.crane.requests)
    printed += desk.run("install", "-v")

    assert desk.versions == {"firm-lib": "1.0", "firm-old": "1.0", "open-lib": "2.0"}
    assert desk.installed() == {"firm_lib-1.0", "firm_old-1.0", "open_lib-2.0"}
    assert "127.0.0.1" not in printed.replace(desk.site.net.url(), "")
    assert desk.mentions("127.0.0.1") == []
    assert printed.count("crane: python: authenticated as ada via crane") == 2
    # The names are not told to PyPI, and no login and no secret to anybody else.
    assert desk.pypi.asked("firm-lib") == []
    seen = [headers for _, headers in desk.pypi.seen]
    assert seen
    assert not any(
        {"authorization", "proxy-authorization", FIELD} & set(headers) for headers in seen
    )
    for name in ("proxy-authorization", FIELD):
        assert not any(r.header(name) for r in desk.site.crane.requests)
    # Crane's cache has what is private, PDM's has not.
    caches = [path for path in desk.cache.rglob("http-cache.db*") if path.is_file()]
    assert any(b"open_lib-2.0" in path.read_bytes() for path in caches)
    assert not any(b"index.firm.test" in path.read_bytes() for path in caches)
    # The view has ended with the command.
    assert desk.machine.status()[0]["views"] == []
    assert desk.machine.bundles() == []
    # The control: it is crane that lets PDM in, and keeps it from the other one.
    (desk.project / "pdm.lock").unlink()
    done = desk.call("--no-cache", "lock", program=desk.bare)
    assert done.returncode != 0 or desk.versions["firm-lib"] == "9.0", says(done)


def test_a_projects_days(desk: PdmDesk) -> None:
    """Add, outdated, update, sync and remove; many downloads at once."""
    desk.site.add_private("firm-lib", "1.0")
    many = [f"firm-{number}" for number in range(8)]
    for name in many:
        desk.site.add_private(name, size=100_000)
    desk.site.add_private("firm-tool", "1.0", requires=["firm-lib", *many])
    desk.add_pypi("open-lib", "2.0")
    desk.write()

    desk.run("add", "firm-tool", "open-lib")
    files = {f"{name.replace('-', '_')}-1.0" for name in [*many, "firm-lib", "firm-tool"]}
    assert desk.installed() == files | {"open_lib-2.0"}

    desk.site.add_private("firm-lib", "1.1")
    desk.add_pypi("firm-lib", "7.7")
    desk.add_pypi("open-lib", "2.1")
    outdated = desk.run("outdated", "--include-sub")
    assert "1.1" in outdated
    assert "2.1" in outdated
    assert "7.7" not in outdated
    desk.run("update", "--update-eager")
    assert {"firm_lib-1.1", "open_lib-2.1"} <= desk.installed()
    desk.run("remove", "firm-tool")
    desk.run("sync", "--clean")
    assert desk.installed() == {"open_lib-2.1"}
    assert desk.pypi.asked("firm-") == []


class WithPassword:
    """An index that knows one password, and no tokens."""

    def __init__(self, app: CraneServer) -> None:
        self._app = app
        self._wanted = b"Basic " + base64.b64encode(b"u:p")
        self.let_in = 0

    async def __call__(self, scope, receive, send) -> None:
        headers = dict(scope.get("headers", ()))
        if scope["type"] == "http" and headers.pop(b"authorization", None) != self._wanted:
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body"})
            return
        self.let_in += 1
        await self._app({**scope, "headers": list(headers.items())}, receive, send)


@each_version
def test_the_lock_file_is_the_one_of_direct_credentials(desk: PdmDesk, tmp_path: Path) -> None:
    """Byte for byte, in each of PDM's formats; a Poetry kit's pages have hashes.

    With one source alone hashes are read in another way.
    """
    desk.site.add_private("firm-alone", "1.0")
    desk.site.add_private("firm-alone", "2.0", requires=["firm-needed"])
    desk.site.add_private("firm-needed")
    for number in range(3):
        desk.site.add_private(f"firm-{number}", f"1.{number}", requires=["open-lib>=1"])
    desk.site.add_private("firm-0", "2.0", requires=["firm-1", 'firm-2; python_version < "3.12"'])
    desk.add_pypi("open-lib", "1.5")
    write_pages(desk.site.private)
    ways = {
        "alone": ("lock",),
        "static": ("lock", "-S", "static_urls", "-L", "static.lock"),
        "pylock": ("lock", "-L", "pylock.toml"),
    }
    files = {"alone": "pdm.lock", "static": "static.lock", "pylock": "pylock.toml"}

    def lock(**options) -> dict[str, bytes]:
        locks = {}
        for way, command in ways.items():
            needs = ["firm-alone"] if way == "alone" else ["firm-0", "firm-2"]
            desk.write(*needs, more="[tool.pdm.resolution]\nrespect-source-order = true")
            extra = {
                "alone": {"PDM_IGNORE_STORED_INDEX": "1"}, "pylock": {"PDM_LOCK_FORMAT": "pylock"}
            }.get(way, {})  # fmt: skip
            desk.run(*command, **options, **extra)
            path = desk.project / files[way]
            locks[way] = path.read_bytes()
            path.unlink()
        return locks

    through_crane = lock()
    server = CraneServer(
        [Repository("python", desk.site.private, public=True)],
        keys=f"{desk.site.realm.issuer}/jwks",
        behaviour=STATIC_INDEX,
    )
    guarded = WithPassword(server)
    config = tmp_path / "config.toml"
    config.write_text('[pypi.firm]\nusername = "u"\npassword = "p"\n')
    with desk.site.net.host(guarded, PRIVATE_HOST):
        direct = lock(
            program=desk.bare, PDM_CACHE_DIR=str(tmp_path / "cache"), PDM_CONFIG_FILE=str(config)
        )

    assert guarded.let_in > 0
    assert through_crane == direct
    assert b"https://index.firm.test/python/firm-0/firm_0-2.0" in direct["static"]
    assert b"lock-version" in direct["pylock"]
    assert direct["alone"].count(b'whl", hash = "sha256:') == 2


@each_version
def test_builds_get_private_build_requirements(desk: PdmDesk) -> None:
    """Of a source distribution, of the project itself, and for a `__pypackages__` folder."""
    desk.site.add_private("firm-build")
    desk.add_pypi("firm-build", "9.0")
    make_built_sdist(
        desk.site.private / "firm-made", "firm-made",
        build_requires=["firm-build"], prologue="import firm_build",
    )  # fmt: skip
    desk.write("firm-made")

    desk.run("lock")
    # An interpreter outside of any environment means PEP 582.
    desk.use(desk.project, os.path.realpath(sys.executable))
    desk.run("install")
    assert (desk.project / "__pypackages__").is_dir()
    assert desk.installed() == {"firm_made-1.0"}

    (desk.project / "backend.py").write_text(BACKEND.format(prologue="import firm_build"))
    text = (desk.project / "pyproject.toml").read_text()
    with (desk.project / "pyproject.toml").open("w") as file:
        file.write(text.replace("distribution = false", "distribution = true"))
        file.write('[build-system]\nrequires = ["firm-build"]\n'
                   'build-backend = "backend"\nbackend-path = ["."]\n')  # fmt: skip
    desk.run("build", "--no-sdist")
    assert (desk.project / "dist" / "app-1.0-py3-none-any.whl").exists()
    assert desk.pypi.asked("firm-build") == []


def test_publish_needs_no_login_of_pdms(desk: PdmDesk) -> None:
    desk.write()
    wheel = make_wheel(desk.project / "dist", "app", "1.0")
    publish = ("publish", "--no-build", "-r", desk.site.index_url)

    printed = desk.run(*publish)
    assert (desk.site.private / "app" / wheel.name).read_bytes() == wheel.read_bytes()
    posts = [r for r in desk.site.crane.requests if r.method == "POST"]
    assert (posts[0].header("authorization") or "").startswith("Bearer ")
    assert "Username" not in printed
    desk.run(*publish)

    make_wheel(desk.project / "dist", "app", "1.0", requires=["x"])
    other = desk.call(*publish)
    assert other.returncode != 0
    assert "crane: File already exists" in says(other).replace("\n", " ")
    assert "Traceback" not in says(other)
    desk.run(*publish, "--skip-existing")


def test_uv_mode(desk: PdmDesk) -> None:
    """uv gets the environment of `crane run`, and PDM's own environment is as before."""
    desk.site.add_private("firm-lib", requires=["open-lib"])
    desk.add_pypi("open-lib", "2.0")
    desk.add_pypi("firm-lib", "9.0")
    desk.write("firm-lib")

    printed = desk.run("lock", "-v", PDM_USE_UV="1") + desk.run("install", PDM_USE_UV="1")

    assert desk.versions == {"firm-lib": "1.0", "open-lib": "2.0"}
    assert desk.installed() == {"firm_lib-1.0", "open_lib-2.0"}
    assert "Running uv lock command" in printed
    assert desk.mentions("127.0.0.1") == []
    assert desk.pypi.asked("firm-lib") == []
    assert desk.machine.status()[0]["views"] == []


ORDERS = {
    "the usual one": ("", ""),
    "in the order of sources": ("[tool.pdm.resolution]\nrespect-source-order = true", ""),
    "PyPI named last": ("", source("pypi", "https://pypi.org/simple")),
}


@each_version
def test_private_first(desk: PdmDesk) -> None:
    """Whatever the order, versions, and what PDM has kept; in all of PyPI's own ways."""
    desk.pypi.max_age = 3600
    desk.add_pypi("firm-lib", "9.0")
    desk.write("firm-lib")
    desk.run("lock")
    assert desk.versions == {"firm-lib": "9.0"}  # before the name was the firm's
    desk.site.add_private("firm-lib", "1.0", requires=["open-lib"])
    desk.add_pypi("open-lib", "2.0")
    for more, pypi in ORDERS.values():
        (desk.project / "pdm.lock").unlink()
        desk.write("firm-lib", more=more, sources=desk.source("firm") + pypi)
        desk.run("lock")
        assert desk.versions == {"firm-lib": "1.0", "open-lib": "2.0"}, more + pypi
    # A third index, which PDM reaches by certificates that crane's agent does not have.
    desk.site.add_public("firm-lib", "8.0")
    desk.site.add_public("other-lib", "3.0")
    write_pages(desk.site.public)
    own = trustme.CA()
    own_file = desk.machine.user.home / "own-ca.pem"
    own.cert_pem.write_to_path(own_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.issue_cert(PUBLIC_HOST).configure_cert(context)
    with serve_in_thread(desk.site.public_server, ssl=context) as local:
        desk.site.net.places[f"{PUBLIC_HOST}:443"] = int(local.rpartition(":")[2])
        third = source("mirror", desk.site.public_url, f'ca_certs = "{own_file}"')
        desk.write("firm-lib", "other-lib", sources=desk.source("firm") + third)
        desk.run("lock")
    assert desk.versions == {"firm-lib": "1.0", "open-lib": "2.0", "other-lib": "3.0"}
    assert desk.site.logins_seen_by_public() == []
    # What the project itself binds to PyPI comes from there: that is the user's word.
    bound = source("pypi", "https://pypi.org/simple", 'include_packages = ["firm-lib"]')
    desk.write("firm-lib", sources=desk.source("firm") + bound)
    desk.run("lock")
    assert desk.versions == {"firm-lib": "9.0"}


def test_an_index_that_is_down_is_an_error(desk: PdmDesk) -> None:
    """It is not *no such project*, after which PDM would take the one of PyPI."""
    desk.add_pypi("firm-lib", "9.0")
    desk.write("firm-lib")
    del desk.site.net.places["index.firm.test:443"]

    for extra in ({}, {"PDM_USE_UV": "1", "UV_HTTP_RETRIES": "0"}):
        done = desk.call("lock", **extra)
        assert done.returncode == 1
        assert not (desk.project / "pdm.lock").exists()
        assert extra or "crane: " in done.stderr, says(done)
        assert "Traceback" not in says(done)
