"""A child's environment: what is set in it, and that nothing of the user's own is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crane_core.clients.child_environment import (
    Restored,
    changed_names,
    child_environment,
    host_of,
    no_proxy,
    own_proxies,
    restored,
)
from crane_core.clients.trust import VARIABLES
from crane_core.gateway.views import Opened
from crane_core.secret import Secret

BUNDLE = "/run/crane/bundles/abc123.pem"
PROXY = "http://abc123:s%2Fcret@127.0.0.1:4711"


def opened(*origins: str) -> Opened:
    """Return a view of these origins."""
    origins = origins or ("https://crane.example.com",)
    return Opened("abc123", Secret("s/cret"), "authority", origins)


def child(
    environ: dict[str, str],
    *origins: str,
    pip_proxy: str | None = None,
    one_case: bool = False,
) -> dict[str, str]:
    """Return the child's whole environment."""
    changes = child_environment(
        environ, opened(*origins), 4711, BUNDLE, pip_proxy=pip_proxy, one_case=one_case
    )
    return {**environ, **changes}


def test_every_proxy_variable_that_counts_names_the_view() -> None:
    environ = child({"PATH": "/bin"})

    assert environ["PATH"] == "/bin"
    assert {environ[n] for n in ("HTTPS_PROXY", "https_proxy")} == {PROXY}
    assert "PIP_PROXY" not in environ
    assert {environ[name] for name in VARIABLES} == {BUNDLE}
    assert environ["NO_PROXY"] == environ["no_proxy"] == "localhost,127.0.0.1,::1"


def test_pips_own_variable_is_used_only_against_pips_files() -> None:
    """pip 26 shows it to `ps`, and asks us for what NO_PROXY exempts."""
    environ = {"PIP_PROXY": "http://firm:1"}

    assert child(environ)["PIP_PROXY"] == ""
    assert child(environ, pip_proxy="http://firm:2")["PIP_PROXY"] == PROXY
    assert child({}, pip_proxy="http://firm:2")["PIP_PROXY"] == PROXY


def test_a_proxy_for_pip_that_somebody_sets_inside_needs_a_view_of_its_own() -> None:
    found = restored({**child({}), "PIP_PROXY": "http://firm:1"})

    assert found.environ == {"PIP_PROXY": "http://firm:1"}
    assert not found.is_whole


def test_plain_http_is_left_alone_unless_an_index_needs_it() -> None:
    assert "HTTP_PROXY" not in child({})
    assert child({"HTTP_PROXY": "http://firm:1"})["HTTP_PROXY"] == "http://firm:1"

    environ = child({"http_proxy": "http://firm:1"}, "http://crane.example.com:8080")

    assert environ["HTTP_PROXY"] == environ["http_proxy"] == PROXY


def test_windows_has_one_variable_for_both_cases() -> None:
    environ = child({"HTTPS_PROXY": "http://firm:1"}, one_case=True)

    assert not {"https_proxy", "no_proxy"} & environ.keys()
    assert restored(environ).environ == {"HTTPS_PROXY": "http://firm:1"}


def test_a_variable_that_beats_the_usual_ones_is_set_only_if_it_was(tmp_path) -> None:
    firm = tmp_path / "firm.pem"
    firm.touch()

    environ = child({"AWS_CA_BUNDLE": str(firm), "CONDA_SSL_VERIFY": "true"})

    assert environ["AWS_CA_BUNDLE"] == BUNDLE
    assert environ["CONDA_SSL_VERIFY"] == "true"
    assert "HTTPLIB2_CA_CERTS" not in environ


ENTRIES = [
    ("*", "crane.example.com"),
    ("crane.example.com", "crane.example.com"),
    ("CRANE.example.com", "crane.example.com"),
    ("crane.example.com:8443", "crane.example.com"),
    (".example.com", "crane.example.com"),
    ("example.com", "crane.example.com"),
    ("*.example.com", "crane.example.com"),
    ("*example.com", "crane.example.com"),
    ("https://crane.example.com", "crane.example.com"),
    ("crane.example.com.", "crane.example.com"),
    ("10.0.0.0/8", "10.1.2.3"),
    ("10.1.2.3", "10.1.2.3"),
    ("10.1.", "10.1.2.3"),
    ("10.1.2.3:443", "10.1.2.3"),
    ("::1", "::1"),
    ("[::1]", "::1"),
    ("[::1]:8443", "::1"),
    ("fd00::/8", "fd00::1"),
    ("localhost", "localhost"),
    ("127.0.0.1", "127.0.0.1"),
]


@pytest.mark.parametrize(("entry", "host"), ENTRIES)
def test_an_entry_that_leads_around_the_gateway_is_taken_out(entry: str, host: str) -> None:
    assert entry not in no_proxy(f"{entry},other.org", [host]).split(",")


