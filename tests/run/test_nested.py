"""crane inside `crane run` and `crane env`: never through itself, and back to what was before."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from run.kit import LIMIT, SOON, Machine, says, until
from support.pips import register
from support.processes import wait_for_end
from support.world import CRANE

ENV = "env -0"


def variables(text: str) -> dict[str, str]:
    """Read what `env -0` printed, without what every shell sets for itself."""
    found = dict(entry.partition("=")[::2] for entry in text.split("\0") if "=" in entry)
    return {n: v for n, v in found.items() if n not in {"_", "SHLVL", "PWD", "OLDPWD"}}


def test_a_nested_run_shares_the_outer_view(ada: Machine) -> None:
    done = ada.run("sh", "-c", f"{ENV}; echo -; {CRANE} run -- {ENV}")
    outer, _, inner = done.stdout.partition("-\n")

    assert done.returncode == 0, says(done)
    assert variables(outer) == variables(inner)
    assert variables(outer)["CRANE_ORIGINAL_HTTPS_PROXY"] == ada.site.net.url("ada:lovelace@")
    assert len(ada.agents()) == 1


def test_a_nested_run_that_wants_something_else_has_its_own_view(ada: Machine) -> None:
    register(ada.user, ada.site.index(name="other", url=f"{ada.site.crane_url}/other"))
    done = ada.run("sh", "-c", f"{ENV}; echo -; {CRANE} run --index python -- {ENV}")
    outer, _, inner = done.stdout.partition("-\n")

    before, after = variables(outer), variables(inner)
    assert before["HTTPS_PROXY"] != after["HTTPS_PROXY"], says(done)
    assert before["HTTPS_PROXY"].rpartition("@")[2] == after["HTTPS_PROXY"].rpartition("@")[2]
    kept = [n for n in before if n.startswith("CRANE_ORIGINAL_")]
    assert {n: before[n] for n in kept} == {n: after[n] for n in kept}
    assert len(ada.agents()) == 1


def test_a_shared_view_lives_as_long_as_its_last_process(ada: Machine) -> None:
    ada.site.add_private("firm-lib")
    url = f"{ada.site.index_url}/firm-lib/"
    inner = f"echo; cat <&3; curl -sS -o /dev/null -w '%{{http_code}}' {url}"
    script = f'exec 3<&0; {CRANE} run -- sh -c "{inner}" & read x; exit 0'
    with ada.start("run", "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        (view,) = ada.status()[0]["views"]
        assert len(view["owners"]) == 2
        process.stdin.write("\n")
        process.stdin.flush()
        process.wait(LIMIT)  # the outer one
        until(lambda: len(ada.status()[0]["views"][0]["owners"]) == 1, SOON + 1)
        out, _ = process.communicate(timeout=LIMIT)

    assert out == "200"
    until(lambda: not ada.bundles(), SOON + 1)


def test_cranes_own_commands_inside_go_their_own_way(ada: Machine) -> None:
    """By the user's proxy and not through the gateway, which would put a token on the way."""
    before = len(ada.site.crane.requests)

    done = ada.run(CRANE, "status", "--json")

    assert done.returncode == 0, says(done)
    assert json.loads(done.stdout)["data"]["indexes"][0]["logged_in"]
    assert len(ada.site.crane.requests) > before
    assert ada.site.net.refused == 0


def test_what_is_set_inside_counts_for_a_nested_run(ada: Machine) -> None:
    """A proxy that somebody sets inside is where the nested one's other hosts go."""
    done = ada.run("sh", "-c", f"HTTPS_PROXY=http://127.0.0.1:9 {CRANE} run -- {ENV}")
    found = variables(done.stdout)

    assert found["CRANE_ORIGINAL_HTTPS_PROXY"] == "http://127.0.0.1:9", says(done)
    assert found["CRANE_ORIGINAL_SSL_CERT_FILE"] == ada.site.net.ca_file
    assert len(ada.agents()) == 2


