"""By default pip sees the real URLs, and nothing that it writes names this machine."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from forward.net import Net
from forward.rig import Site
from support.pips import (
    EVERY_FORWARD_PIP,
    NEWEST,
    OLDEST_AND_NEWEST,
    RUNNING,
    MakeEnvironment,
    Pip,
    agents,
    installed,
    make_built_sdist,
    packages,
    register,
)
from support.world import User

Telling = Callable[..., Any]
LOOPBACK = re.compile(rb"127\.\d+\.\d+\.\d+|localhost|\[::1\]")


def says(done: CompletedProcess[str]) -> str:
    return f"{done.args}\n{done.returncode}\n{done.stdout}\n{done.stderr}"


CRANES = {(".config", "crane"), (".cache", "crane"), (".local", "share", "crane")}


def written(user: User, *folders: Path) -> Iterator[Path]:
    """Yield what pip has written: not crane's own files, nor pip itself."""
    for folder in (user.home, *folders):
        for path in folder.rglob("*"):
            place = path.relative_to(folder).parts
            if place[:2] in CRANES or place[:3] in CRANES or place[2:4] == ("site-packages", "pip"):
                continue
            if path.is_file() and not path.is_symlink():
                yield path


def leaks(user: User, *folders: Path) -> list[str]:
    """Return each place at which something names this machine, or the port of an agent."""
    ports = [f":{runtime.port}".encode() for runtime in agents(user)]
    assert ports
    found = []
    for path in written(user, *folders):
        content = path.read_bytes()
        if LOOPBACK.search(content) or any(port in content for port in ports):
            found.append(str(path))
    return found


def urls_of(report: Path) -> set[str]:
    return {i["download_info"]["url"] for i in json.loads(report.read_text())["install"]}


@pytest.fixture
def stocked(site: Site) -> Site:
    """Give private and public projects, among them one that needs a private one to be built."""
    site.add_private("secret-lib", requires=["secret-dep", "open-lib"])
    site.add_private("secret-dep", "2.0")
    site.add_private("secret-dep", "3.0")
    site.add_private("secret-backend", files={"secret_backend.py": ""})
    site.add_public("open-lib")
    for name in ("secret-lib", "secret-dep", "secret-backend", "secret-source"):
        site.add_public(name, "9.0")
    make_built_sdist(
        site.private / "secret-source", "secret-source",
        build_requires=["secret-backend"], prologue="import secret_backend",
    )  # fmt: skip
    return site


def keeps_private_names(site: Site) -> bool:
    return not any("secret" in request.path for request in site.public_server.requests)


@pytest.mark.parametrize("pip", EVERY_FORWARD_PIP, ids=str)
def test_index_lines_constraints_and_isolated_builds_leave_real_urls_everywhere(
    pip: Pip, stocked: Site, ada: User, make_environment: MakeEnvironment
) -> None:
    folder = make_environment(pip)
    sub = ada.home / "sub"
    sub.mkdir()
    (sub / "indexes.txt").write_text(
        f"--index-url {stocked.index_url}\n--extra-index-url {stocked.public_url}\n-c limits.txt\n"
    )
    (sub / "limits.txt").write_text("secret-dep<3\n")
    (ada.home / "all.txt").write_text("-r sub/indexes.txt\nsecret-lib\nsecret-source\n")

    done = ada.crane(
        "pip", "--python", str(folder), "install", "-r", "all.txt",
        "--report", "report.json", "--log", "log.txt", "-v",
    )  # fmt: skip

    assert done.returncode == 0, says(done)
    assert keeps_private_names(stocked)
    assert installed(folder) == {
        "secret_lib-1.0", "secret_dep-2.0", "open_lib-1.0", "secret_source-1.0",
    }  # fmt: skip
    assert urls_of(ada.home / "report.json") == {
        f"{stocked.index_url}/secret-lib/secret_lib-1.0-py3-none-any.whl",
        f"{stocked.index_url}/secret-dep/secret_dep-2.0-py3-none-any.whl",
        f"{stocked.index_url}/secret-source/secret_source-1.0.tar.gz",
        f"{stocked.public_url}/open-lib/open_lib-1.0-py3-none-any.whl",
    }
    assert not LOOPBACK.search((done.stdout + done.stderr).encode())
    names = {path.name for path in written(ada, folder)}
    assert {"report.json", "log.txt", "RECORD"} <= names
    assert not leaks(ada, folder)
    # The whole way was ours and the user's own proxy; the token went nowhere else.
    assert not stocked.logins_seen_by_public()


