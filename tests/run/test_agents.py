"""The life of real agents: many starters, killed ones, stale files, other configurations."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from agent.kit import Stranger
from auth.disks import fill, make_read_only, small_disk
from auth.processes import cranes
from idp.oidc import Realm
from run.kit import LIMIT, SOON, Machine, says, until
from support.pips import log_in, register
from support.processes import kill, wait_for_end
from support.world import CRANE

from crane_core.agent.client import AgentLost, connect
from crane_core.agent.runtime import Place
from crane_core.platform import process_mark

NOBODY = 65534
CURL = ("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}")


def test_twenty_starters_at_once_make_one_agent(ada: Machine) -> None:
    with cranes(ada.user, 20, "run", "--", "sh", "-c", "echo $HTTPS_PROXY") as started:
        assert [crane.wait() for crane in started] == [0] * 20, [c.stderr for c in started]
        proxies = [crane.stdout.strip() for crane in started]

    assert len({proxy.rpartition(":")[2] for proxy in proxies}) == 1
    assert len(set(proxies)) == 20  # each with a secret of its own
    assert len(ada.agents()) == 1
    assert len(processes_of_agents(ada)) == 1
    until(lambda: not ada.bundles(), SOON + 1)


def processes_of_agents(machine: Machine) -> list[int]:
    """Return every agent process of this user's home, whether its file is there or not."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            environ = (folder / "environ").read_bytes()
        except OSError:
            continue
        home = f"\0HOME={machine.user.home}\0".encode()
        if b"crane_core.agent" in command and home in b"\0" + environ:
            found.append(int(folder.name))
    return found


def test_an_agent_is_tied_to_nothing_of_its_starters(ada: Machine) -> None:
    done = ada.run("sh", "-c", "ps -o ppid= -o comm= --ppid $$ || true")
    agent = ada.agent().pid
    process = Path(f"/proc/{agent}")

    assert done.returncode == 0
    assert (process / "cwd").readlink() == Path("/")
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    parent, group, session, terminal = map(int, fields[1:5])
    assert parent not in {os.getpid(), 0}
    assert terminal == 0
    assert session not in {os.getsid(0), agent}  # not its leader: it can get no terminal
    assert group == session
    targets = Counter[str]()
    for link in (process / "fd").iterdir():
        with contextlib.suppress(
            FileNotFoundError
        ):  # closed meanwhile, as a connection whose peer has left
            targets[str(link.readlink())] += 1
    # Of a pipe of its own an agent has both ends.
    assert not [t for t, count in targets.items() if t.startswith("pipe:") and count < 2]
    assert not [t for t in targets if t.startswith(("/dev/pts", "/dev/tty"))]
    assert "Umask:\t0077" in (process / "status").read_text()


def test_the_command_has_no_child_that_it_did_not_make(ada: Machine) -> None:
    """An agent that this very command has started is not its child."""
    script = (
        "import os\ntry: print(os.waitpid(-1, os.WNOHANG))\nexcept ChildProcessError: print('none')"
    )

    assert ada.run(sys.executable, "-c", script).stdout == "none\n"


def test_a_killed_agent_is_replaced_and_its_files_are_removed(ada: Machine) -> None:
    with ada.start("run", "--", "sh", "-c", "echo ready; cat") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        (left,) = ada.bundles()
        before = ada.agent()
        kill(before.pid)

        done = ada.run(*CURL, f"{ada.site.index_url}/")
        assert done.stdout == "200", says(done)
        assert ada.agent().pid != before.pid
        assert left.exists()  # the command that has it goes on
    ada.end_all()
    os.utime(left, (0, 0))
    ada.run("true")
    assert not left.exists()


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7])
def test_an_agent_that_is_killed_at_any_moment_of_a_start(ada: Machine, delay: float) -> None:
    """The command runs all the same, with another agent, or says in a line what happened."""
    with ada.start("run", "--", "echo", "done") as process:
        end = until(lambda: processes_of_agents(ada) or process.poll() is not None)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(delay)
        for pid in processes_of_agents(ada):
            kill(pid)
        out, _ = process.communicate(timeout=LIMIT)

    assert end
    lines = out.splitlines()
    if process.returncode == 0:
        assert lines == ["done"]
    else:
        assert process.returncode == 33, out
        assert len(lines) == 1
        assert lines[0].startswith("crane: the agent does not start")
    assert ada.run("echo", "again").stdout == "again\n"
    assert len(ada.agents()) == 1


