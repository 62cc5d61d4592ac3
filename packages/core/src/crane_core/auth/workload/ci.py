"""Identity tokens of CI systems: GitHub Actions, GitLab, Buildkite, CircleCI, Azure Pipelines."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from crane_core.auth.workload.requests import request_token, require_https
from crane_core.errors import WorkloadBroken
from crane_core.secret import Secret

if TYPE_CHECKING:
    from crane_core.auth.workload.model import Surroundings


async def github(here: Surroundings, audience: str) -> Secret | None:
    """Return the job's token (docs.github.com, "OpenID Connect reference")."""
    if here.environ.get("GITHUB_ACTIONS") != "true":
        return None
    url = here.environ.get("ACTIONS_ID_TOKEN_REQUEST_URL")
    token = here.environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    if not url or not token:
        raise WorkloadBroken(
            "this GitHub Actions job may not ask for an identity token",
            hint="add to the job: permissions: { id-token: write }",
        )
    require_https(url, "GitHub Actions")
    joined = f"{url}{'&' if '?' in url else '?'}audience={quote(audience, safe='')}"
    headers = {"authorization": f"bearer {token}"}
    return await request_token(here.client, joined, headers, "value", "GitHub Actions")


async def gitlab(here: Surroundings, audience: str) -> Secret | None:
    """Return the token that the job's `id_tokens` names (docs.gitlab.com, "ID tokens").

    Its variable is `CRANE_ID_TOKEN`, or the audience in capitals with `_ID_TOKEN` behind it.
    """
    if not here.environ.get("GITLAB_CI"):
        return None
    by_audience = re.sub(r"[^A-Z0-9_]|^[^A-Z_]", "_", audience.upper()) + "_ID_TOKEN"
    for variable in ("CRANE_ID_TOKEN", by_audience):
        if token := here.environ.get(variable):
            return Secret(token)
    raise WorkloadBroken(
        "this GitLab job has no identity token",
        hint=f"add to the job: id_tokens: {{ CRANE_ID_TOKEN: {{ aud: {audience} }} }}",
    )


async def buildkite(here: Surroundings, audience: str) -> Secret | None:
    """Return the agent's token (buildkite.com/docs, "buildkite-agent oidc")."""
    if not here.environ.get("BUILDKITE"):
        return None
    command = ["buildkite-agent", "oidc", "request-token", "--audience", audience]
    return await _from_command(here, command, "Buildkite")


async def circleci(here: Surroundings, audience: str) -> Secret | None:
    """Return the job's token (circleci.com/docs, "OpenID Connect tokens in jobs")."""
    if not here.environ.get("CIRCLECI"):
        return None
    command = ["circleci", "run", "oidc", "get", "--claims", json.dumps({"aud": audience})]
    return await _from_command(here, command, "CircleCI")


async def azure_pipelines(here: Surroundings, audience: str) -> Secret | None:
    """Return the job's token (learn.microsoft.com, "oidctoken - Create")."""
    if not (url := here.environ.get("SYSTEM_OIDCREQUESTURI")):
        return None
    token = here.environ.get("SYSTEM_ACCESSTOKEN")
    if not token:
        raise WorkloadBroken(
            "this Azure Pipelines step may not ask for an identity token",
            hint="add to the step: env: { SYSTEM_ACCESSTOKEN: $(System.AccessToken) }",
        )
    require_https(url, "Azure Pipelines")
    connection = here.environ.get("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID", "")
    query = f"api-version=7.1&serviceConnectionId={quote(connection, safe='')}"
    headers = {"authorization": f"Bearer {token}", "content-length": "0"}
    return await request_token(
        here.client, f"{url}?{query}", headers, "oidcToken", "Azure Pipelines", method="POST"
    )


async def _from_command(here: Surroundings, command: list[str], where: str) -> Secret | None:
    try:
        output = await here.run(command)
    except (OSError, ValueError) as error:
        raise WorkloadBroken(f"{where} gave no identity token ({error})") from error
    if output is None:
        raise WorkloadBroken(
            f"this is a {where} job, but {command[0]} is not on PATH", hint="install it in the job"
        )
    if not output.strip():
        raise WorkloadBroken(f"{where} gave an empty identity token")
    return Secret(output.strip())