@pytest.mark.parametrize("pip", OLDEST_AND_NEWEST, ids=str)
@pytest.mark.parametrize("order", ["private first", "public first"])
def test_a_higher_public_version_never_wins_whichever_index_is_named_first(
    order: str, pip: Pip, stocked: Site, ada: User, make_environment: MakeEnvironment
) -> None:
    folder = make_environment(pip)
    urls = [stocked.index_url, stocked.public_url][:: 1 if order == "private first" else -1]

    done = ada.crane(
        "pip", "--python", str(folder), "install",
        "-i", urls[0], "--extra-index-url", urls[1], "secret-lib",
    )  # fmt: skip

    assert done.returncode == 0, says(done)
    assert installed(folder) == {"secret_lib-1.0", "secret_dep-3.0", "open_lib-1.0"}
    assert keeps_private_names(stocked)


def test_the_only_registered_index_needs_not_be_named_and_serves_its_fallback(
    stocked: Site, ada: User, make_environment: MakeEnvironment
) -> None:
    folder = make_environment()
    ada.variables["VIRTUAL_ENV"] = str(folder)

    done = ada.crane("pip", "install", "secret-lib", "--report", "report.json")

    assert done.returncode == 0, says(done)
    assert f"Looking in indexes: {stocked.index_url}\n" in done.stdout
    open_lib = f"{stocked.public_url}/open-lib/open_lib-1.0-py3-none-any.whl"
    assert open_lib in urls_of(ada.home / "report.json")
    assert not leaks(ada, folder)


@pytest.mark.parametrize("pip", OLDEST_AND_NEWEST, ids=str)
def test_an_editable_project_is_built_with_private_requirements(
    pip: Pip, stocked: Site, ada: User, make_environment: MakeEnvironment
) -> None:
    folder = make_environment(pip)
    make_built_sdist(
        ada.home, "mine", build_requires=["secret-backend"], prologue="import secret_backend"
    )
    shutil.unpack_archive(ada.home / "mine-1.0.tar.gz", ada.home)

    done = ada.crane(
        "pip", "--python", str(folder), "install", "-e", "./mine-1.0",
        PIP_EXTRA_INDEX_URL=stocked.public_url,
    )  # fmt: skip

    assert done.returncode == 0 or "editable" in done.stderr, says(done)
    built = [r.path for r in stocked.crane.requests if r.path.endswith("any.whl")]
    assert any("secret_backend" in path for path in built), says(done)
    assert keeps_private_names(stocked)
    assert not leaks(ada, folder)


def test_a_direct_reference_gets_the_token_and_is_recorded_as_it_was_given(
    stocked: Site, ada: User, make_environment: MakeEnvironment
) -> None:
    folder = make_environment()
    url = f"{stocked.index_url}/secret-dep/secret_dep-2.0-py3-none-any.whl"

    done = ada.crane("pip", "--python", str(folder), "install", f"secret-dep @ {url}")

    assert done.returncode == 0, says(done)
    (found,) = packages(folder).glob("secret_dep-*/direct_url.json")
    assert json.loads(found.read_text())["url"] == url


# Each with what it leaves.
COMMANDS = {
    "download -d out secret-lib": "out/secret_lib-1.0-py3-none-any.whl",
    "wheel -w out secret-source": "out/secret_source-1.0-py3-none-any.whl",
    "index versions secret-dep": "",
    "lock -o pylock.toml secret-lib": "pylock.toml",
    "install --dry-run --report report.json secret-lib": "report.json",
}


@pytest.mark.parametrize(("line", "leaves"), COMMANDS.items(), ids=COMMANDS)
def test_other_commands_leave_real_urls_too(
    line: str, leaves: str, stocked: Site, ada: User, make_environment: MakeEnvironment
) -> None:
    folder = make_environment(Pip(RUNNING, NEWEST))
    options = ["--extra-index-url", stocked.public_url, "--log", "log.txt"]

    done = ada.crane("pip", "--python", str(folder), *line.split(), *options)

    assert done.returncode == 0, says(done)
    assert not leaves or (ada.home / leaves).exists()
    if leaves.endswith((".toml", ".json")):
        # Pages without hashes: pip has downloaded what it writes hashes down of.
        text = (ada.home / leaves).read_text()
        assert stocked.index_url in text
        assert text.count("sha256") >= 3
    assert not LOOPBACK.search((done.stdout + done.stderr).encode())
    assert keeps_private_names(stocked)
    assert not leaks(ada, folder)


def test_the_available_versions_are_the_private_ones(
    stocked: Site, ada: User, make_environment: MakeEnvironment
) -> None:
    folder = make_environment(Pip(RUNNING, NEWEST))

    done = ada.crane(
        "pip", "--python", str(folder), "index", "versions", "secret-dep",
        "--extra-index-url", stocked.public_url,
    )  # fmt: skip

    assert "Available versions: 3.0, 2.0" in done.stdout, says(done)


