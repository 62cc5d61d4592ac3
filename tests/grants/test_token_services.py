"""What token services and commands of CI systems are asked, and what they may answer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from grants.workload import (
    TOKEN,
    Asked,
    Here,
    Place,
    TokenService,
    azure,
    azure_pipelines,
    buildkite,
    circleci,
    github,
    google,
    google_machine,
    identity,
    make_tool,
    token_service,
)

from crane_core.errors import WorkloadBroken


@pytest.mark.parametrize("content", ["", "\n", "two words", "with\x07bell", "é.é.é"])
def test_a_file_that_holds_no_token(place: Place, content: str) -> None:
    """Empty, or what would break out of a form or a header."""
    place.put("run/secrets/crane-token", content)
    with pytest.raises(WorkloadBroken, match="mounted token"):
        place.ask({})


@pytest.mark.parametrize(
    "answer",
    [(403, TOKEN), (500, ""), (302, ""), (200, ""), (200, "{}"), (200, '{"value": 3}'),
     (200, '{"value": "no-jwt"}'), (200, '["value"]'), (200, "{"), (200, "x" * 3_000_000)],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("here", [github, azure_pipelines, azure, google])
def test_a_token_service_that_gives_none(place: Place, here: Here, answer: tuple[int, str]) -> None:
    """Refusals, redirects and nonsense: one line, which repeats nothing of the answer."""
    environ = here(place)
    place.answer.append(answer)
    with pytest.raises(WorkloadBroken) as caught:
        place.ask(environ)
    assert TOKEN not in caught.value.line
    assert "runner-token" not in caught.value.line
    assert len(caught.value.line) < 200


def test_a_token_service_that_is_down(place: Place) -> None:
    """Nobody listens on that port."""
    environ = {"IDENTITY_ENDPOINT": "http://127.0.0.1:9/", "IDENTITY_HEADER": "h"}
    with pytest.raises(WorkloadBroken, match="Azure did not answer"):
        place.ask(environ)


@pytest.mark.parametrize("here", [buildkite, circleci])
@pytest.mark.parametrize("script", ["exit 3", "true", f"echo {TOKEN} >&2; exit 1"])
def test_a_command_that_gives_no_token(place: Place, here: Here, script: str) -> None:
    """It fails, or says nothing; what it printed is not shown."""
    environ = here(place)
    for name in ("buildkite-agent", "circleci"):
        make_tool(place.bin, name, script)
    with pytest.raises(WorkloadBroken) as caught:
        place.ask(environ)
    assert TOKEN not in caught.value.line


def only(service: TokenService) -> Asked:
    (asked,) = service.asked
    return asked


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenService]:
    """Give a proxy that the environment names for everything; it answers with another token."""
    another = json.dumps({"value": identity(sub="the proxy"), "access_token": identity(sub="p")})
    with token_service(lambda _: (200, another)) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.lower(), proxy.url)
        yield proxy


@pytest.mark.parametrize("here", [azure, google, google_machine])
def test_a_machines_own_service_is_behind_no_proxy(
    place: Place, proxy: TokenService, here: Here
) -> None:
    """It would see the machine's identity, or answer with its own."""
    assert place.token(here(place)) == TOKEN
    assert len(place.service.asked) == 1
    assert proxy.asked == []


def test_githubs_service_is_behind_the_proxy(place: Place, proxy: TokenService) -> None:
    """It is in the internet, which a runner of one's own may reach through a proxy only."""
    assert place.token(github(place)) == identity(sub="the proxy")
    assert place.service.asked == []
    assert only(proxy).headers["host"] == place.service.url.removeprefix("http://")


ODD_AUDIENCE = 'api://a b&c="d"'


def test_what_github_is_asked(place: Place) -> None:
    """The audience is escaped and added to the query that is there."""
    place.token(github(place), ODD_AUDIENCE)
    asked = only(place.service)
    assert asked.query == {"api-version": "2.0", "audience": ODD_AUDIENCE}
    assert asked.headers["authorization"] == "bearer runner-token"


def test_what_azure_is_asked(place: Place) -> None:
    """The audience is the resource; the header proves that we run there."""
    place.token(azure(place), ODD_AUDIENCE)
    asked = only(place.service)
    assert (asked.method, asked.query["resource"]) == ("GET", ODD_AUDIENCE)
    assert asked.headers["x-identity-header"] == "h"


def test_what_azure_pipelines_are_asked(place: Place) -> None:
    """By POST, with the job's token, for the service connection."""
    place.token(azure_pipelines(place))
    asked = only(place.service)
    assert (asked.method, asked.query["serviceConnectionId"]) == ("POST", "c 1")
    assert asked.headers["authorization"] == "Bearer job-token"


def test_what_google_is_asked(place: Place) -> None:
    """The header is what the metadata service demands against forged requests."""
    place.token(google(place), ODD_AUDIENCE)
    asked = only(place.service)
    assert asked.query == {"audience": ODD_AUDIENCE, "format": "full"}
    assert asked.headers["metadata-flavor"] == "Google"


def test_what_the_commands_are_asked(place: Place) -> None:
    """The audience is one argument, whatever stands in it; for CircleCI within JSON."""
    place.token(buildkite(place), ODD_AUDIENCE)
    arguments = (place.bin / "buildkite-agent.asked").read_text().splitlines()
    assert arguments == ["oidc", "request-token", "--audience", ODD_AUDIENCE]
    place.token(circleci(place), ODD_AUDIENCE)
    *command, claims = (place.bin / "circleci.asked").read_text().splitlines()
    assert command == ["run", "oidc", "get", "--claims"]
    assert json.loads(claims) == {"aud": ODD_AUDIENCE}


def test_gitlabs_variable_may_be_named_after_the_audience(place: Place) -> None:
    """As other tools have it, so that one `id_tokens` entry serves them all."""
    environ = {"GITLAB_CI": "true", "PYPI_ID_TOKEN": TOKEN}
    assert place.token(environ, "pypi") == TOKEN
    with pytest.raises(WorkloadBroken):
        place.ask(environ, "other")


@pytest.mark.skipif(os.name == "nt", reason="a shell script that waits")
def test_a_command_that_hangs_is_ended(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has half a minute, here less."""
    monkeypatch.setattr("crane_core.auth.workload.commands.COMMAND_SECONDS", 0.2)
    environ = buildkite(place)
    make_tool(place.bin, "buildkite-agent", "exec /bin/sleep 60")
    with pytest.raises(WorkloadBroken, match="did not end"):
        place.ask(environ)
