"""What a pip command becomes on the forward route, before anything is started."""

from __future__ import annotations

import configparser
import os
from dataclasses import replace
from pathlib import Path

import pytest

from crane_core.clients.child_environment import CHANGED, child_environment
from crane_core.clients.pip import choose_indexes, private_config
from crane_core.clients.pip_arguments import read_arguments
from crane_core.clients.pip_forward import DIRECT, pip_environment, way_out, wish_of
from crane_core.clients.pip_requirements import RequirementsRewriter, in_no_folder
from crane_core.config.model import Configuration, Index
from crane_core.gateway.views import Opened, Wish
from crane_core.secret import Secret

URL = "https://crane.example.com/python"
SECOND = "https://second.example.com/python"
OTHER = "https://other.example.com/simple"
PYPI = "https://pypi.org/simple"
PROXY = "http://me:hunter2@proxy.example.com:3128"
FIRST = Index("first", URL, issuer="https://login.example.com")
BOTH = Configuration({"first": FIRST, "second": replace(FIRST, name="second", url=SECOND)})
ONE = Configuration({"first": FIRST})


def wish(
    configuration: Configuration, named: str | None, *extra: str, configured: str | None = None
) -> Wish:
    indexes = choose_indexes(configuration, named, list(extra), configured)
    return wish_of(configuration, indexes, {}, 1)


def test_indexes_own_names_in_the_order_in_which_pip_has_them() -> None:
    assert wish(BOTH, URL, OTHER, SECOND).indexes == ("first", "second")
    assert wish(BOTH, SECOND, OTHER, URL).indexes == ("second", "first")
    assert wish(BOTH, OTHER, SECOND, URL).indexes == ("second", "first")
    assert wish(BOTH, None, SECOND, configured=URL).indexes == ("first", "second")


def test_what_is_not_registered_is_opened_too() -> None:
    assert wish(BOTH, URL, OTHER, f"{SECOND}/simple/", "/srv").others == (OTHER, "/srv")
    assert wish(ONE, OTHER, URL).others == (OTHER,)


def test_the_fallback_is_served_where_pip_would_not_ask_it_by_itself() -> None:
    assert wish(ONE, None).serves_fallback
    assert wish(ONE, f"{URL}/simple/").serves_fallback
    assert wish(ONE, URL, OTHER).serves_fallback
    # It is there under its own URL.
    assert not wish(ONE, URL, f"{PYPI}/").serves_fallback
    # What was named in its place says where the rest comes from.
    assert not wish(ONE, OTHER, URL).serves_fallback
    assert not wish(BOTH, OTHER, URL, SECOND).serves_fallback
    none = Configuration({"first": replace(FIRST, fallback="none")})
    assert not wish(none, None).serves_fallback


def test_an_index_is_put_in_only_where_pip_would_not_find_it() -> None:
    assert choose_indexes(ONE, URL, [], None).is_named
    assert choose_indexes(ONE, OTHER, [URL], None).is_named
    assert choose_indexes(ONE, None, [], f"{URL}/simple").is_named
    assert not choose_indexes(ONE, None, [], None).is_named
    assert not choose_indexes(ONE, None, [], OTHER).is_named
    assert not choose_indexes(ONE, None, [URL], OTHER).is_named


LINES = {
    "install -i U x": "install -i U x",
    "install x --extra-index-url=U -rfile": "install x --extra-index-url=U -rfile",
    "--proxy P -q install --cert C x": "-q install x",
    "install --prox=P --cert=C -- --proxy P": "install -- --proxy P",
    "install -t --cert x": "install -t --cert x",
    "install --client-cert C x": "install --client-cert C x",
}


@pytest.mark.parametrize(("line", "left"), LINES.items(), ids=LINES)
def test_only_proxy_and_certificates_are_taken_off(line: str, left: str) -> None:
    assert " ".join(read_arguments(line.split()).without_network(None)) == left


def test_the_default_index_stands_behind_the_command() -> None:
    line = read_arguments(["-q", "install", "--proxy", "P", "x", "-r"]).without_network(URL)

    assert line == ["-q", "install", "--index-url", URL, "x", "-r"]


HASHES = {
    "lock x": True,
    "install --dry-run --report - x": True,
    "install --report=r.json --dry x": True,
    "install --report - x": False,
    "install --dry-run x": False,
    "download x": False,
}


