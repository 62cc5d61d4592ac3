"""The system's Chromium, for the tests in a real browser; absent, it says why.

Run as a program it installs one where it may, says on standard error how long that took, and
prints why there is none here, or nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

VARIABLE = "CRANE_TEST_CHROMIUM"
NAMES = ("chromium", "google-chrome", "google-chrome-stable")
PACKAGES = ("chromium", "fonts-dejavu-core")
# As it was before the tests emptied it.
ENVIRON = dict(os.environ)
FETCH_SECONDS = 240
UNPACK_SECONDS = 120
STALLED_SECONDS = 20
# It runs as root in containers, and talks to nobody but the page's server.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip


class Missing(Exception):
    """There is no browser on this machine."""


@contextmanager
def running_chromium(*flags: str) -> Iterator[Browser]:
    """Start Chromium without a window, with files of its own and further flags. Raises `Missing`.

    Until it ends, nobody can `asyncio.run` in this thread: Playwright's loop is there.
    """
    # Here, since it takes a while, and every process of the tests reads this module.
    from playwright.sync_api import sync_playwright

    program = prepared()
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        environ = {"PATH": ENVIRON.get("PATH", os.defpath), "HOME": home}
        browser = playwright.chromium.launch(
            executable_path=program, args=[*FLAGS, *flags], env=environ, chromium_sandbox=False
        )
        try:
            yield browser
        finally:
            browser.close()


def prepared() -> str:
    """Return the browser's program, installed if need be. Raises `Missing`."""
    named = ENVIRON.get(VARIABLE)
    if named and shutil.which(named) is None:
        raise Missing(f"{VARIABLE} names no program: {named}")
    program = named or _on_path()
    if program is None:
        _install()
        program = _on_path()
    if program is None:
        raise Missing("Debian's chromium has been installed, and is not on PATH")
    return program


def _on_path() -> str | None:
    path = ENVIRON.get("PATH")
    return next((found for name in NAMES if (found := shutil.which(name, path=path))), None)


def _install() -> None:
    """Have apt-get install Debian's."""
    apt = shutil.which("apt-get", path=ENVIRON.get("PATH"))
    if sys.platform != "linux" or os.geteuid() != 0 or apt is None:
        raise Missing(
            f"No Chromium or Chrome is on PATH or in {VARIABLE}; only root on Debian gets one"
        )
    began = time.monotonic()
    _run(apt, "update", deadline=began + FETCH_SECONDS)
    # First into the cache only, so that no slow network ends it with half a package unpacked.
    _run(apt, "install", "--download-only", *PACKAGES, deadline=began + FETCH_SECONDS)
    _run(apt, "install", *PACKAGES, deadline=time.monotonic() + UNPACK_SECONDS)
    print(f"Chromium: installed in {time.monotonic() - began:.0f} s", file=sys.stderr)


def _run(apt: str, *arguments: str, deadline: float) -> None:
    seconds = max(1, deadline - time.monotonic())
    done = subprocess.run(
        [
            # It ends what apt-get has started, too.
            "timeout", "--kill-after=10", f"{seconds:.0f}",
            apt, "-q", "-y", "--no-install-recommends", "-o", "Acquire::Retries=2",
            "-o", f"Acquire::http::Timeout={STALLED_SECONDS}",
            "-o", f"DPkg::Lock::Timeout={STALLED_SECONDS}", *arguments,
        ],
        env={**ENVIRON, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )  # fmt: skip
    if done.returncode:
        errors = [line[3:] for line in done.stdout.splitlines() if line.startswith("E: ")]
        why = errors[0] if errors else f"it ended with {done.returncode} after {seconds:.0f} s"
        raise Missing(f"apt-get {arguments[0]} gave no Chromium: {why}")


if __name__ == "__main__":
    try:
        prepared()
    except Missing as reason:
        print(reason)
