"""pip's command line, read as pip reads it."""

from __future__ import annotations

import pytest

from crane_cli.commands.pip import split_off
from crane_core.clients.pip_arguments import read_arguments

URL = "https://crane.example.com/python"
OTHER = "https://other.example.com/simple"

NAMED = {
    f"install -i {URL} x": URL,
    f"install -i{URL} x": URL,
    f"install -qi{URL} x": URL,
    f"install -qi {URL} x": URL,
    f"install -vvqi{URL} x": URL,
    f"install --index-url {URL} x": URL,
    f"install --index-url={URL} x": URL,
    f"install --index-u {URL} x": URL,
    f"install --ind={URL} x": URL,
    f"install --pypi-url {URL} x": URL,
    f"install --pypi-url={URL} x": URL,
    f"install --pyp {URL} x": URL,
    f"install x -i {URL}": URL,
    f"install -r file.txt -i {URL}": URL,
    f"install -rfile.txt -i {URL}": URL,
    f"install -i {OTHER} -i {URL} x": URL,
    f"install --index-url={OTHER} -i{URL} x": URL,
    f"download -d out -i {URL} x": URL,
    f"wheel -w out -i {URL} x": URL,
    f"index versions -i {URL} x": URL,
    f"list --outdated -i {URL}": URL,
    f"--proxy http://p:1 install -i {URL} x": URL,
    f"install -i {URL} -- x": URL,
    "install x": None,
    f"install -- -i {URL}": None,
    f"install --extra-index-url {URL} x": None,
    f"install --extra-index-url={URL} x": None,
    # A value is no option, whatever it looks like.
    "install -rfile x": None,
    "install -tindex x": None,
    "install -Cinstall-args=--tags=runtime x": None,
    "install -Csetup-args=-Dilp64=true x": None,
    "install -C -ithing=1 x": None,
    "install --config-settings -ithing=1 x": None,
    "install --prefix -ithing x": None,
    "install -r -i x": None,
    "install --target -i x": None,
    "install --log -i x": None,
    "install --no-binary --index-url x": None,
    f"install -r -i {OTHER} -i {URL}": URL,
}


@pytest.mark.parametrize(("line", "url"), NAMED.items(), ids=NAMED)
def test_the_index_url_is_found_where_pip_finds_it(line: str, url: str | None) -> None:
    assert read_arguments(line.split()).index_url == url


NEEDS = {
    "install x": True,
    "download x": True,
    "wheel x": True,
    "index versions x": True,
    "lock x": True,
    "list --outdated": True,
    "list -o": True,
    "list --uptodate": True,
    "list -u": True,
    "list -ov": True,
    "list -vo": True,
    "list --outd": True,
    "list --format json -o": True,
    "install -e .": True,
    "-q install x": True,
    "--proxy X install x": True,
    "--log F install x": True,
    "--log=F install x": True,
    "--timeout 5 install x": True,
    "--retries 5 --trusted-host h install x": True,
    "--cert F --client-cert G install x": True,
    "--exists-action w install x": True,
    "--cache-dir D install x": True,
    "--use-feature fast-deps install x": True,
    "--timeo 5 install x": True,
    "--prox X install x": True,
    "--cache D install x": True,
    "install -- --no-index": True,
    "install -- --help": True,
    "install --log --no-index x": True,
    "install x --no-index": False,
    "install --no-index -f wheels x": False,
    "install --no-ind -f wheels x": False,
    "install --help": False,
    "install -h": False,
    "install -qh": False,
    "list": False,
    "list --format json": False,
    "list --format freeze -e": False,
    "freeze": False,
    "show install": False,
    "show -f x": False,
    "uninstall -y x": False,
    "check": False,
    "config list": False,
    "cache dir": False,
    "inspect": False,
    "hash f": False,
    "help install": False,
    "--version": False,
    "--help": False,
    "-V": False,
    "": False,
    "--log install": False,
    "--log install list": False,
}


@pytest.mark.parametrize(("line", "needs"), NEEDS.items(), ids=lambda v: str(v) or "nothing")
def test_only_commands_that_fetch_need_an_index(line: str, needs: bool) -> None:
    assert read_arguments(line.split()).needs_index is needs


EXTRA = {
    f"install --extra-index-url {URL} x": (URL,),
    f"install --extra-index-url={URL} --extra-index-url {OTHER} x": (URL, OTHER),
    f"install --extra {URL} x": (URL,),
    f"install -i {URL} x": (),
    f"install -- --extra-index-url {URL}": (),
}


@pytest.mark.parametrize(("line", "urls"), EXTRA.items(), ids=EXTRA)
def test_extra_indexes_are_seen(line: str, urls: tuple[str, ...]) -> None:
    assert read_arguments(line.split()).extra_index_urls == urls