def test_a_starter_that_is_killed_blocks_nobody(ada: Machine) -> None:
    with ada.start("run", "--", "true") as process:
        until(lambda: processes_of_agents(ada))
        process.kill()

    assert ada.run("echo", "done").stdout == "done\n"
    until(lambda: len(processes_of_agents(ada)) == 1)


def stale(ada: Machine, **fields: object) -> Place:
    """Let an agent write its file, kill it, and change the file."""
    assert ada.run("true").returncode == 0
    runtime, place = ada.agent(), ada.place()
    kill(runtime.pid)
    place.write(replace(runtime, **fields))  # type: ignore[arg-type]
    return place


def test_a_number_that_another_process_has_by_now(ada: Machine) -> None:
    """Nothing is sent to the port of an agent whose process is another one by now."""
    stranger = Stranger(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    try:
        place = stale(ada, pid=os.getpid(), port=stranger.port)
        assert ada.run("echo", "done").stdout == "done\n"
        assert place.read() == ada.agent()
    finally:
        stranger.close()
    assert not stranger.heard


def test_a_port_that_somebody_else_has_by_now(ada: Machine) -> None:
    """Even where process and start time fit, the secret is not sent before a proof."""
    stranger = Stranger(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    mark = process_mark(os.getpid())
    try:
        place = stale(ada, pid=os.getpid(), started=mark, port=stranger.port)
        runtime = place.read()
        assert ada.run("echo", "done").stdout == "done\n"
        assert ada.agent().pid != os.getpid()
    finally:
        stranger.close()
    assert runtime is not None
    assert b"GET /-/agent/hello?nonce=" in stranger.heard
    assert runtime.secret.reveal().encode() not in stranger.heard


def test_a_stopped_agent_is_not_waited_for_without_end(ada: Machine) -> None:
    """One that does not answer is passed over, and leaves once nobody can find it."""
    assert ada.run("true").returncode == 0
    hung = ada.agent()
    os.kill(hung.pid, signal.SIGSTOP)
    try:
        assert ada.run("echo", "done").stdout == "done\n"
        assert ada.agent().pid != hung.pid
    finally:
        os.kill(hung.pid, signal.SIGCONT)
    assert wait_for_end(hung.pid)
    assert len(ada.agents()) == 1


def test_another_configuration_is_another_agent_and_the_old_one_leaves(ada: Machine) -> None:
    with ada.start("run", "--", "cat") as process:
        until(ada.bundles)
        before = ada.agent()
        text = ada.user.config_file.read_text()
        ada.user.config_file.write_text(f"{text}\n# changed\n")

        assert ada.run(*CURL, f"{ada.site.index_url}/").stdout == "200"
        assert len(ada.agents()) == 2  # the first one has a view still
        process.communicate(timeout=LIMIT)

        assert wait_for_end(before.pid, SOON + 5)
    assert len(ada.agents()) == 1


def test_another_way_to_the_network_is_another_agent(ada: Machine) -> None:
    assert ada.run("true").returncode == 0
    assert ada.run("true", NO_PROXY="other.test").returncode == 0
    assert ada.run("true", TERM="dumb").returncode == 0

    assert len(ada.agents()) == 2


def test_an_idle_agent_leaves(ada: Machine) -> None:
    assert ada.run("true", CRANE_AGENT_IDLE="0.1").returncode == 0
    (pid,) = processes_of_agents(ada)

    assert wait_for_end(pid)
    assert ada.agents() == []
    assert [p.name for p in ada.paths.runtime.glob("*/*") if p.is_file()] == ["agent.lock"]


def test_an_agent_with_a_running_command_is_not_idle(ada: Machine) -> None:
    with ada.start("run", "--", "sh", "-c", "echo; cat", CRANE_AGENT_IDLE="0.1") as process:
        assert process.stdout is not None
        process.stdout.readline()
        pid = ada.agent().pid
        assert not wait_for_end(pid, SOON)
        process.communicate(timeout=LIMIT)
        assert wait_for_end(pid)


FAILURES = [
    ({"CRANE_AGENT_IDLE": "soon"}, "CRANE_AGENT_IDLE: 'soon' is no number of seconds"),
    ({"CRANE_CACHE_SIZE": "much"}, "CRANE_CACHE_SIZE"),
    ({"CRANE_VAULT": "nowhere"}, "'nowhere' is no vault"),
]


@pytest.mark.parametrize(("variables", "reason"), FAILURES, ids=lambda v: str(v)[:20])
def test_why_an_agent_does_not_start_is_one_line(
    ada: Machine, variables: dict[str, str], reason: str
) -> None:
    done = ada.run("true", **variables)

    assert done.returncode == 33
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("crane: the agent does not start: ")
    assert reason in done.stderr
    assert processes_of_agents(ada) == []


def test_a_broken_installation_is_one_line(ada: Machine, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'crane_core.agent' in ' '.join(sys.orig_argv): sys.modules['uvicorn'] = None\n"
    )

    done = ada.run("true", PYTHONPATH=str(tmp_path))

    assert (done.returncode, done.stderr.count("\n")) == (33, 1)
    assert "the agent does not start: ModuleNotFoundError" in done.stderr


def test_a_runtime_folder_of_somebody_elses(ada: Machine) -> None:
    ada.paths.runtime.mkdir(mode=0o700)
    assert ada.run("true").returncode == 0
    folder = ada.place().folder
    ada.end_all()
    os.chown(folder, NOBODY, NOBODY)

    done = ada.run("true")

    assert (done.returncode, done.stderr.count("\n")) == (10, 1)
    assert "belongs to another user" in done.stderr


def test_a_read_only_runtime_folder(ada: Machine) -> None:
    with small_disk(ada.paths.runtime) as disk:
        make_read_only(disk)
        done = ada.run("true")

    assert (done.returncode, done.stderr.count("\n")) == (8, 1), says(done)
    assert str(ada.paths.runtime) in done.stderr


def test_a_full_disk(ada: Machine) -> None:
    """For the bundle there is no room; nothing is left of the view."""
    with small_disk(ada.paths.runtime, "256k") as disk:
        assert ada.run("true").returncode == 0
        fill(disk)
        done = ada.run("touch", str(ada.user.home / "started"))
        assert (done.returncode, done.stderr.count("\n")) == (9, 1), says(done)
        assert not (ada.user.home / "started").exists()
        until(lambda: not ada.status()[0]["views"])
        assert ada.bundles() == []
        ada.end_all()
        fill(disk)
        done = ada.run("true")
        assert (done.returncode, done.stderr.count("\n")) == (33, 1), says(done)
        assert "no space left" in done.stderr


@pytest.mark.skipif(
    sys.platform == "win32" or os.getuid() != 0, reason="only root can become another user"
)
def test_another_user_gets_nothing(ada: Machine) -> None:
    assert ada.run("true").returncode == 0
    runtime, place = ada.agent(), ada.place()

    def attempt() -> dict[str, object]:
        seen: dict[str, object] = {}
        for name, path in (("file", place.file), ("folder", place.folder)):
            try:
                seen[name] = str(list(path.iterdir()) if path.is_dir() else path.read_text())
            except OSError as error:
                seen[name] = type(error).__name__
        try:
            connect(runtime)  # as if the secret had leaked
        except AgentLost as error:
            seen["agent"] = str(error)
        with socket.create_connection(("127.0.0.1", runtime.port)) as line:
            line.sendall(b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n")
            seen["connect"] = line.recv(100).decode()
        return seen

    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(writing, json.dumps(attempt()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        seen = json.loads(pipe.read())
    os.waitpid(child, 0)
    connect(runtime).close()

    assert seen["file"] == "PermissionError"
    assert seen["folder"] == "PermissionError"
    assert "agent" in seen
    assert "403" in seen["connect"]


def test_status_and_stop(ada: Machine) -> None:
    assert ada.user.crane("agent", "status").stdout == "no agent is running\n"
    assert ada.user.crane("agent", "stop").stdout == "no agent is running\n"
    with ada.start("run", "--", "sh", "-c", "echo; cat") as process:
        assert process.stdout is not None
        process.stdout.readline()
        runtime = ada.agent()

        (status,) = ada.status()
        text = ada.user.crane("agent", "status").stdout

        assert status["pid"] == runtime.pid
        assert [view["owners"] for view in status["views"]] == [[process.pid]]
        assert f"process {runtime.pid}, up for" in text
        assert f"serves process {process.pid}" in text
        assert runtime.secret.reveal() not in text + json.dumps(status)

        done = ada.user.crane("agent", "stop", "--json")
        assert json.loads(done.stdout)["data"] == {"stopped": 1}
        assert process_mark(runtime.pid) is None
        assert ada.bundles() == []
        process.communicate(timeout=LIMIT)
    assert ada.agents() == []


def test_a_sigterm_ends_an_agent_cleanly(ada: Machine) -> None:
    assert ada.run("true").returncode == 0
    place, pid = ada.place(), ada.agent().pid

    os.kill(pid, signal.SIGTERM)

    assert wait_for_end(pid)
    assert not place.file.exists()
    assert ada.bundles() == []
    assert ada.log() == ""


def test_a_logout_counts_at_once_in_an_open_view(ada: Machine) -> None:
    ada.site.add_private("firm-lib")
    url = f"{ada.site.index_url}/firm-lib/"
    script = f"{' '.join(CURL)} {url}; echo; read x; {' '.join(CURL)} {url}; echo"
    with ada.start("run", "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "200\n"
        assert ada.user.crane("logout").returncode == 0
        out, _ = process.communicate("\n", timeout=LIMIT)

    assert out == "403\n"


def test_a_removed_index_is_served_no_more(ada: Machine, realm: Realm) -> None:
    """Also where a token in a variable, which no logout ends, would go on working."""
    ada.site.add_private("firm-lib")
    token = log_in(ada.user, realm, ada.site.index())
    url = f"{ada.site.index_url}/firm-lib/"
    script = f"{' '.join(CURL)} {url}; echo; read x; {' '.join(CURL)} {url}; echo"
    with ada.start("run", "--", "sh", "-c", script, CRANE_TOKEN_PYTHON=token) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "200\n"
        assert ada.user.crane("index", "remove", "python").returncode == 0
        until(lambda: not ada.bundles(), SOON + 1)
        out, _ = process.communicate("\n", timeout=LIMIT)

    assert out.splitlines()[-1] == "000"


def test_an_agent_that_is_told_to_stop_is_replaced_without_an_error(ada: Machine) -> None:
    """Whoever meets one that is about to leave waits for its end, and starts another."""
    assert ada.run("true").returncode == 0
    before = ada.agent()
    with connect(before) as agent, cranes(ada.user, 3, "run", "--", "echo", "done") as started:
        agent.stop()
        assert [(c.wait(), c.stdout) for c in started] == [(0, "done\n")] * 3
    assert wait_for_end(before.pid)
    assert len(ada.agents()) == 1


def test_a_folder_that_is_gone_is_no_matter(ada: Machine) -> None:
    gone = ada.user.home / "gone"

    done = ada.user.run(
        "sh", "-c", f"mkdir {gone} && cd {gone} && rmdir {gone} && {CRANE} run -- echo done"
    )

    assert done.stdout == "done\n", says(done)


def test_another_index_may_come_and_go(ada: Machine) -> None:
    register(ada.user, ada.site.index(name="other", url=f"{ada.site.crane_url}/other"))
    arguments = ("run", "--index", "python", "--", "sh", "-c", "echo; cat")
    with ada.start(*arguments) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert ada.user.crane("index", "remove", "other").returncode == 0
        pid = ada.agent().pid
        assert not wait_for_end(pid, SOON)
        assert len(ada.bundles()) == 1
        process.communicate(timeout=LIMIT)
        assert wait_for_end(pid, SOON + 5)


def test_files_are_private_and_removed_at_the_end(ada: Machine) -> None:
    with ada.start("run", "--", "sh", "-c", "echo; cat") as process:
        assert process.stdout is not None
        process.stdout.readline()
        for path in ada.paths.runtime.rglob("*"):
            private = 0o700 if path.is_dir() else 0o600
            assert stat.S_IMODE(path.stat().st_mode) == private, path
        for path in ada.paths.logs.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        (bundle,) = ada.bundles()
        assert len(list(bundle.parent.iterdir())) == 2  # that, and wget's settings
        process.communicate(timeout=LIMIT)
    until(lambda: not list(bundle.parent.iterdir()), SOON + 1)


def test_nobody_sees_a_secret(ada: Machine, realm: Realm) -> None:
    """Not in any command line, nor in the environment of any process but the view's own child."""
    token = log_in(ada.user, realm, ada.site.index())
    environ_of_child = "cat /proc/self/environ | tr '\\0' '\\n' | grep -a ^HTTPS_PROXY=; cat"
    with ada.start("run", "--", "sh", "-c", environ_of_child) as process:
        assert process.stdout is not None
        proxy = process.stdout.readline().strip()
        view = proxy.partition("//")[2].partition("@")[0].partition(":")[2]
        runtime = ada.agent()
        seen: dict[str, list[int]] = {"agent": [], "token": [], "view": []}
        secrets = {"agent": runtime.secret.reveal(), "token": token, "view": view}
        for folder in Path("/proc").glob("[0-9]*"):
            if int(folder.name) == os.getpid():
                continue
            for part in ("environ", "cmdline"):
                try:
                    parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                    content = (folder / part).read_bytes()
                except OSError:
                    continue
                # What the command itself has started is as good as itself, and may end meanwhile.
                whose = parent if parent == process.pid else int(folder.name)
                for name, secret in secrets.items():
                    if secret.encode() in content:
                        seen[name].append(whose)
        assert len(view) > 40
        assert seen["agent"] == []
        assert seen["token"] == []
        assert set(seen["view"]) == {process.pid}
        process.communicate(timeout=LIMIT)
    written = b"".join(p.read_bytes() for p in ada.user.home.rglob("*") if p.is_file())
    assert view.encode() not in written
    assert view not in ada.log()


def test_no_trust_store_is_touched(ada: Machine) -> None:
    stores = ["/etc/ssl/certs", "/usr/local/share/ca-certificates", "/etc/ca-certificates.conf"]

    def state() -> list[tuple[str, int]]:
        found = [Path(p) for p in stores if Path(p).exists()]
        every = [*found, *(f for p in found if p.is_dir() for f in p.iterdir())]
        return sorted((str(p), p.lstat().st_mtime_ns) for p in every)

    before = state()
    assert ada.run(*CURL, f"{ada.site.index_url}/").stdout == "200"

    assert before
    assert state() == before
    made = {p.relative_to(ada.user.home).parts[0] for p in ada.user.home.rglob("*")}
    assert made <= {".config", ".local", ".cache"}
