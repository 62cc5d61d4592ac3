"""Where the pictures are taken: an index, a provider, and somebody's empty home."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crane_devserver.demo import demo_server
from crane_devserver.idp.settings import ProviderSettings
from crane_devserver.running import serve_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# As long as http://127.0.0.1:PORT with five digits, so that tables stay as they are.
SHOWN_ORIGIN = "https://python.example"
# Of the machine that this runs on: how it gets to PyPI.
KEPT = re.compile(r"(?i).*_proxy|.*_CERT(_FILE)?|REQUESTS_CA_BUNDLE|LANG")


@dataclass(frozen=True, slots=True)
class Desk:
    """An index, and the environment of somebody who has never used crane."""

    index_url: str
    home: Path
    environ: Mapping[str, str]

    def fixed(self, text: str) -> str:
        """Return text with fixed words for what differs from run to run."""
        return fixed(text, self.index_url.removesuffix("/demo"), str(self.home))


def fixed(text: str, origin: str, home: str) -> str:
    """Return text with a name for an origin, `~` for a home, and fixed numbers."""
    text = text.replace(origin, SHOWN_ORIGIN).replace(home, "~")
    # A login's random values; the rest of such an address says nothing to a reader.
    text = re.sub(r"(/authorize\?response_type=code&client_id=[\w-]+)&\S+", r"\1&…", text)
    text = re.sub(r"until [\d-]+ [\d:]+ \(\d+ min\)", "until 2027-01-04 10:11 (29 min)", text)
    return re.sub(r"\(\d+(\.\d+)? kB\)", "(5 kB)", text)


@contextmanager
def scene(folder: Path) -> Iterator[Desk]:
    """Serve the demo's index, with an empty home and a virtual environment beside it."""
    home, programs = folder / "home", folder / "bin"
    home.mkdir()
    programs.mkdir()
    # Nothing else of this machine is found, such as tools that would want a plugin.
    (programs / "crane").symlink_to(Path(sys.executable).with_name("crane"))
    subprocess.run([sys.executable, "-m", "venv", str(home / "venv")], check=True)
    server = demo_server(folder / "server", settings=ProviderSettings(interval=1))
    with serve_in_thread(server) as url:
        environ = {
            **{name: value for name, value in os.environ.items() if KEPT.fullmatch(name)},
            "PATH": f"{home / 'venv' / 'bin'}{os.pathsep}{programs}",
            "HOME": str(home),
            "CRANE_HOME": str(home / "crane"),
            "CRANE_VAULT": "file",
            "VIRTUAL_ENV": str(home / "venv"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            # How far a bar has come when a small file is there already is chance.
            "PIP_PROGRESS_BAR": "off",
            "TERM": "xterm-256color",
            # Signs in at the provider's real pages, in place of a person.
            "BROWSER": f"{sys.executable} -m crane_devserver.sign_in ada ada %s",
        }
        try:
            yield Desk(f"{url}/demo", home, environ)
        finally:
            stop = [str(programs / "crane"), "agent", "stop"]
            subprocess.run(stop, env=environ, capture_output=True, check=False)