@pytest.mark.parametrize(
    "entry",
    ["ample.com", "xcrane.example.com", "10.0.0.0/8", ".org", "crane", "10.1.", "no/thing", ""],
)
def test_other_entries_stay(entry: str) -> None:
    kept = no_proxy(f"{entry},other.org", ["crane.example.com"]).split(",")

    assert (entry in kept) == bool(entry)
    assert "other.org" in kept


def test_a_list_that_stands_in_one_case_counts_for_both() -> None:
    environ = child({"no_proxy": "db.internal"})

    assert environ["NO_PROXY"].startswith("db.internal,")


def test_hosts_of_origins() -> None:
    origins = ["https://a.b", "https://a.b:8443", "https://[::1]:8443", "http://[::1]"]

    assert [host_of(origin) for origin in origins] == ["a.b", "a.b", "::1", "::1"]


NAMES = st.sampled_from(
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "NO_PROXY", "no_proxy",
     "PIP_PROXY", *VARIABLES, "PATH", "OTHER"]
)  # fmt: skip
ENVIRONMENTS = st.dictionaries(NAMES, st.text(st.characters(exclude_characters="\0"), max_size=20))


@given(ENVIRONMENTS, st.booleans(), st.sampled_from([None, "http://firm:2"]))
def test_what_crane_has_set_can_be_taken_back_to_the_letter(
    environ: dict[str, str], plain: bool, pip_proxy: str | None
) -> None:
    origins = ("http://crane.example.com",) if plain else ()

    changed = child(environ, *origins, pip_proxy=pip_proxy)
    assert restored(changed) == Restored(environ, "abc123")


def test_an_environment_of_no_view_is_left_as_it_is() -> None:
    environ = {"HTTPS_PROXY": "http://firm:1", "CRANE_ORIGINAL_X": "left over"}

    assert restored(environ) == Restored(environ)


def test_what_somebody_sets_inside_stays_and_needs_a_view_of_its_own() -> None:
    environ = {**child({"REQUESTS_CA_BUNDLE": "/firm.pem"}), "REQUESTS_CA_BUNDLE": "/mine.pem"}

    found = restored(environ)
    assert found == Restored({"REQUESTS_CA_BUNDLE": "/mine.pem"}, "abc123", is_whole=False)
    assert found.shared is None


def test_what_somebody_takes_away_inside_stays_away() -> None:
    environ = child({"HTTPS_PROXY": "http://firm:1"})
    del environ["HTTPS_PROXY"]

    assert restored(environ) == Restored({}, "abc123", is_whole=False)


def test_a_list_that_somebody_adds_to_inside_stays() -> None:
    environ = child({"NO_PROXY": "db.internal"})
    environ["NO_PROXY"] += ",mine.org"

    found = restored(environ)

    assert found.environ == {"NO_PROXY": "db.internal,localhost,127.0.0.1,::1,mine.org"}
    assert not found.is_whole


def test_every_changed_name_is_known() -> None:
    before = {"HTTPS_PROXY": "http://firm:1"}
    environ = child(before)

    changed = {n for n in environ if environ[n] != before.get(n)}
    assert set(changed_names(environ)) == changed


OWN = [
    ({"HTTPS_PROXY": "http://a"}, {"https": "http://a"}),
    ({"HTTPS_PROXY": "http://a", "https_proxy": "http://b"}, {"https": "http://b"}),
    ({"ALL_PROXY": "http://a", "NO_PROXY": "x"}, {"all": "http://a", "no": "x"}),
    ({"HTTP_PROXY": "http://a"}, {"http": "http://a"}),
    ({"HTTP_PROXY": "http://a", "REQUEST_METHOD": "GET"}, {}),
    ({"PIP_PROXY": "http://a"}, {"https": "http://a", "http": "http://a"}),
    ({"PIP_PROXY": "http://a", "HTTPS_PROXY": "http://b"}, {"https": "http://b"}),
    ({"PIP_PROXY": "http://a", "ALL_PROXY": "http://b"}, {"all": "http://b"}),
    ({"HTTPS_PROXY": ""}, {}),
]


@pytest.mark.parametrize(("environ", "expected"), OWN)
def test_how_the_child_would_have_gone_by_itself(
    environ: dict[str, str], expected: dict[str, str]
) -> None:
    assert own_proxies(environ) == expected


def test_a_proxy_of_pips_files_counts_last() -> None:
    assert own_proxies({}, "http://conf") == {"https": "http://conf", "http": "http://conf"}
    assert own_proxies({"PIP_PROXY": "http://a"}, "http://conf")["https"] == "http://a"
