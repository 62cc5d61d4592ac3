#!/usr/bin/env python3
"""The tasks of a developer, from a fresh clone on: `python3 dev.py TASK`, see the end of this file.

Needs Python 3.11 or newer with pip, nothing else. Everything is installed below this folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
BOOTSTRAP = ROOT / ".cache" / "bootstrap"
UV_VERSION = "uv>=0.9"
# Tests that need more than Python: their marker, what they are at, and the program that gets it.
OPTIONAL = {
    "keycloak": ("at a real Keycloak", "tests/providers/keycloak.py"),
    "chromium": ("in a real browser", "tests/browser/chromium.py"),
}
# Most other tests start whole tools, in ways that are POSIX's alone: below bin/, by signals, in
# pseudo-terminals. On Windows they are only read, so that none of them keeps these from running.
ON_WINDOWS = ("tests/core", "tests/config", "tests/index", "tests/cache", "tests/agent")


def programs(environment: Path) -> Path:
    """Return the folder with an environment's programs."""
    return environment / ("Scripts" if os.name == "nt" else "bin")


def program(environment: Path, name: str) -> str:
    """Return the path of an environment's program; Windows adds no `.exe` to one with a folder."""
    return str(programs(environment) / (f"{name}.exe" if os.name == "nt" else name))


def surroundings(**variables: str) -> dict[str, str]:
    """Return the environment of what we start."""
    environment = {**os.environ, **variables}
    # An active environment of the caller's is not ours to install into.
    environment.pop("VIRTUAL_ENV", None)
    # Without bytecode every process of the tests would compile the same modules again.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def call(*command: str, cwd: Path = ROOT, **variables: str) -> None:
    """Run a command, in the root folder unless told, and end with its exit code if it fails."""
    environment = surroundings(**variables)
    code = subprocess.call(command, cwd=cwd, env=environment)
    if code:
        sys.exit(code)


def uv() -> str:
    """Return uv, installed from the package index if this clone has none yet."""
    own = program(BOOTSTRAP, "uv")
    if not Path(own).exists():
        venv.create(BOOTSTRAP, with_pip=True)
        call(program(BOOTSTRAP, "python"), "-m", "pip", "install", "--quiet", UV_VERSION)
    return own


def setup() -> None:
    """Make the environment with everything that check, test, bench and demo need."""
    # Without what only builds and audits use: each of them gets it where it is needed.
    groups = ("--all-groups", "--no-group", "build", "--no-group", "audit")
    call(uv(), "sync", "--locked", "--quiet", *groups, "--python", sys.executable)


def run(*command: str, cwd: Path = ROOT, **variables: str) -> None:
    """Run a command of the environment."""
    path = os.pathsep.join([str(programs(ROOT / ".venv")), os.environ.get("PATH", "")])
    call(program(ROOT / ".venv", command[0]), *command[1:], cwd=cwd, PATH=path, **variables)


def check(*_: str) -> None:
    """Lint, format check, types, layers, and the documentation's site with its links."""
    setup()
    run("ruff", "check", ".")
    run("ruff", "format", "--check", ".")
    run("mypy")
    run("mypy", "--config-file", "mypy.ini", ".", cwd=ROOT / "tests")
    run("lint-imports")
    run("python", "-m", "devtasks.docs", "--check")


def docs(*arguments: str) -> None:
    """Build the documentation's site in site/, with what the code says of itself."""
    setup()
    run("python", "-m", "devtasks.docs", *arguments)


def prepare(script: str) -> str:
    """Get what the tests of a marker need, in bounded time; return why it is not here, or nothing.

    The script prints that reason. If it fails instead, so do we.
    """
    command = [program(ROOT / ".venv", "python"), script]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return str(done.stdout).strip()


def test(*arguments: str) -> None:
    """Run the tests in parallel, or those that the arguments name."""
    setup()
    if arguments:
        run("pytest", *arguments)
    else:
        everything("pytest")


def cover(*_: str) -> None:
    """Run the tests under coverage, in all processes; it takes a fifth longer."""
    setup()
    for old in ROOT.glob(".coverage*"):
        old.unlink()
    everything("coverage", "run", "-m", "pytest")
    run("coverage", "combine", "--quiet")
    run("coverage", "report")