def test_pips_own_settings_name_both_indexes(
    stocked: Site, ada: User, make_environment: MakeEnvironment
) -> None:
    """In the files of two levels, each as it stands for a pip without crane."""
    folder = make_environment()
    user_file = ada.home / ".config" / "pip" / "pip.conf"
    user_file.parent.mkdir(parents=True)
    user_file.write_text(f"[global]\nindex-url = {stocked.public_url}\n")
    (folder / "pip.conf").write_text(f"[install]\nextra-index-url =\n    {stocked.index_url}\n")
    before = (user_file.read_bytes(), (folder / "pip.conf").read_bytes())

    done = ada.crane("pip", "--python", str(folder), "install", "secret-lib")

    assert done.returncode == 0, says(done)
    assert installed(folder) == {"secret_lib-1.0", "secret_dep-3.0", "open_lib-1.0"}
    assert keeps_private_names(stocked)
    assert before == (user_file.read_bytes(), (folder / "pip.conf").read_bytes())


@pytest.fixture
def enclosed(stocked: Site, net: Net, ada: User) -> Iterator[str]:
    """Let only pip's own options lead out, and only they vouch for a host with links.

    Yields the URL of the links.
    """
    del ada.variables["HTTPS_PROXY"], ada.variables["SSL_CERT_FILE"]
    # The gateway trusts the index by crane's own setting, which is no matter of pip's.
    register(ada, stocked.index(ca_file=net.ca_file, fallback="none"))
    net.login = "ada:lovelace"
    with net.host(stocked.public_server, "links.test") as url:
        yield f"{url}/simple/open-lib/"


@pytest.mark.parametrize("pip", OLDEST_AND_NEWEST, ids=str)
def test_the_command_lines_own_proxy_and_certificates_lead_on(
    pip: Pip, enclosed: str, net: Net, ada: User, make_environment: MakeEnvironment
) -> None:
    folder = make_environment(pip)

    done = ada.crane(
        "pip", "--python", str(folder), "--proxy", net.url("ada:lovelace@"), "--retries=0",
        "install", f"--cert={net.ca_file}", "secret-lib", "--find-links", enclosed,
    )  # fmt: skip

    assert done.returncode == 0, says(done)
    assert installed(folder) == {"secret_lib-1.0", "secret_dep-3.0", "open_lib-1.0"}
    assert {"index.firm.test:443", "links.test:443"} == set(net.targets)
    assert "lovelace" not in done.stdout + done.stderr


@pytest.mark.parametrize("pip", OLDEST_AND_NEWEST, ids=str)
@pytest.mark.parametrize("isolated", [(), ("--isolated",)], ids=["", "isolated"])
def test_so_do_those_of_pips_files(
    isolated: tuple[str, ...],
    pip: Pip,
    enclosed: str,
    net: Net,
    ada: User,
    make_environment: MakeEnvironment,
) -> None:
    folder = make_environment(pip)
    (folder / "pip.conf").write_text(
        f"[global]\nproxy = {net.url('ada:lovelace@')}\n[install]\ncert = {net.ca_file}\n"
        f"find-links = {enclosed}\nretries = 0\n"
    )

    done = ada.crane("pip", "--python", str(folder), *isolated, "install", "secret-lib")

    assert done.returncode == 0, says(done)
    assert installed(folder) == {"secret_lib-1.0", "secret_dep-3.0", "open_lib-1.0"}
    assert {"index.firm.test:443", "links.test:443"} == set(net.targets)


def test_without_them_neither_the_links_nor_the_index_are_reached(
    enclosed: str, net: Net, ada: User, make_environment: MakeEnvironment
) -> None:
    """That the tests above can fail."""
    folder = make_environment()
    line = ("pip", "--python", str(folder), "install", "--retries=0", "secret-lib",
            "--find-links", enclosed)  # fmt: skip

    no_proxy = ada.crane(*line)
    no_cert = ada.crane(*line, "--proxy", net.url("ada:lovelace@"))

    assert no_proxy.returncode == no_cert.returncode == 1
    assert not installed(folder)
    assert "open-lib" in no_cert.stdout + no_cert.stderr, says(no_cert)


def test_a_certificate_file_that_is_none_is_told_in_one_line(ada: User, telling: Telling) -> None:
    done = ada.crane(
        "pip", "--python", str(telling().environment), "install", "--cert", "gone.pem", "x"
    )

    assert (done.returncode, done.stderr.count("\n")) == (34, 1), says(done)
    assert "gone.pem" in done.stderr
