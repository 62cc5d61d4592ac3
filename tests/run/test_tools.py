"""Real tools below `crane run`: real URLs, the index's content, other hosts untouched."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import sys
from pathlib import Path

import pytest
import trustme
from forward.rig import UV
from run.kit import Machine, says
from support.pips import OLDEST_AND_NEWEST, MakeEnvironment, Pip, packages

from crane_devserver.running import serve_in_thread

INSIDE = "https://other.test"


class Plain:
    """A host that has nothing to do with crane."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []

    async def __call__(self, scope, receive, send) -> None:
        self.seen.append({k.decode(): v.decode() for k, v in scope["headers"]})
        headers = [(b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"other"})


@pytest.mark.parametrize("pip", OLDEST_AND_NEWEST, ids=str)
def test_pip_installs_under_real_urls(
    ada: Machine, make_environment: MakeEnvironment, pip: Pip, tmp_path: Path
) -> None:
    ada.site.add_private("firm-lib", requires=["open-lib"])
    ada.site.add_public("open-lib")
    python = str(make_environment(pip) / "bin" / "python")
    report = tmp_path / "report.json"

    done = ada.run(
        python, "-m", "pip", "install", "firm-lib", "--index-url", ada.site.index_url,
        "--extra-index-url", ada.site.public_url, "--report", str(report),
    )  # fmt: skip

    assert done.returncode == 0, says(done) + ada.log()
    urls = {item["download_info"]["url"] for item in json.loads(report.read_text())["install"]}
    assert urls == {
        f"{ada.site.index_url}/firm-lib/firm_lib-1.0-py3-none-any.whl",
        f"{ada.site.public_url}/open-lib/open_lib-1.0-py3-none-any.whl",
    }
    assert ada.site.logins_seen_by_public() == []


def test_without_crane_the_same_command_gets_nothing(
    ada: Machine, make_environment: MakeEnvironment
) -> None:
    """The control of the test above: it is crane that lets pip in."""
    ada.site.add_private("firm-lib")
    python = str(make_environment(Pip("3.11", "24.0")) / "bin" / "python")
    command = (python, "-m", "pip", "download", "firm-lib", "--index-url", ada.site.index_url)

    bare = ada.user.run(*command, PIP_CERT=ada.site.net.ca_file)
    inside = ada.run(*command)

    assert bare.returncode != 0
    assert inside.returncode == 0, says(inside)


def write_project(ada: Machine) -> Path:
    """Make a uv project that names both indexes."""
    ada.site.add_private("firm-lib", requires=["open-lib"])
    ada.site.add_public("open-lib")
    project = ada.user.home / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.11"\n'
        'dependencies = ["firm-lib"]\n'
        f'[[tool.uv.index]]\nname = "firm"\nurl = "{ada.site.index_url}"\n'
        f'[[tool.uv.index]]\nname = "open"\nurl = "{ada.site.public_url}"\ndefault = true\n'
    )
    return project


def with_uv() -> dict[str, str]:
    return {"PATH": f"{Path(UV).parent}{os.pathsep}{os.environ['PATH']}"}


def test_crane_uv_locks_and_syncs(ada: Machine) -> None:
    project = write_project(ada)
    directory = ("--directory", str(project))

    locked = ada.user.crane("uv", "lock", *directory, **with_uv())
    synced = ada.user.crane("uv", "sync", "--locked", *directory, **with_uv())

    assert locked.returncode == 0, says(locked) + ada.log()
    assert synced.returncode == 0, says(synced)
    lock = (project / "uv.lock").read_text()
    assert f'registry = "{ada.site.index_url}"' in lock
    assert "127.0.0.1" not in lock
    assert list(packages(project / ".venv").glob("firm_lib*"))


def test_crane_uv_logs_in_first(machine: Machine) -> None:
    """At the registered index that the project names; its browser approves."""
    project = write_project(machine)
    machine.user.variables.pop("CI")

    done = machine.user.crane("uv", "lock", "--directory", str(project), **with_uv())

    assert done.returncode == 0, says(done) + machine.log()
    assert "To log in to python" in done.stderr


def test_a_missing_uv_is_one_line(machine: Machine) -> None:
    done = machine.user.crane("uv", "lock", PATH="/nowhere")

    assert done.returncode == 127
    assert done.stderr.count("\n") == 1
    assert "pip install uv" in done.stderr
    assert machine.agents() == []


def test_other_hosts_are_reached_as_before(ada: Machine) -> None:
    """By the child's own proxy with its login, and with the host's own certificate."""
    plain = Plain()
    with ada.site.net.host(plain, "other.test"):
        done = ada.run("curl", "-sSv", INSIDE)

    assert done.stdout == "other", says(done)
    assert "trustme" in done.stderr  # who issued the certificate
    assert "authorization" not in plain.seen[0]
    assert ada.site.net.targets[-1] == "other.test:443"


