"""`crane demo`: the main job on this machine, with a protected index made for it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from crane_cli.commands.options import command
from crane_cli.result import Result

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from crane_cli.context import Context

PRIVATE = "crane-demo-hello"
CRANE = (sys.executable, "-m", "crane_cli")


EXAMPLES = """
crane demo
crane demo --yes
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    summary = "try crane against a protected index on this machine"
    parser = command(commands, "demo", run, summary, EXAMPLES)
    parser.add_argument(
        "--yes", "-y", action="store_true", help="approve the login by itself, without a browser"
    )


def run(args: argparse.Namespace, here: Context) -> Result:
    """Start index and identity provider, register, log in, install, and say what came whence."""
    from crane_core.errors import UsageError

    try:
        from crane_devserver.demo import demo_server
        from crane_devserver.idp.settings import ProviderSettings
        from crane_devserver.running import serve_in_thread
    except ImportError:
        raise UsageError(
            "the demo's server is not installed", hint='run: pip install "crane-cli[demo]"'
        ) from None
    # Its files hold the demo's tokens, and go at the end.
    with tempfile.TemporaryDirectory(prefix="crane-demo-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # A person waits for the login here: ask the provider once a second, not every five.
        server = demo_server(folder / "server", settings=ProviderSettings(interval=1))
        with serve_in_thread(server) as url:
            demo = Demo(folder, f"{url}/demo", _environment(here, folder, approve=args.yes))
            return Result(exit_code=demo.run())


@dataclass(frozen=True, slots=True)
class Demo:
    """The steps of the demo, each of them a command that a user would type."""

    folder: Path
    index_url: str
    environ: Mapping[str, str]

    def run(self) -> int:
        """Take the steps and return the exit code of the first that fails."""
        _say(f"A protected index is at {self.index_url}; log in there as ada, password ada.")
        for step in (
            ("index", "register", self.index_url, "--yes"),
            ("login",),
        ):
            if code := self._crane(*step):
                return code
        subprocess.run([sys.executable, "-m", "venv", str(self.folder / "venv")], check=True)
        try:
            return self._install()
        finally:
            # It would wait for more to do, and what it serves is about to go.
            stop = [*CRANE, "agent", "stop"]
            subprocess.run(stop, env=self.environ, capture_output=True, check=False)

    def _install(self) -> int:
        report = self.folder / "report.json"
        options = ("--quiet", "--report", str(report))
        code = self._crane("pip", "install", *options, PRIVATE)
        if code and not self._reaches_fallback():
            _say("PyPI is out of reach from here, so only the private part can be shown.")
            private = (PRIVATE, "crane-demo-colors")
            code = self._crane("pip", "install", *options, "--no-deps", *private)
        elif not code:
            self._greet()
        if not code:
            _say(*_origins(report, self.index_url))
        return code

    def _reaches_fallback(self) -> bool:
        """Whether pip can get the public dependency at all."""
        command_line = ("pip", "download", "--quiet", "--no-deps", "iniconfig")
        done = subprocess.run(
            [*CRANE, *command_line, "--dest", str(self.folder)],
            env=self.environ,
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    def _greet(self) -> None:
        programs = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
        python = self.folder / "venv" / programs
        _say("$ python -m crane_demo_hello")
        subprocess.run([str(python), "-m", "crane_demo_hello"], env=self.environ, check=False)

    def _crane(self, *arguments: str) -> int:
        shown = " ".join(a for a in arguments if str(self.folder) not in a)
        _say(f"$ crane {shown.replace(' --report', '')}")
        return subprocess.call([*CRANE, *arguments], env=self.environ)


def _environment(here: Context, folder: Path, *, approve: bool) -> dict[str, str]:
    environ = dict(here.environ)
    # No registration or login of the user's own is touched, nor their cache.
    environ["CRANE_HOME"] = str(folder / "crane")
    environ["PIP_CACHE_DIR"] = str(folder / "pip-cache")
    environ["VIRTUAL_ENV"] = str(folder / "venv")
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        environ.pop(name, None)
    if approve:
        environ.pop("CI", None)
        # As `webbrowser` reads it: words for a shell, which may hold blanks but no backslashes.
        python = sys.executable.replace(os.sep, "/")
        environ["BROWSER"] = shlex.join(
            [python, "-m", "crane_devserver.sign_in", "ada", "ada", "%s"]
        )
    return environ


def _origins(report: Path, index_url: str) -> list[str]:
    """Return a line for each installed project: where it came from (pip's own report)."""
    installed = json.loads(report.read_text(encoding="utf-8"))["install"]
    lines = ["", "What came from where:"]
    for item in installed:
        name, version = item["metadata"]["name"], item["metadata"]["version"]
        url = item["download_info"]["url"]
        private = url.startswith(f"{index_url}/")
        origin = f"{index_url}, with ada's login"
        source = origin if private else f"{urlsplit(url).hostname}, with no token"
        lines.append(f"  {name + ' ' + version:26} {source}")
    return lines


def _say(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)
