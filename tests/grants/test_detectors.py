"""Each detector of workload identity: not here, here but broken, here (anchors B3, 25)."""

from __future__ import annotations

import pytest
from grants.workload import (
    AUDIENCE,
    HERE,
    TOKEN,
    Here,
    Place,
    buildkite,
    circleci,
    gitlab,
    google,
    named_file,
)

from crane_core.auth.workload.detect import DETECTORS, sign_of_workload, switched_off
from crane_core.errors import WorkloadBroken

NAMES = ["file", "github", "gitlab", "buildkite", "circleci", "azure-pipelines", "azure", "google"]


@pytest.mark.parametrize(("name", "here"), HERE, ids=[h.__name__ for _, h in HERE])
def test_an_identity_that_is_here(place: Place, name: str, here: Here) -> None:
    """The detector gives the token, by name, and does not show it."""
    found = place.ask(here(place))
    assert found is not None
    assert (found.detector, found.token.reveal()) == (name, TOKEN)
    assert TOKEN not in repr(found)


@pytest.mark.parametrize(("name", "here"), HERE, ids=[h.__name__ for _, h in HERE])
def test_the_sign_of_an_identity(place: Place, name: str, here: Here) -> None:
    """By a variable, a mounted file or the machine's own name; no service is asked for it."""
    assert sign_of_workload(here(place), place.root) == name
    assert place.service.asked == []


@pytest.mark.parametrize("product", ["", "Googleplex", "Standard PC", "\N{DIGIT ONE}\N{SNOWMAN}"])
def test_the_name_of_another_machine_is_no_sign(place: Place, product: str) -> None:
    """Only the names that Google's firmware gives; a file that cannot be read is none."""
    assert sign_of_workload({}, place.root) is None
    place.put("sys/class/dmi/id/product_name", product)
    assert sign_of_workload({}, place.root) is None


@pytest.mark.parametrize(("name", "here"), HERE, ids=[h.__name__ for _, h in HERE])
@pytest.mark.parametrize("off", ["{name}", "x, {name} ,y", "all"])
def test_a_detector_that_is_switched_off(place: Place, name: str, here: Here, off: str) -> None:
    """`CRANE_DETECTORS_OFF` names it, or all: then nothing is asked and nothing is here."""
    environ = here(place) | {"CRANE_DETECTORS_OFF": off.format(name=name)}
    assert place.ask(environ) is None
    assert place.service.asked == []
    assert sign_of_workload(environ, place.root) is None


def test_nothing_is_here(place: Place) -> None:
    """No surroundings, no identity, no request; values that say *no* are no sign either."""
    assert place.ask({}) is None
    assert place.ask({"GITHUB_ACTIONS": "false", "GITLAB_CI": "", "K_SERVICE": ""}) is None
    place.put("sys/class/dmi/id/product_name", "Standard PC (Q35 + ICH9, 2009)\n")
    assert place.ask({"CI": "true"}) is None
    assert place.service.asked == []


def test_the_token_of_the_clusters_own_api_is_never_used(place: Place) -> None:
    """It is for the Kubernetes API and would open the cluster to whoever receives it."""
    for folder in ("var/run", "run"):
        place.put(f"{folder}/secrets/kubernetes.io/serviceaccount/token", TOKEN)
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    assert place.ask(environ) is None
    assert sign_of_workload(environ, place.root) is None


def test_the_order_is_fixed(place: Place) -> None:
    """What was mounted or named for crane comes first; each switched off, the next one answers."""
    assert [d.name for d in DETECTORS] == NAMES
    environ: dict[str, str] = {}
    for here in (named_file, gitlab, buildkite, circleci, google):
        environ |= here(place)
    seen: list[str] = []
    while found := place.ask(environ | {"CRANE_DETECTORS_OFF": ",".join(seen)}):
        seen.append(found.detector)
    assert seen == ["file", "gitlab", "buildkite", "circleci", "google"]
    assert switched_off({"CRANE_DETECTORS_OFF": "all"}) == set(NAMES)


BROKEN: dict[str, tuple[dict[str, str], str]] = {
    "github without permission": ({"GITHUB_ACTIONS": "true"}, "permissions: { id-token: write }"),
    "github over plain http": (
        {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": "http://tokens.example/",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t",
        },
        "plain http",
    ),
    "gitlab without id_tokens": ({"GITLAB_CI": "true"}, f"CRANE_ID_TOKEN: {{ aud: {AUDIENCE} }}"),
    "buildkite without its agent": ({"BUILDKITE": "true"}, "buildkite-agent is not on PATH"),
    "circleci without its command": ({"CIRCLECI": "true"}, "circleci is not on PATH"),
    "azure pipelines without the token": (
        {"SYSTEM_OIDCREQUESTURI": "https://dev.azure.example/oidctoken"},
        "SYSTEM_ACCESSTOKEN: $(System.AccessToken)",
    ),
    "azure pipelines over plain http": (
        {"SYSTEM_OIDCREQUESTURI": "http://dev.azure.example/", "SYSTEM_ACCESSTOKEN": "t"},
        "plain http",
    ),
    "azure without its header": ({"IDENTITY_ENDPOINT": "http://127.0.0.1:1/"}, "IDENTITY_HEADER"),
    "azure's file is gone": ({"AZURE_FEDERATED_TOKEN_FILE": "gone"}, "AZURE_FEDERATED_TOKEN_FILE"),
    "the named file is gone": ({"CRANE_ID_TOKEN_FILE": "gone"}, "CRANE_ID_TOKEN_FILE"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_identity_that_should_be_here(place: Place, case: str) -> None:
    """Said with the fix, and the next detector is not asked: nobody meant its identity."""
    environ, said = BROKEN[case]
    with pytest.raises(WorkloadBroken) as caught:
        place.ask(environ | google(place))
    assert said in caught.value.line
    assert caught.value.exit_code == 30
    assert place.service.asked == []