@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "https_proxy"])
def test_a_proxy_in_another_variable_goes_on_counting(ada: Machine, name: str) -> None:
    """For the gateway's own way to the index, and for the child's to other hosts."""
    proxy = ada.user.variables.pop("HTTPS_PROXY")
    with ada.site.net.host(Plain(), "other.test"):
        done = ada.run("curl", "-sS", f"{ada.site.index_url}/", INSIDE, **{name: proxy})

    assert done.stdout.endswith("other"), says(done)
    assert "index.firm.test:443" in ada.site.net.targets


def test_curl_gets_the_index_with_the_views_certificate(ada: Machine) -> None:
    ada.site.add_private("firm-lib")

    done = ada.run("curl", "-sSv", f"{ada.site.index_url}/firm-lib/")

    assert "firm_lib-1.0" in done.stdout, says(done)
    assert "trustme" not in done.stderr


@pytest.mark.skipif(not shutil.which("wget"), reason="no wget here")
def test_wget_gets_the_index_with_its_users_own_settings(ada: Machine) -> None:
    """Built with GnuTLS, it reads no variable for its certificates."""
    ada.site.add_private("firm-lib")
    plain = Plain()
    (ada.user.home / ".wgetrc").write_text("user_agent = my own wget\n")
    with ada.site.net.host(plain, "other.test"):
        done = ada.run("wget", "-qO-", f"{ada.site.index_url}/firm-lib/", INSIDE)

    assert "firm_lib-1.0" in done.stdout, says(done)
    assert done.stdout.endswith("other")
    assert plain.seen[0]["user-agent"] == "my own wget"


def test_the_view_knows_its_child_only_by_the_secret(ada: Machine) -> None:
    """Without it there is no way through, and nothing is trusted without the bundle."""
    script = (
        'port=${HTTPS_PROXY##*:}; curl -sS -x "http://127.0.0.1:$port" "$1"; echo "no secret: $?"; '
        'curl -sS --cacert "$CRANE_ORIGINAL_SSL_CERT_FILE" "$1"; echo "no bundle: $?"'
    )

    done = ada.run("sh", "-c", script, "sh", f"{ada.site.index_url}/firm-lib/")

    assert "no secret: 56" in done.stdout, says(done)
    assert "no bundle: 60" in done.stdout, says(done)


def test_only_the_named_index_is_opened(ada: Machine) -> None:
    done = ada.user.crane("run", "--index", "nothing", "true")
    assert done.returncode == 5
    assert "nothing" in done.stderr

    done = ada.user.crane("run", "--index", ada.site.index_url, "--", "true")
    assert done.returncode == 0


def test_a_firms_certificate_in_any_variable_goes_on_counting(ada: Machine, tmp_path: Path) -> None:
    authority, firm = trustme.CA(), tmp_path / "firm.pem"
    authority.cert_pem.write_to_path(firm)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("firm.test").configure_cert(context)
    with serve_in_thread(Plain(), ssl=context) as local:
        ada.site.net.places["firm.test:443"] = int(local.rpartition(":")[2])

        unknown = ada.run("curl", "-sS", "https://firm.test")
        known = ada.run("curl", "-sS", "https://firm.test", REQUESTS_CA_BUNDLE=str(firm))

    assert unknown.returncode == 60, says(unknown)
    assert known.stdout == "other", says(known)


def test_a_broken_certificate_file_is_one_line(ada: Machine) -> None:
    done = ada.run("true", CURL_CA_BUNDLE="/nowhere/firm.pem")

    assert done.returncode == 34
    assert done.stderr.startswith("crane: CURL_CA_BUNDLE names /nowhere/firm.pem: ")
    assert done.stderr.count("\n") == 1
    assert ada.agents() == []


def test_builds_of_uv_see_no_login(ada: Machine) -> None:
    """What `crane run` starts is the user's own command, and sees what they have set."""
    environ = {"CRANE_TOKEN_OTHER": "t0ken", "CRANE_CLIENT_SECRET_OTHER": "s3cret"}
    show = (
        sys.executable,
        "-c",
        "import os; print(*sorted(n for n in os.environ if 'OTHER' in n))",
    )

    inside = ada.run(*show, **environ)
    built = ada.user.crane("uv", "run", "--no-project", *show, **environ, **with_uv())

    assert inside.stdout.split() == sorted(environ), says(inside)
    assert built.stdout == "\n", says(built)
