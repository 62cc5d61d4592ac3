"""The person in front of a tool: whether somebody is there, and what they are shown of a login."""

from __future__ import annotations

import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from crane_core.text import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crane_core.auth.model import DeviceAuthorization
    from crane_core.config.model import Index


class Person:
    """A `Prompt` that speaks by `say`, which each tool has its own way for."""

    system: str = sys.platform

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.use_browser = True
        self.interactive = not is_set(environ, "CRANE_NON_INTERACTIVE")

    def say(self, text: str) -> None:
        """Show a text of one or more lines, below what was there."""
        raise NotImplementedError

    @property
    def can_answer(self) -> bool:
        """Whether somebody is there: a terminal or a browser, and no CI."""
        if not self.interactive or is_set(self._environ, "CI"):
            return False
        return sys.stderr.isatty() or self.has_browser

    @property
    def has_browser(self) -> bool:
        """Whether a browser would open on the screen in front of the person."""
        if not self.use_browser:
            return False
        if self._environ.get("BROWSER"):
            return True
        if self.is_on_ssh or _in_container():
            return False
        if self.system in {"win32", "darwin"}:
            return True  # `webbrowser` starts what the user has chosen there
        display = self._environ.get("DISPLAY") or self._environ.get("WAYLAND_DISPLAY")
        return bool(display) and any(
            shutil.which(name, path=self._environ.get("PATH"))
            for name in ("xdg-open", "x-www-browser", "firefox", "chromium", "google-chrome")
        )

    @property
    def is_on_ssh(self) -> bool:
        """Whether the person sits at another machine."""
        return bool(self._environ.get("SSH_CONNECTION") or self._environ.get("SSH_TTY"))

    def show_authorization(self, index: Index, url: str) -> None:
        """Show the address of a login in the browser, and open it."""
        self.say(
            f"\nTo log in to {index.name} ({index.url}), continue in your browser.\n"
            f"If none opens, go to\n\n    {url}\n\nWaiting for you; Ctrl-C gives up.\n"
        )
        _open_browser(url)

    def show_device_code(self, index: Index, request: DeviceAuthorization) -> None:
        """Show address and code (RFC 8628 §3.3), and open the browser."""
        address = request.verification_uri_complete or request.verification_uri
        minutes = max(1, round(request.expires_in / 60))
        self.say(
            f"\nTo log in to {index.name} ({index.url}), open\n\n"
            f"    {address}\n\n"
            f"and check or enter the code  {request.user_code}\n"
        )
        if self.is_on_ssh:
            self.show_qr_code(address)
        # RFC 8628 §5.4: the one warning against an attacker's code sent by mail.
        self.say(
            "Continue only if you started this login yourself.\n"
            f"Waiting for you, {minutes} min at most; Ctrl-C gives up.\n"
        )
        if self.has_browser:
            _open_browser(address)

    def show_qr_code(self, address: str) -> None:
        """Show the address for a phone's camera, where the tool can."""

    def notice(self, text: str) -> None:
        """Say one line."""
        self.say(f"crane: {visible(text)}")


def is_set(environ: Mapping[str, str], name: str) -> bool:
    """Whether a variable says yes."""
    return environ.get(name, "").lower() not in {"", "0", "false", "no"}


def _in_container() -> bool:
    """Whether a browser's redirect could not reach us: the marks of Docker and Podman."""
    return any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv"))


def _open_browser(address: str) -> None:
    import webbrowser

    # In a thread: a browser that runs in the terminal, or hangs, must not stop the polling.
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
