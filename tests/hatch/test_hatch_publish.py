"""`hatch publish -p crane`: to a registered index, with the login, and to no other."""

from __future__ import annotations

import pytest
from forward.rig import PRIVATE_HOST
from hatch.kit import VERSIONS, HatchDesk
from idp.oidc import Realm
from run.kit import says
from support.pips import log_in, register

from crane_devserver.wheels import make_wheel

UPLOADS = "uploads.firm.test"


class Uploads:
    """An index that keeps what is uploaded to it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []

    async def __call__(self, scope, receive, send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.seen.append((scope["method"], scope["path"], headers, body))
        status = 200 if scope["method"] == "POST" else 404
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def posted(self) -> list[tuple[str, dict[str, str], bytes]]:
        return [(path, headers, body) for method, path, headers, body in self.seen
                if method == "POST"]  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_publish(desk: HatchDesk, realm: Realm) -> None:
    """By its name and by its URL; what Hatch would have sent elsewhere is refused."""
    uploads = Uploads()
    index = desk.site.index(name="uploads", url=f"https://{UPLOADS}/python", fallback="none")
    register(desk.machine.user, index)
    token = log_in(desk.machine.user, realm, index)
    desk.write()
    make_wheel(desk.project / "dist", "app", "1.0")

    with desk.site.net.host(uploads, UPLOADS):
        publish = ("publish", "-p", "crane", "-n")
        done = desk.call(*publish, "-r", "uploads")
        assert done.returncode == 0, says(done) + desk.machine.log()
        ((path, headers, body),) = uploads.posted()
        assert path.rstrip("/") == "/python"
        assert headers["authorization"] == f"Bearer {token}"
        assert "proxy-authorization" not in headers
        assert b'name=":action"\r\n\r\nfile_upload' in body
        assert b'filename="app-1.0-py3-none-any.whl"' in body
        for extra in (
            ("-r", f"{index.url}/"),
            ("-o", "repo=uploads"),
            ("-r", "uploads", "-u", "me", "-a", "x"),
        ):
            done = desk.call(*publish, *extra)
            assert done.returncode == 0, says(done)
        assert len(uploads.posted()) == 4
        assert {h["authorization"] for _, h, _ in uploads.posted()} == {f"Bearer {token}"}

        for extra, reason in (
            ((), "no index is named to publish to"),
            (("-r", "https://upload.pypi.org/legacy/"), "is not a registered index"),
            (("-r", "main"), 'Index not found: "main"'),
        ):
            done = desk.call(*publish, *extra)
            assert done.returncode == 1
            assert f"crane: {reason}" in done.stderr or reason in done.stderr, says(done)
            assert "Traceback" not in says(done)
        # A Hatch of another shape.
        (desk.project / "changed.py").write_text(
            "from hatch.index.core import PackageIndex\n"
            "PackageIndex.session = vars(PackageIndex)['client']\n"
            "del PackageIndex.client\n"
            "from hatch.cli import main\nmain()\n"
        )
        done = desk.call(
            "changed.py", *publish, "-r", "uploads", program=desk.program.with_name("python")
        )
        assert done.returncode == 1
        assert "run: crane publish" in done.stderr, says(done)
        assert "Traceback" not in says(done)
        desk.machine.user.crane("logout", "uploads", check=True)
        done = desk.call(*publish, "-r", "uploads")
        assert done.returncode == 1
        assert "nobody is logged in at uploads" in done.stderr, says(done)
        assert "run: hatch-crane login uploads" in done.stderr
        assert len(uploads.posted()) == 4
    assert token not in says(done)
    assert PRIVATE_HOST not in says(done)