@pytest.mark.parametrize(("line", "needs"), HASHES.items(), ids=HASHES)
def test_hashes_are_needed_where_nothing_is_downloaded(line: str, needs: bool) -> None:
    assert read_arguments(line.split()).needs_hashes is needs


def test_pips_proxy_becomes_everybodys() -> None:
    environ = way_out({"PIP_PROXY": "http://old:1", "HTTPS_PROXY": "http://old:2", "A": "b"}, PROXY)

    assert environ["A"] == "b"
    assert "PIP_PROXY" not in environ
    assert {environ[n] for n in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY")} == {PROXY}
    proxies = wish_of(ONE, choose_indexes(ONE, None, [], None), environ, 1).proxies
    assert (proxies["https"], proxies["http"]) == (PROXY, PROXY)


def test_without_a_proxy_none_is_looked_for_in_pips_files() -> None:
    """`--proxy ''` takes theirs away; an empty wish would be filled from them."""
    wished = wish_of(ONE, choose_indexes(ONE, None, [], None), way_out({}, ""), 1)

    assert wished.proxies == DIRECT
    assert wished.proxies


def test_pips_proxy_variable_is_never_set() -> None:
    """With it pip sends us what NO_PROXY exempts, too, and shows the secret to `ps`."""
    opened = Opened("0abc", Secret("s" * 43), "", ("https://crane.example.com",))
    child = child_environment(
        {}, opened, 4711, "/bundle/0abc.pem", pip_proxy="http://firm:1", one_case=False
    )

    environ = pip_environment(child)

    assert "PIP_PROXY" in child
    assert "PIP_PROXY" not in environ
    assert "PIP_PROXY" not in environ[CHANGED].split()
    assert "HTTPS_PROXY" in environ[CHANGED].split()
    assert environ["HTTPS_PROXY"].endswith("@127.0.0.1:4711")


def test_a_private_configuration_says_all_that_pips_files_say() -> None:
    found = {
        "global.timeout": "5",
        "global.proxy": "http://old:1",
        "install.trusted-host": "\none.example.com\ntwo.example.com",
        "install.proxy": "http://old:2",
        "freeze.all": "true",
        ":env:.index-url": "https://variable.example.com",
    }
    parser = configparser.RawConfigParser()

    parser.read_string(private_config(found, "download", {"proxy": "", "cert": "/bundle.pem"}))

    read = {f"{s}.{k}": v for s in parser.sections() for k, v in parser[s].items()}
    assert read["global.timeout"] == "5"
    assert read["install.trusted-host"].split() == ["one.example.com", "two.example.com"]
    assert read["freeze.all"] == "true"
    assert not any("variable" in value for value in read.values())
    for section in ("global", "install", "download", "freeze"):
        assert (read[f"{section}.proxy"], read[f"{section}.cert"]) == ("", "/bundle.pem")


def test_requirements_files_stay_what_they_are(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(f"-i {URL}\n--extra-index-url {OTHER}\n-r more.txt\n")
    (tmp_path / "more.txt").write_text("--no-index\nx\n")
    rewriter = RequirementsRewriter(in_no_folder, {}, keeps_indexes=True)

    assert rewriter.rewrite(str(file)) == str(file)
    assert (rewriter.index_url, rewriter.extra_index_urls) == (URL, [OTHER])
    assert rewriter.no_index


@pytest.mark.skipif(os.name == "nt", reason="has no named pipes in folders")
def test_a_stream_is_read_once_and_given_on_whole(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text(f"--extra-index-url {OTHER}\n")
    reader, writer = os.pipe()
    os.write(writer, f"-i {URL}\n-r {tmp_path / 'more.txt'}\nx==1\n".encode())
    os.close(writer)
    rewriter = RequirementsRewriter(in_no_folder, {}, keeps_indexes=True)

    given = rewriter.rewrite(f"/dev/fd/{reader}")

    os.close(reader)
    descriptor = int(given.rpartition("/")[2])
    assert os.get_inheritable(descriptor)
    for _ in range(2):  # pip may read it again
        lines = Path(given).read_text().splitlines()
        assert lines == [f"-i {URL}", f"--requirement {tmp_path / 'more.txt'}", "x==1"]
    os.close(descriptor)
    assert (rewriter.index_url, rewriter.extra_index_urls) == (URL, [OTHER])
