"""`crane publish`: for whoever has no tool that uploads."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from auth.disks import small_disk
from idp.oidc import Realm
from run.kit import LIMIT, Machine, says
from support.pips import log_in, register
from support.terminals import pexpect
from support.tooling import UV
from support.world import CRANE, User, World

from crane_core.index.page import parse_html
from crane_devserver import Fault
from crane_devserver.sdists import make_sdist
from crane_devserver.wheels import make_wheel, wheel_metadata


def test_what_is_published_is_installed_at_once(ada: Machine) -> None:
    """By the same agent, which knew the project's page a moment before."""
    dist, site = ada.user.home / "dist", ada.site
    site.add_private("firm-new", "1.0")
    target = str(ada.user.home / "target")
    install = (UV, "pip", "install", "--no-config", "--index-url", site.index_url)

    def install_new(version: str) -> None:
        done = ada.run(*install, "--target", target, "--upgrade", f"firm-new=={version}")
        assert done.returncode == 0, says(done) + ada.log()

    install_new("1.0")
    wheel, sdist = make_wheel(dist, "firm-new", "1.1"), make_sdist(dist, "firm-new", "1.1")
    done = ada.user.crane("publish", "--index", "python", "--json", str(dist))
    assert done.returncode == 0, says(done) + ada.log()
    told = json.loads(done.stdout)["data"]
    assert [(t["file"], t["status"]) for t in told] == [
        (wheel.name, "published"),
        (sdist.name, "published"),
    ]
    assert (site.private / "firm-new" / sdist.name).read_bytes() == sdist.read_bytes()
    install_new("1.1")


def test_what_is_there_and_what_is_broken(ada: Machine) -> None:
    dist = ada.user.home / "dist"
    wheel = make_wheel(dist, "firm-new", "1.0")
    assert ada.user.crane("publish", str(wheel), check=True).stdout.endswith("at python\n")
    again = ada.user.crane("publish", str(wheel), check=True)
    assert "already, and is the same" in again.stdout

    make_wheel(dist, "firm-new", "1.0", requires=["x"])
    other = make_wheel(dist, "other-new", "1.0")
    done = ada.user.crane("publish", str(wheel), str(other))
    assert (done.returncode, done.stdout) == (36, "")
    assert "crane: File already exists" in done.stderr
    assert f"not sent: {other.name}" in done.stderr
    done = ada.user.crane("publish", str(wheel), str(other), "--skip-existing", check=True)
    assert "File already exists" in done.stdout
    assert (ada.site.private / "other-new" / other.name).exists()

    ada.site.crane.requests.clear()
    broken = dist / "third-1.0-py3-none-any.whl"
    broken.write_bytes(wheel.read_bytes())
    done = ada.user.crane("publish", str(other), str(broken))
    assert (done.returncode, "nothing was sent" in done.stderr) == (36, True)
    assert ada.user.crane("publish", str(dist / "absent.whl")).returncode == 2
    assert len(ada.site.crane.requests) == 0

    fault = Fault("/python/", status=403, methods=frozenset({"POST"}))
    with ada.site.crane.faults.during(fault):
        done = ada.user.crane("publish", str(make_wheel(dist, "firm-new", "2.0")))
    assert done.returncode == 21
    assert "does not let you write firm-new" in done.stderr


