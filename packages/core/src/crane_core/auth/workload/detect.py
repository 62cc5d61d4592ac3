"""Asking each detector in a fixed order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crane_core.auth.workload import ci, cluster
from crane_core.auth.workload.model import Detector, Surroundings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from crane_core.secret import Secret

# What somebody mounted or named for us comes before what merely surrounds us.
DETECTORS = (
    Detector("file", cluster.file, ("CRANE_ID_TOKEN_FILE",), cluster.is_mounted),
    Detector("github", ci.github, ("GITHUB_ACTIONS",)),
    Detector("gitlab", ci.gitlab, ("GITLAB_CI",)),
    Detector("buildkite", ci.buildkite, ("BUILDKITE",)),
    Detector("circleci", ci.circleci, ("CIRCLECI",)),
    Detector("azure-pipelines", ci.azure_pipelines, ("SYSTEM_OIDCREQUESTURI",)),
    Detector("azure", cluster.azure, ("AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT")),
    Detector("google", cluster.google, ("K_SERVICE",), cluster.is_google_machine),
)


@dataclass(frozen=True, slots=True)
class WorkloadToken:
    """An identity token and who gave it."""

    detector: str
    token: Secret


def switched_off(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the detectors that `CRANE_DETECTORS_OFF` names: a list with commas, or `all`."""
    names = {name.strip() for name in environ.get("CRANE_DETECTORS_OFF", "").split(",")}
    return frozenset(d.name for d in DETECTORS) if "all" in names else frozenset(names)


async def detect(here: Surroundings, audience: str) -> WorkloadToken | None:
    """Return the first identity that is here, None if none is.

    Raises `WorkloadBroken` if one should be here and is not: going on to the next would use an
    identity that nobody meant.
    """
    off = switched_off(here.environ)
    for detector in DETECTORS:
        if detector.name in off:
            continue
        if (token := await detector.detect(here, audience)) is not None:
            return WorkloadToken(detector.name, token)
    return None


def sign_of_workload(environ: Mapping[str, str], root: Path) -> str | None:
    """Return the detector whose surroundings these seem to be, without asking any service."""
    off = switched_off(environ)
    for detector in DETECTORS:
        if detector.name in off:
            continue
        if any(environ.get(sign) for sign in detector.signs) or detector.is_at(root):
            return detector.name
    return None