def everything(*pytest: str) -> None:
    """Run all tests that can run here, and say which cannot."""
    # Meanwhile, and once: compiled tests, which else each worker would compile for itself.
    collect = [program(ROOT / ".venv", "pytest"), "--collect-only", "-qq"]
    compiling = subprocess.Popen(collect, cwd=ROOT, stdout=subprocess.DEVNULL, env=surroundings())
    reasons = {marker: prepare(script) for marker, (_, script) in OPTIONAL.items()}
    if compiling.wait():
        sys.exit("not all tests can be read; see: python dev.py test --collect-only")
    folders = ON_WINDOWS if os.name == "nt" else ()
    missing = {marker: reason for marker, reason in reasons.items() if reason}
    chosen = " and ".join(f"not {marker}" for marker in missing)
    try:
        # Tests wait almost half of their time: for a process to start, for another to answer.
        workers = str((os.cpu_count() or 2) * 3)
        run(*pytest, "-n", workers, "--dist", "loadgroup", "-m", chosen, *folders)
    finally:
        # Last, so that nobody takes what was left out for passed.
        if folders:
            print("\nNOT RUN: all other tests than those in", *folders, flush=True)
        for marker, reason in missing.items():
            print(f"\nNOT RUN: the tests {OPTIONAL[marker][0]} ({marker}). {reason}", flush=True)


def bench(*arguments: str) -> None:
    """Run the benchmarks; each prints ratios of things measured in the same run."""
    setup()
    run("python", "-m", "benchmarks", *arguments)


def minutes_of(arguments: tuple[str, ...], usual: str) -> tuple[float, list[str]]:
    """Return what `--minutes N` says, in seconds, and the other arguments."""
    left = list(arguments)
    if "--minutes" not in left:
        return float(usual) * 60, left
    place = left.index("--minutes")
    return float(left[place + 1]) * 60, left[:place] + left[place + 2 :]


def fuzz(*arguments: str) -> None:
    """Feed all readers of foreign bytes for `--minutes` (10); what harms stays in the corpus."""
    setup()
    seconds, others = minutes_of(arguments, "10")
    run("pytest", "-q", "-n", "0", "tests/fuzz", *others, FUZZ_SECONDS=str(seconds))


def soak(*arguments: str) -> None:
    """Run mixed clients for `--minutes` (10) while their agent is killed every 20 s; show counts.

    There are 200, or as many as SOAK_CLIENTS says.
    """
    setup()
    seconds, others = minutes_of(arguments, "10")
    clients = os.environ.get("SOAK_CLIENTS", "200")
    test = "tests/faults/test_killed_agents.py"
    run(
        "pytest", "-q", "-s", "-n", "0", "--timeout", "0", test, *others,
        SOAK_SECONDS=str(seconds), SOAK_CLIENTS=clients,
    )  # fmt: skip


def demo(*arguments: str) -> None:
    """Run the main job on this machine: login, install from a protected index, PyPI fallback."""
    setup()
    # Without a person in front of it, the demo approves its own login.
    attended = sys.stdin.isatty() and not os.environ.get("CI")
    run("crane", "demo", *([] if attended else ["--yes"]), *arguments)


def build(*arguments: str) -> None:
    """Make all distributions in dist/, the same bytes of the same commit."""
    setup()
    run("python", "-m", "devtasks.build", *arguments)


def pictures(*arguments: str) -> None:
    """Make the pictures of the documentation anew, in a real terminal and a real browser."""
    setup()
    # The browser is found as the tests find theirs.
    run("python", "-m", "devtasks.pictures", *arguments, PYTHONPATH=str(ROOT / "tests"))


def audit(*arguments: str) -> None:
    """Ask PyPI's advisory database about every locked package; fails if it cannot be asked."""
    setup()
    run("python", "-m", "devtasks.audit", *arguments)


def sbom(*arguments: str) -> None:
    """Write what crane is made of, in CycloneDX."""
    setup()
    run("python", "-m", "devtasks.sbom", *arguments)


def test_minimal(*arguments: str) -> None:
    """Run a few tests with the oldest versions that crane says it works with."""
    setup()
    run("python", "-m", "devtasks.versions", "minimal", *arguments)


def test_latest(*arguments: str) -> None:
    """Run a few tests, or those that the arguments name, with the newest version of everything."""
    setup()
    run("python", "-m", "devtasks.versions", "latest", *arguments)


def release(*arguments: str) -> None:
    """Make a release of the version that is named, but for its upload."""
    setup()
    run("python", "-m", "devtasks.release", *arguments)


TASKS = {
    "setup": setup,
    "check": check,
    "test": test,
    "cover": cover,
    "bench": bench,
    "fuzz": fuzz,
    "soak": soak,
    "demo": demo,
    "build": build,
    "docs": docs,
    "pictures": pictures,
    "audit": audit,
    "sbom": sbom,
    "test-minimal": test_minimal,
    "test-latest": test_latest,
    "release": release,
}


def main() -> None:
    """Run the task that the command line names."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever starts us may have an older one
        sys.exit("crane needs Python 3.11 or newer")
    name, *arguments = sys.argv[1:] or ["help"]
    if name not in TASKS:
        sys.exit("usage: python3 dev.py " + "|".join(TASKS) + " [ARGUMENT…]")
    TASKS[name](*arguments)


if __name__ == "__main__":
    main()
