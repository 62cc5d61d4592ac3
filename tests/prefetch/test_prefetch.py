"""`crane prefetch` where something is not as it should be, and on a terminal."""

from __future__ import annotations

import re

import pytest
from prefetch.conftest import Office, sha256
from run.kit import says, until
from support.pips import register
from support.world import CRANE, SECONDS

from crane_devserver.faults import Fault
from crane_devserver.wheels import make_wheel

pexpect = pytest.importorskip("pexpect", reason="needs a pseudo-terminal")


def test_what_cannot_be_had_is_said_and_the_rest_is_fetched(office: Office) -> None:
    site, user = office.machine.site, office.machine.user
    site.add_private("firm-odd")
    site.crane.faults.append(Fault("/python/firm-odd/firm_odd", status=403))
    lines = {
        "firm-lib==1.0": None,
        f"firm-dep==2.0 --hash=sha256:{'0' * 64}": "file-changed",
        "firm-lib==9.9": "not-found",
        "firm-dep>=1": "usage",
        "firm-odd==1.0": "index-refused",
    }
    names = [office.write(f"{number}.txt", line) for number, line in enumerate(lines)]
    odd = office.write(
        "odd.lock",
        'version = 1\n[[package]]\nname = "a/../\\u001b[31m"\nversion = "1"\n'
        f'source = {{ registry = "{site.index_url}" }}\n'
        '[[package]]\nname = "b"\nversion = "1"\nsource = { registry = "nothing://[" }\n'
        '[[package]]\nname = "c"\nversion = "1"\nsource = { registry = "https://pypi.org/" }\n'
        'wheels = [{ url = "git+https://\\u001b32m", hash = "sha256:0" }]\n',
    )
    done = user.crane("prefetch", odd)
    assert done.returncode == 2, says(done)
    assert "\x1b" not in done.stdout
    assert "is no project's name" in done.stdout
    assert "2 not at a registered index" in done.stdout
    assert not [r.path for r in site.crane.requests if "/a/" in r.path]

    done = user.crane("prefetch", *names)
    assert done.returncode in {27, 31, 2, 21}, says(done)
    assert "1 file, 4" in done.stdout
    assert "no file of firm-dep 2.0 at python has a hash of the lock" in done.stdout
    assert "python has no file of firm-lib 9.9" in done.stdout
    assert "firm-dep is not pinned to one version; write ==VERSION" in done.stdout
    assert done.stdout.count("✗") >= 4
    assert "\x1b" not in done.stderr
    data = office.prefetch(*names, code=done.returncode)
    # A refusal may end what an index is answered for while it is down.
    codes = {one["code"] for one in data["failed"]} - {"not-kept"}
    assert codes == {code for code in lines.values() if code}

    # A Crane server's pages may not be kept, and pip asks for them.
    register(user, site.index(keep_pages=False))
    site.crane.faults.clear()
    user.crane("agent", "stop", check=True)
    user.crane("cache", "purge", check=True)
    data = office.prefetch(names[0], code=37)
    assert data["failed"][0]["hint"] == "run: crane index set python --keep-pages, and this again"
    assert user.crane("prefetch", names[0], CRANE_CACHE_SIZE="0").returncode == 37
    for wrong in ([], ["gone.lock"], ["--platform", "x", "--python-version", "x", names[0]]):
        assert user.crane("prefetch", *wrong).returncode == 2
    assert user.crane("prefetch", names[0], CRANE_OFFLINE="1").returncode == 2


def test_on_a_terminal_there_is_progress_and_ctrl_c_leaves_nothing_half_done(
    office: Office,
) -> None:
    site, user = office.machine.site, office.machine.user
    wheels = [site.add_private(name, size=300_000) for name in ("firm-big", "firm-bulky")]
    slow = Fault(re.compile(r"\.whl$"), bytes_per_second=20_000)
    site.crane.faults.append(slow)
    lines = [
        f"{name}==1.0 --hash=sha256:{sha256(wheel)}\n"
        for name, wheel in zip(("firm-big", "firm-bulky"), wheels, strict=True)
    ]
    lock = office.write("requirements.txt", "".join(lines))
    child = pexpect.spawn(
        CRANE, ["prefetch", lock], env={**user.environ, "TERM": "xterm"}, cwd=str(user.home),
        timeout=SECONDS, encoding="utf-8", dimensions=(40, 120),
    )  # fmt: skip
    child.expect(r"prefetch.*0/2.*\d+ kB")
    # Both are on their way at once: one takes 15 seconds.
    places = ("/python/firm-big/firm_", "/python/firm-bulky/firm_")
    asked = site.crane.requests
    until(lambda: all(any(p in r.path for r in asked) for p in places), seconds=10)

    child.sendintr()
    child.expect(pexpect.EOF)
    child.wait()

    assert child.exitstatus == 130, child.before
    assert "crane: interrupted" in child.before
    assert "Traceback" not in child.before
    site.crane.faults.clear()
    files = user.home / ".cache" / "crane" / "files"
    assert list(files.glob("*/*")) == []
    both = {sha256(wheel) for wheel in wheels}
    assert {file["sha256"] for file in office.prefetch(lock)["files"]} == both
    assert {path.name for path in files.glob("*/*")} == both

    new = make_wheel(user.home / "dist", "firm-new", "1.0", size=300_000)
    for command, shown, said in (
        (["publish", str(new)], r"firm_new-1.0-py3-none-any.whl .*kB", "is published"),
        (["cache", "purge"], r"purge .*[1-9]/\d", "removed [1-9] files? and"),
    ):
        child = pexpect.spawn(
            CRANE, command, env={**user.environ, "TERM": "xterm", "NO_COLOR": "1"},
            cwd=str(user.home), timeout=SECONDS, encoding="utf-8", dimensions=(40, 120),
        )  # fmt: skip
        child.expect(shown)
        child.expect(said)
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0
        assert not re.search(r"\x1b\[[0-9;]*3\dm", child.before)