def shell(machine: Machine, script: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a shell of the user's."""
    return machine.user.run(*(command or ("bash", "-c")), script)


@pytest.mark.parametrize("command", [("bash", "-c"), ("sh", "-c")], ids=["bash", "sh"])
def test_a_shell_takes_the_variables_and_gives_them_back(
    ada: Machine, command: tuple[str, str]
) -> None:
    ada.site.add_private("firm-lib")
    url = f"{ada.site.index_url}/firm-lib/"
    script = (
        f'{ENV}; echo -; eval "$({CRANE} env)"; {ENV}; echo -; '
        f"curl -sS -o /dev/null -w '%{{http_code}}' {url}; echo -; "
        f'eval "$({CRANE} env --unset)"; {ENV}'
    )

    done = shell(ada, script, *command)
    before, inside, code, after = done.stdout.split("-\n")

    assert code == "200", says(done)
    assert variables(before) == variables(after)
    assert "@127.0.0.1:" in variables(inside)["HTTPS_PROXY"]
    assert ada.bundles() == []
    assert ada.status()[0]["views"] == []


def test_the_view_of_a_shell_stays_until_it_is_taken_back(ada: Machine) -> None:
    done = ada.user.crane("env", "--shell", "dotenv", CRANE_AGENT_IDLE="0.1")
    environ = {n: v.strip("'") for n, v in (s.split("=", 1) for s in done.stdout.splitlines())}
    pid = ada.agent().pid

    assert Path(environ["SSL_CERT_FILE"]).stat().st_mode & 0o777 == 0o600
    assert not wait_for_end(pid, SOON)
    (view,) = ada.status()[0]["views"]
    assert view["owners"] == []

    done = ada.user.crane("env", "--unset", "--shell", "bash", **environ)

    assert done.returncode == 0, says(done)
    assert ada.bundles() == []
    assert ada.user.crane("agent", "status").stdout


def test_env_once_more_replaces_the_view(ada: Machine) -> None:
    twice = f'eval "$({CRANE} env)"; ' * 2
    script = f'{ENV}; echo -; {twice}{ENV}; echo -; eval "$({CRANE} env --unset)"; {ENV}'

    done = shell(ada, script)

    before, inside, after = map(variables, done.stdout.split("-\n"))
    assert inside["CRANE_ORIGINAL_HTTPS_PROXY"] == ada.site.net.url("ada:lovelace@"), says(done)
    assert after == before
    assert ada.bundles() == []


def test_unset_closes_the_view_whatever_was_changed_since(ada: Machine) -> None:
    script = (
        f'eval "$({CRANE} env)"; export HTTPS_PROXY=http://127.0.0.1:9; '
        f'eval "$({CRANE} env --unset)"; echo $HTTPS_PROXY $SSL_CERT_FILE'
    )

    done = shell(ada, script)

    assert done.stdout == f"http://127.0.0.1:9 {ada.site.net.ca_file}\n", says(done)
    assert ada.bundles() == []


def test_env_inside_run_leaves_the_outer_view_alone(ada: Machine) -> None:
    ada.site.add_private("firm-lib")
    curl = f"curl -sS -o /dev/null -w '%{{http_code}} ' {ada.site.index_url}/firm-lib/"
    script = (
        f'old=$HTTPS_PROXY; eval "$({CRANE} env)"; {curl}; eval "$({CRANE} env --unset)"; '
        f"HTTPS_PROXY=$old {curl} -k"
    )

    done = ada.run("bash", "-c", script)

    assert done.stdout == "200 200 ", says(done)


def test_unset_without_set_says_so(ada: Machine) -> None:
    done = ada.user.crane("env", "--unset")

    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing to take back" in done.stderr


def test_github_gets_its_file_and_its_mask(ada: Machine, tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("EARLIER=1\n")

    done = ada.user.crane("env", "--shell", "github", GITHUB_ENV=str(file))

    assert done.returncode == 0, says(done)
    environ = read_github(file.read_text())
    secret = environ["HTTPS_PROXY"].partition("//")[2].partition("@")[0].partition(":")[2]
    assert done.stdout == f"::add-mask::{secret}\n"
    assert secret not in done.stderr
    assert environ["EARLIER"] == "1"

    file.write_text("")
    done = ada.user.crane("env", "--shell", "github", "--unset", **environ, GITHUB_ENV=str(file))
    after = read_github(file.read_text())

    assert done.stdout == ""
    assert after["HTTPS_PROXY"] == ada.site.net.url("ada:lovelace@")
    assert after["SSL_CERT_FILE"] == ada.site.net.ca_file
    assert Path(after["CURL_CA_BUNDLE"]).is_file()  # an empty one would be an error of curl's
    assert ada.bundles() == []


def read_github(text: str) -> dict[str, str]:
    """Read a file of GITHUB_ENV as the runner does."""
    found: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, mark, end = line.partition("<<")
        if not mark:
            name, _, found[name] = line.partition("=")
            continue
        value = []
        for part in lines:
            if part == end:
                break
            value.append(part)
        found[name] = "\n".join(value)
    return found


def test_every_shell_is_written_for(ada: Machine) -> None:
    for name, start in (
        ("bash", "export "), ("zsh", "export "), ("fish", "set -gx "), ("powershell", "$env:"),
        ("cmd", 'set "'), ("dotenv", ""),
    ):  # fmt: skip
        done = ada.user.crane("env", "--shell", name, check=True)
        assert all(line.startswith(start) for line in done.stdout.splitlines()), name
        assert "HTTPS_PROXY" in done.stdout
