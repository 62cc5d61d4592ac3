"""Identity tokens of clusters and clouds: a file, Azure, Google."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from crane_core.auth.workload.requests import request_token
from crane_core.errors import WorkloadBroken
from crane_core.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from crane_core.auth.workload.model import Surroundings

# A projected service account token of Kubernetes, or a secret of Docker or Podman. The
# cluster's own token is not among them: it is for the cluster's API and must not travel.
MOUNTED = ("run/secrets/crane/token", "run/secrets/crane-token")
GOOGLE_PRODUCT = "sys/class/dmi/id/product_name"
GOOGLE_IDENTITY = (
    "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/identity"
)


async def file(here: Surroundings, audience: str) -> Secret | None:
    """Return the token in the file that `CRANE_ID_TOKEN_FILE` names, or in a mounted one.

    It is read anew each time: the cluster rotates it.
    """
    if named := here.environ.get("CRANE_ID_TOKEN_FILE"):
        return _read(here, named, "CRANE_ID_TOKEN_FILE")
    for place in MOUNTED:
        if (here.root / place).exists():
            return _read(here, place, "the mounted token")
    return None


async def azure(here: Surroundings, audience: str) -> Secret | None:
    """Return the token of an Azure workload identity, or of a managed identity."""
    if named := here.environ.get("AZURE_FEDERATED_TOKEN_FILE"):
        return _read(here, named, "AZURE_FEDERATED_TOKEN_FILE")
    if not (url := here.environ.get("IDENTITY_ENDPOINT")):
        return None
    header = here.environ.get("IDENTITY_HEADER")
    if not header:
        raise WorkloadBroken("IDENTITY_ENDPOINT is set, but IDENTITY_HEADER is not")
    query = f"api-version=2019-08-01&resource={quote(audience, safe='')}"
    headers = {"x-identity-header": header}
    async with here.direct() as client:
        return await request_token(client, f"{url}?{query}", headers, "access_token", "Azure")


async def google(here: Surroundings, audience: str) -> Secret | None:
    """Return the identity token of a Google Cloud machine's or service's account."""
    if not (here.environ.get("K_SERVICE") or is_google_machine(here.root)):
        return None
    url = f"{GOOGLE_IDENTITY}?format=full&audience={quote(audience, safe='')}"
    headers = {"metadata-flavor": "Google"}
    async with here.direct() as client:
        return await request_token(client, url, headers, "", "Google Cloud")


def is_mounted(root: Path) -> bool:
    """Whether somebody has mounted a token for crane."""
    return any((root / place).exists() for place in MOUNTED)


def is_google_machine(root: Path) -> bool:
    """Whether this is a virtual machine of Google Cloud, by the name that its firmware gives."""
    try:
        name = (root / GOOGLE_PRODUCT).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return False
    return name in {"Google", "Google Compute Engine"}


def _read(here: Surroundings, place: str, what: str) -> Secret:
    try:
        token = (here.root / place).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WorkloadBroken(f"{what} cannot be read: {type(error).__name__}") from error
    if not token or not token.isprintable() or " " in token:
        raise WorkloadBroken(f"{what} holds no token")
    return Secret(token)