def test_what_cannot_be_read_is_said_in_one_line(ada: Machine) -> None:
    """Before anything is sent; and so are the choice of an index, and where pages go."""
    dist = ada.user.home / "dist"
    wheel = make_wheel(dist, "firm-new", "1.0")
    own = dist / f"{wheel.name}.publish.attestation"
    own.write_text("[" * 100_000)
    cases = {
        ("a" * 300 + ".whl",): (2, "cannot be read: "),
        (str(dist),): (36, "is no attestation: it is nested too deeply; nothing was sent"),
        # A file has the folder's name, or its project's folder's.
        (str(wheel), "--index-pages", str(wheel)): (8, f"make {wheel} writable for you"),
        (str(wheel), "--index-pages", "pages"): (8, "or name another: --index-pages DIR"),
    }
    (ada.user.home / "pages").mkdir()
    (ada.user.home / "pages" / "firm-new").touch()
    for arguments, (code, words) in cases.items():
        done = ada.user.crane("publish", *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (code, 1), says(done)
        assert words in done.stderr
        assert "CRANE_HOME" not in done.stderr
    assert not ada.site.crane.requests

    own.rename(dist / "other-1.0-py3-none-any.whl.publish.attestation")
    done = ada.user.crane("publish", str(dist), "--json", check=True)
    assert "other-1.0-py3-none-any.whl.publish.attestation is not sent: the file" in done.stderr
    assert done.stderr.count("attest") == 2

    two = ("https://two.test/x", "--name", "two", "--issuer", ada.site.realm.issuer)
    ada.user.crane("index", "register", *two, check=True)
    done = ada.user.crane("publish", str(wheel))
    assert (done.returncode, "; name one: --index NAME, or" in done.stderr) == (5, True)


def test_a_failure_says_what_became_of_the_others(ada: Machine) -> None:
    """Whatever it is; with `--json` too, and where only the pages fail."""
    ada.site.add_private("Firm.E")
    dist = ada.user.home / "dist"
    projects = ("firm-a", "firm-b", "firm-c", "firm-d")
    first, _, third, fourth = (make_wheel(dist, name, "1.0") for name in projects)
    for status, code in ((403, 21), (500, 36)):
        fault = Fault("/python/firm-b", status=status, methods=frozenset({"POST"}))
        with ada.site.crane.faults.during(fault):
            done = ada.user.crane("publish", str(dist), "--json")
        told = json.loads(done.stdout)
        assert (done.returncode, told["data"], len(told["errors"])) == (code, None, 1), says(done)
        lists = f"published: {first.name}; not sent: {third.name}, {fourth.name}"
        assert told["errors"][0]["hint"].endswith(lists)
        assert done.stderr.endswith(f"; {lists}\n")
    assert not list(ada.site.private.glob("firm-[bcd]/*.whl"))

    # The index spells the project in its own way, which is known after the upload alone.
    late, pages = make_wheel(ada.user.home, "firm-e", "1.1"), ada.user.home / "pages"
    pages.mkdir()
    (pages / "Firm.E").touch()
    done = ada.user.crane("publish", str(late), "--index-pages", "pages")
    assert done.returncode == 8, says(done)
    assert done.stderr.endswith(f"--index-pages DIR; published: {late.name}\n")


@dataclass(frozen=True)
class Held(Fault):
    """A request that gets no answer for as long as its sender stays, and whose coming is known."""

    came: threading.Event = field(default_factory=threading.Event)

    def matches(self, method: str, path: str) -> bool:
        """As any fault."""
        is_it = super().matches(method, path)
        if is_it:
            self.came.set()
        return is_it


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_does_too(ada: Machine, number: signal.Signals) -> None:
    """And what was under way is not there: nobody finds a part of it."""
    site, dist = ada.site, ada.user.home / "dist"
    first, second, third = (make_wheel(dist, f"firm-{n}", "1.0", size=1 << 20) for n in "abc")
    held = Held(f"/python/firm-b/{second.name}", delay_seconds=20, methods=frozenset({"POST"}))
    with site.crane.faults.during(held), ada.start("publish", str(dist)) as process:
        assert held.came.wait(LIMIT)
        process.send_signal(number)
        said, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert said.endswith(
        f"crane: interrupted while {second.name} was sent; run the command again: what is there "
        f"already is let be; published: {first.name}; not sent: {third.name}\n"
    )
    done = ada.user.crane("publish", str(dist), check=True)
    assert f"{first.name} is at python already, and is the same" in done.stdout, says(done)
    assert (site.private / "firm-b" / second.name).read_bytes() == second.read_bytes()
    assert (site.private / "firm-c" / third.name).exists()


def test_two_at_once(ada: Machine) -> None:
    """The same file is published by both, another one under its name by one of them."""
    mine, other = (
        make_wheel(ada.user.home / place, "firm-new", "1.0", size=20 << 20, requires=[place])
        for place in ("mine", "other")
    )
    stored = ada.site.private / "firm-new" / mine.name
    for wheels, codes in (((mine, mine), {0}), ((mine, other), {0, 36})):
        with ExitStack() as stack:
            started = [stack.enter_context(ada.start("publish", str(path))) for path in wheels]
            said = [process.communicate(timeout=LIMIT)[0] for process in started]
        assert {process.returncode for process in started} == codes, said
        winner = wheels[[process.returncode for process in started].index(0)]
        assert stored.read_bytes() == winner.read_bytes()
        assert ("File already exists: python has another" in "".join(said)) == (len(codes) > 1)
        shutil.rmtree(stored.parent)


def test_a_full_disk(ada: Machine) -> None:
    """Of this machine, where the file is put together; nothing is sent."""
    wheel = make_wheel(ada.user.home / "dist", "firm-new", "1.0", size=1 << 20)
    with small_disk(ada.user.home / ".cache", "256k") as disk:
        done = ada.user.crane("publish", str(wheel))
        assert (done.returncode, "no space left to write" in done.stderr) == (9, True), says(done)
        assert not list(disk.rglob("*.part"))
        ada.end_all()
    assert not list(ada.site.private.rglob("*.whl"))


def test_without_a_login(machine: Machine, realm: Realm) -> None:
    wheel = make_wheel(machine.user.home, "firm-new", "1.0")
    done = machine.user.crane("publish", str(wheel))
    assert done.returncode == 4, says(done)
    log_in(machine.user, realm, machine.site.index(), age=3600)
    realm.revoke_user("ada")
    done = machine.user.crane("publish", str(wheel))
    assert (done.returncode, "crane login python" in done.stderr) == (4, True), says(done)
    assert not list(machine.site.private.rglob("*.whl"))
    assert not machine.site.crane.forms


def test_attestations_and_fields_for_an_index_like_pypi(ada: Machine) -> None:
    """On a terminal there is a progress bar, elsewhere none."""
    site, dist = ada.site, ada.user.home / "dist"
    site.crane.behaviour = replace(site.crane.behaviour, legacy_uploads=True)
    wheel = make_wheel(dist, "firm-new", "1.0", requires=["a>1", "b"])
    (dist / f"{wheel.name}.publish.attestation").write_text('{"version": 1}')

    child = pexpect.spawn(
        CRANE, ["publish", str(dist)], env=ada.user.environ, cwd=str(ada.user.home), timeout=60
    )
    printed = child.read().decode()
    child.close()
    assert child.exitstatus == 0, printed
    assert "\x1b[" in printed
    assert wheel.name in printed

    (form,) = site.crane.forms
    fields = list(form.fields)
    assert [v for k, v in fields if k == "requires_dist"] == ["a>1", "b"]
    assert json.loads(form.value("attestations") or "") == [{"version": 1}]
    for name, value in {"name": "firm-new", "pyversion": "py3", "metadata_version": "2.2"}.items():
        assert form.value(name) == value
    assert not [r for r in site.crane.requests if r.path.endswith(".metadata")]


def test_an_index_like_pypi_is_registered_with_simple(machine: Machine, realm: Realm) -> None:
    """Its forms go beside the list of projects, where such an index takes them."""
    site, user = machine.site, machine.user
    site.crane.behaviour = replace(site.crane.behaviour, legacy_uploads=True)
    index = site.index(url=f"{site.index_url}/simple")
    user.config_file.unlink()
    register(user, index)
    log_in(user, realm, index)
    user.crane("publish", str(make_wheel(user.home, "firm-new", "1.0")), check=True)
    assert [r.path for r in site.crane.requests if r.method == "POST"] == ["/python/"]
    assert [form.value("name") for form in site.crane.forms] == ["firm-new"]


def test_pages_for_a_static_index(ada: Machine, tmp_path: Path) -> None:
    """With them pip resolves and compares hashes without crane; they are not uploaded."""
    site, dist, pages = ada.site, ada.user.home / "dist", ada.user.home / "pages"
    old = site.add_private("firm-new", "1.0")
    wheel = make_wheel(dist, "firm-new", "1.1", requires=["open-lib"])
    sdist = make_sdist(dist, "firm-new", "1.1")
    done = ada.user.crane("publish", str(dist), "--index-pages", str(pages), check=True)
    page = pages / "firm-new" / "index.html"
    assert f"wrote {page}" in done.stdout
    assert not list(site.private.rglob("index.html"))

    found = parse_html(page.read_bytes(), "https://firm.test/firm-new/", "firm-new")
    files = {file["filename"]: file for file in found.files}
    assert set(files) == {old.name, wheel.name, sdist.name}
    for path in (old, wheel, sdist):
        file = files[path.name]
        assert file["url"] == f"https://firm.test/firm-new/{path.name}"
        assert file["hashes"] == {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    beside = hashlib.sha256(wheel_metadata(wheel)).hexdigest()
    assert files[wheel.name]["core-metadata"] == {"sha256": beside}
    assert files[wheel.name]["requires-python"] == ">=3.8"
    assert "core-metadata" not in files[old.name]

    # Where the pages are in place, they are what is read the next time, and what is added to.
    page.rename(site.private / "firm-new" / "index.html")
    newest = make_wheel(ada.user.home, "firm-new", "1.2")
    ada.user.crane("publish", str(newest), "--index-pages", str(pages), check=True)
    names = {f["filename"] for f in parse_html(page.read_bytes(), "https://x/", "firm-new").files}
    assert names == {*files, newest.name}

    # Whoever may read that folder without crane.
    public = site.public / "firm-new"
    shutil.copytree(site.private / "firm-new", public)
    shutil.copy(page, public)
    site.add_public("open-lib")
    pip = (sys.executable, "-m", "pip", "download", "firm-new", "-i", site.public_url)
    where = ("--cert", site.net.ca_file, "--no-cache-dir", "-d", "got")
    done = ada.user.run(*pip, *where, check=True)
    assert {p.name for p in (ada.user.home / "got").glob("firm*")} == {newest.name}, says(done)
    asked = [r.path for r in site.public_server.requests if r.path.startswith("/simple/firm-new/")]
    beside = f"/simple/firm-new/{newest.name}.metadata"
    assert asked == ["/simple/firm-new/", beside, beside.removesuffix(".metadata")]
    (public / newest.name).write_bytes(newest.read_bytes() + b"x")
    assert "DO NOT MATCH THE HASHES" in ada.user.run(*pip, *where, "-d", "again").stderr


def test_an_index_on_plain_http(world: World, logged_in: User) -> None:
    """As the one of crane's own demo, on this machine."""
    wheel = make_wheel(logged_in.home / "dist", "firm-new", "1.0")
    logged_in.crane("publish", str(wheel), check=True)
    assert (world.private / "firm-new" / wheel.name).read_bytes() == wheel.read_bytes()
