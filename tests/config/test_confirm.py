"""A person at a real terminal confirms the issuer that was found, or does not."""

from __future__ import annotations

import os
import subprocess

import pytest
from support.world import CRANE, SECONDS, User, World

pty = pytest.importorskip("pty", reason="no terminals of this kind on Windows")


def register(user: User, url: str, answer: bytes) -> tuple[int, str]:
    """Register at a terminal and type an answer. Returns exit code and what was shown."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [CRANE, "index", "register", url],
            env=user.environ,
            cwd=user.home,
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=theirs,
        )
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(ours, 1024)
        os.write(ours, answer)
        code = process.wait(SECONDS)
        os.set_blocking(ours, False)
        while True:
            try:
                shown += os.read(ours, 1024)
            except BlockingIOError:
                return code, shown.decode()
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("answer", "code"),
    [(b"y\n", 0), (b"YES\n", 0), (b"\n", 18), (b"n\n", 18), (b"maybe\n", 18), (b"\x04", 18)],
)
def test_the_issuer_is_shown_and_confirmed(
    user: User, world: World, answer: bytes, code: int
) -> None:
    """Only a yes is one; the default, anything else and end of input keep nothing."""
    returned, shown = register(user, world.index_url, answer)
    assert returned == code, shown
    assert f"sends its users to {world.realm.issuer} to log in" in shown
    assert f"Do you trust {world.realm.issuer}?" in shown
    assert user.config_file.exists() == (code == 0)
