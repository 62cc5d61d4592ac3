"""Letting a command take this process's place."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from crane_core.errors import CommandNotExecutable, CommandNotFound
from crane_core.platform import exit_code
from crane_core.programs import find_program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def find_command(name: str, environ: Mapping[str, str]) -> str:
    """Return the program that a shell would run (on Windows PowerShell: none of this folder).

    Raises `CommandNotFound` or `CommandNotExecutable`.
    """
    found = find_program(name, environ.get("PATH", os.defpath))
    if found is not None:
        return found
    if os.path.dirname(name):  # noqa: PTH120 - `./tool` is a path, and `tool` is none
        path = Path(name)
        if path.is_dir():
            raise CommandNotExecutable(f"{name} is a folder", hint="name a program in it")
        if path.exists():
            raise CommandNotExecutable(f"{name} is not executable", hint=f"run: chmod +x {name}")
        raise CommandNotFound(f"{name}: there is no such file", hint="check the path")
    raise CommandNotFound(f"{name}: command not found", hint="check its name, and PATH")


def hand_over(program: str, arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Become the command: process number, terminal, signals and exit code are its own.

    Windows has no such thing: there the command is waited for, and its exit code returned.
    `arguments` begin with the name under which the command is called. Raises
    `CommandNotExecutable`.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform == "win32":
        return _wait_for(program, arguments, environ)
    # Python ignores these for itself, and what is ignored stays so: `crane run -- yes | head`.
    for name in ("SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execve(program, list(arguments), dict(environ))  # noqa: S606 - no shell is what we want
    except OSError as error:
        if error.errno == errno.ENOEXEC:
            # A script without a first line that says how: as execvp(3) and shells do.
            command = ["sh", program, *arguments[1:]]
            os.execve("/bin/sh", command, dict(environ))  # noqa: S606
        reason = error.strerror or str(error)
        raise CommandNotExecutable(f"{program} cannot be run: {reason}") from error


def _wait_for(program: str, arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    import subprocess

    # The console's Ctrl-C reaches the command directly; we outlive it to tell its exit code.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = subprocess.run([program, *arguments[1:]], env=dict(environ), check=False)
    except OSError as error:
        raise CommandNotExecutable(f"{program} cannot be run: {error.strerror}") from error
    finally:
        signal.signal(signal.SIGINT, before)
    return exit_code(done.returncode)
