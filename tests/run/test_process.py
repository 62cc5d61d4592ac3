"""`crane run` is the command: arguments, streams, signals, terminal, exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from run.kit import LIMIT, SOON, Machine, says, until
from support.terminals import pexpect
from support.world import CRANE

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals of POSIX")
PYTHON = sys.executable


def test_arguments_arrive_to_the_letter(ada: Machine) -> None:
    arguments = ["--index", "a b", "", "$HOME", "'\"\\", "--", "-x", "ü", "line\nbreak"]
    script = "import json,sys; print(json.dumps(sys.argv[1:]))"

    done = ada.run(PYTHON, "-c", script, *arguments)

    assert json.loads(done.stdout) == arguments, says(done)


@pytest.mark.parametrize("words", [("--",), ()], ids=["dashes", "none"])
def test_dashes_may_be_left_out(ada: Machine, words: tuple[str, ...]) -> None:
    assert ada.user.crane("run", *words, "echo", "--", "-n", "--index").stdout == "-- -n --index\n"


def test_streams_are_the_commands_own(ada: Machine) -> None:
    with ada.start("run", "--", "cat") as process:
        out, _ = process.communicate("some input\n", timeout=LIMIT)
    assert out == "some input\n"

    done = ada.run("sh", "-c", "echo out; echo err >&2; pwd")
    assert done.stdout == f"out\n{ada.user.home}\n"
    assert done.stderr == "err\n"


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_the_exit_code_is_the_commands(ada: Machine, code: int) -> None:
    assert ada.run("sh", "-c", f"exit {code}").returncode == code


def test_the_command_is_the_same_process(ada: Machine) -> None:
    with ada.start("run", "--", "sh", "-c", "echo $$; cat") as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == process.pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_the_command_as_it_would_without_crane(
    ada: Machine, number: signal.Signals
) -> None:
    # `cat` handles no signal; python would make an exception of SIGINT.
    with ada.start("run", "--", "sh", "-c", "echo ready; exec cat") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(LIMIT) == -number


def test_signals_are_as_the_starter_left_them(ada: Machine) -> None:
    """Python ignores SIGPIPE for itself; a command that inherits that does not end as it should."""
    script = "grep -E 'SigIgn|SigBlk' /proc/self/status"

    bare = ada.user.run("sh", "-c", script)
    inside = ada.run("sh", "-c", script)

    assert inside.stdout == bare.stdout
    assert ada.run("sh", "-c", f"{CRANE} run -- yes | head -1").stdout == "y\n"


def test_no_file_descriptor_is_left_open(ada: Machine) -> None:
    script = "import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd')))"

    assert ada.run(PYTHON, "-c", script).stdout == ada.user.run(PYTHON, "-c", script).stdout


def test_umask_and_limits_are_the_commands_own(ada: Machine) -> None:
    script = "umask; ulimit -c; ulimit -n"

    assert ada.run("sh", "-c", script).stdout == ada.user.run("sh", "-c", script).stdout


@pytest.fixture
def terminal(ada: Machine) -> pexpect.spawn:
    """Give an interactive shell at a terminal, and an agent that runs already."""
    assert ada.run("true").returncode == 0
    environ = {**ada.user.environ, "PS1": "prompt> ", "TERM": "dumb"}
    shell = pexpect.spawn(
        "bash", ["--norc", "--noprofile", "-i"], env=environ, cwd=str(ada.user.home),
        encoding="utf-8", timeout=LIMIT, dimensions=(24, 80), echo=False,
    )  # fmt: skip
    shell.expect_exact("prompt> ")
    yield shell
    shell.close(force=True)


def script(ada: Machine, text: str) -> str:
    """Write a Python program, so that what it prints is not on the command line too."""
    path = ada.user.home / "program.py"
    path.write_text(f"import os, signal, sys\n{text}")
    return f"{CRANE} run -- {PYTHON} program.py"


def test_ctrl_c_at_a_terminal(ada: Machine, terminal: pexpect.spawn) -> None:
    command = script(
        ada,
        "try:\n    print('ready', flush=True)\n    signal.pause()\n"
        "except KeyboardInterrupt:\n    print('interrupted')\n    sys.exit(7)\n",
    )
    terminal.sendline(command)
    terminal.expect_exact("ready")
    terminal.sendintr()
    terminal.expect_exact("interrupted")
    terminal.expect_exact("prompt> ")
    terminal.sendline("echo code=$?")
    terminal.expect_exact("code=7")


def test_ctrl_z_stops_and_fg_goes_on(ada: Machine, terminal: pexpect.spawn) -> None:
    terminal.sendline(script(ada, "print('ready', flush=True)\nprint('got', input())\n"))
    terminal.expect_exact("ready")
    terminal.sendcontrol("z")
    terminal.expect_exact("Stopped")
    terminal.expect_exact("prompt> ")
    until(lambda: len(ada.bundles()) == 1)  # of a stopped process, which is there still
    terminal.sendline("fg")
    terminal.expect_exact("program.py")
    terminal.sendline("hello")
    terminal.expect_exact("got hello")
    terminal.expect_exact("prompt> ")
    terminal.sendline("echo code=$?")
    terminal.expect_exact("code=0")


def test_a_new_window_size_arrives(ada: Machine, terminal: pexpect.spawn) -> None:
    command = script(
        ada,
        # Not by print, in whose midst the signal may come.
        "def tell(*_): os.write(1, b'%d %d\\n' % tuple(os.get_terminal_size()))\n"
        "signal.signal(signal.SIGWINCH, tell)\n"
        "print('ready', flush=True)\nsignal.pause()\n",
    )
    terminal.sendline(command)
    terminal.expect_exact("ready")
    terminal.setwinsize(30, 101)
    terminal.expect_exact("101 30")


def test_the_terminal_is_the_commands(ada: Machine, terminal: pexpect.spawn) -> None:
    seen = "os.isatty(0), os.isatty(1), os.tcgetpgrp(0) == os.getpgrp()"
    terminal.sendline(script(ada, f"print({seen})\n"))
    terminal.expect_exact("True True True")


def test_a_command_that_is_not_there(machine: Machine) -> None:
    done = machine.run("no-such-command")
    assert (done.returncode, done.stderr.count("\n")) == (127, 1)
    assert done.stderr.startswith("crane: no-such-command: command not found")

    done = machine.run("./no/such/file")
    assert done.returncode == 127
    assert machine.agents() == []


def test_a_command_that_cannot_be_run(machine: Machine) -> None:
    script = machine.user.home / "script"
    script.write_text("echo hello\n")
    for name, said in ((f"{script}", "not executable"), (f"{machine.user.home}", "is a folder")):
        done = machine.run(name)
        assert (done.returncode, done.stderr.count("\n")) == (126, 1)
        assert said in done.stderr
    assert machine.agents() == []

    script.chmod(0o755)
    script.write_bytes(b"#!/nowhere/interpreter\n")
    done = machine.run(str(script))
    assert done.returncode == 126
    assert "cannot be run" in done.stderr
    assert done.stderr.count("crane: ") == 2  # the other one tells that nobody is logged in
    until(lambda: not machine.bundles())


def test_a_script_without_a_first_line_is_the_shells(ada: Machine) -> None:
    script = ada.user.home / "script"
    script.write_text('echo "$0 $1"\n')
    script.chmod(0o755)

    assert ada.run("./script", "hello").stdout == "./script hello\n"


WRONG = [
    ("run",),
    ("run", "--"),
    ("run", "--no-such-option", "true"),
    ("run", "--index"),
    ("agent",),
    ("agent", "start"),
    ("env", "--shell", "tcsh"),
    ("env", "--shell", "github"),
]


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_wrong_arguments(machine: Machine, arguments: tuple[str, ...]) -> None:
    done = machine.user.crane(*arguments)

    assert done.returncode == 2, says(done)
    assert "Traceback" not in done.stderr
    assert machine.agents() == []


@pytest.mark.parametrize("arguments", [("run", "true"), ("uv", "--version"), ("env",)])
def test_no_registered_index_is_said(machine: Machine, arguments: tuple[str, ...]) -> None:
    machine.user.config_file.unlink()
    path = f"{Path(PYTHON).parent}{os.pathsep}{os.environ['PATH']}"

    done = machine.user.crane(*arguments, PATH=path)

    assert done.returncode == 5
    assert "crane index register" in done.stderr
    assert machine.agents() == []


def test_nobody_logged_in_is_a_notice(machine: Machine) -> None:
    done = machine.run("echo", "hello")

    assert (done.returncode, done.stdout) == (0, "hello\n")
    assert done.stderr == "crane: nobody is logged in at python; run: crane login python\n"


def test_a_person_logs_in_before_the_command_starts(machine: Machine) -> None:
    machine.user.variables.pop("CI")
    machine.site.add_private("firm-lib")

    done = machine.run("curl", "-sS", f"{machine.site.index_url}/firm-lib/")

    assert "To log in to python" in done.stderr
    assert "firm_lib-1.0" in done.stdout, says(done)
    assert "To log in" not in machine.run("true").stderr


def test_a_login_that_is_denied_starts_nothing(machine: Machine) -> None:
    machine.user.variables.pop("CI")

    done = machine.run("touch", "started", TEST_DECISION="deny")

    assert done.returncode == 11, says(done)
    assert not (machine.user.home / "started").exists()
    until(lambda: not machine.bundles())


def test_with_several_indexes_only_those_that_are_named_ask(machine: Machine) -> None:
    from support.pips import register

    machine.user.variables.pop("CI")
    register(machine.user, machine.site.index(name="other", url=f"{machine.site.crane_url}/other"))

    done = machine.run("true")
    assert "To log in" not in done.stderr
    assert "run: crane login python, crane login other" in done.stderr

    done = machine.user.crane("run", "--index", "python", "--", "true")
    assert "To log in to python" in done.stderr
    assert "other" not in done.stderr


def test_offline_nobody_is_asked(machine: Machine) -> None:
    machine.user.variables.pop("CI")

    assert machine.run("true", CRANE_OFFLINE="1").stderr == ""


def test_a_command_in_the_background_keeps_its_view(ada: Machine) -> None:
    """As with `nohup crane run -- … &`, after which the shell is left."""
    command = f"{CRANE} run -- sh -c 'echo $$; exec sleep 300' & read x"
    with subprocess.Popen(
        ["sh", "-c", command], env=ada.user.environ, cwd=ada.user.home, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as shell:  # fmt: skip
        assert shell.stdout is not None
        assert shell.stdin is not None
        child = int(shell.stdout.readline())
        shell.stdin.write("\n")
        shell.stdin.close()
        shell.wait(LIMIT)
        (view,) = ada.status()[0]["views"]
        os.kill(child, signal.SIGKILL)

    assert view["owners"] == [child]
    until(lambda: not ada.bundles(), SOON + 1)