PROXIES = {
    "install --proxy http://p:1 x": "http://p:1",
    "install --proxy=http://p:1 x": "http://p:1",
    "--proxy http://p:1 install x": "http://p:1",
    "--proxy=http://p:1 install --proxy http://q:2 x": "http://q:2",
    "install --prox http://p:1 x": "http://p:1",
    "install --progress-bar off x": None,
    "install -- --proxy http://p:1": None,
    "install x": None,
}


@pytest.mark.parametrize(("line", "proxy"), PROXIES.items(), ids=PROXIES)
def test_the_proxy_is_seen(line: str, proxy: str | None) -> None:
    assert read_arguments(line.split()).proxy == proxy


# Each pip reads the shortest beginning that is clear among the options of its own command.
SHORTEST = {
    f"install --in {URL} x": (URL, ()),
    f"download --in={URL} x": (URL, ()),
    f"index versions --in {URL} x": (URL, ()),
    f"install --pyp {URL} x": (URL, ()),
    f"install --ext {URL} x": (None, (URL,)),
    f"install --ext={URL} x": (None, (URL,)),
}


@pytest.mark.parametrize(("line", "found"), SHORTEST.items(), ids=SHORTEST)
def test_an_index_is_found_by_the_shortest_name_that_pip_takes(
    line: str, found: tuple[str | None, tuple[str, ...]]
) -> None:
    command = read_arguments(line.split())
    assert (command.index_url, command.extra_index_urls) == found


GATEWAY = "--index-url G --extra-index-url G1 --extra-index-url G2"
REPLACED = {
    f"install -i {URL} -- x": f"install {GATEWAY} -- x",
    f"install x -i{URL} --pre": f"install {GATEWAY} x --pre",
    f"install x --index-url={URL}": f"install {GATEWAY} x",
    f"install --extra-index-url {URL} x --extra-index-url={OTHER}": f"install {GATEWAY} x",
    f"install --pypi-url {URL} --extra {OTHER} x": f"install {GATEWAY} x",
    "--proxy http://p:1 -q install x --prox=http://q:2": f"-q install {GATEWAY} x",
    f"-i {URL} install x": f"install {GATEWAY} x",
    f"index versions x -i {URL}": f"index {GATEWAY} versions x",
    "install x -r": f"install {GATEWAY} x -r",
    f"install -r -i {URL} x": f"install {GATEWAY} -r -i {URL} x",
    f"install x -- -i {URL}": f"install {GATEWAY} x -- -i {URL}",
}


@pytest.mark.parametrize(("line", "expected"), REPLACED.items(), ids=REPLACED)
def test_the_gateways_indexes_stand_behind_the_command_in_place_of_the_users(
    line: str, expected: str
) -> None:
    command = read_arguments(line.split())

    assert " ".join(command.with_indexes("G", ["G1", "G2"])) == expected


def test_letters_that_stand_before_an_index_in_one_argument_are_kept() -> None:
    command = read_arguments(["install", f"-qi{URL}", "x"])

    assert command.with_indexes("G", []) in (
        ["install", "--index-url", "G", "-q", "x"],
        ["install", "-q", "--index-url", "G", "x"],
    )


FILES = {
    "install -r a.txt x": "install --requirement A x",
    "install -ra.txt": "install --requirement A",
    "install --requirement=a.txt -c a.txt": "install --requirement A --constraint A",
    "install -qra.txt --cons a.txt": "install -q --requirement A --constraint A",
    "install --requirem a.txt": "install --requirement A",
    "install --build-constraint a.txt x": "install --build-constraint A x",
    "install -r b.txt -- -r a.txt": "install -r b.txt -- -r a.txt",
    "install -t a.txt x": "install -t a.txt x",
}


@pytest.mark.parametrize(("line", "expected"), FILES.items(), ids=FILES)
def test_a_requirements_file_is_replaced_wherever_pip_reads_one(line: str, expected: str) -> None:
    command = read_arguments(line.split())

    replaced = command.with_requirements({"a.txt": "A", "b.txt": "b.txt"}.__getitem__)

    assert " ".join(replaced.arguments) == expected


PYTHONS = {
    "--python P install x": ("P", "install x"),
    "install --python P x": ("P", "install x"),
    "install --python=P x": ("P", "install x"),
    "--python A install --python B x": ("B", "install x"),
    "install --python-version 3.9 x": (None, "install --python-version 3.9 x"),
    "install -- --python P": (None, "install -- --python P"),
    "install x --python": ("", "install x"),
    "install x": (None, "install x"),
}


@pytest.mark.parametrize(("line", "split"), PYTHONS.items(), ids=PYTHONS)
def test_python_is_taken_out_wherever_pip_takes_it(
    line: str, split: tuple[str | None, str]
) -> None:
    python, rest = split_off("--python", line.split())
    assert (python, " ".join(rest)) == split
