"""What an agent is for: two commands share one only if it would do the same for both.

An agent never has to change its mind. Another configuration, version, login surroundings or way
to the network is another key, and so another agent; the one before leaves when nobody needs it.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from crane_core import __version__
from crane_core.files import storage_errors
from crane_core.platform import machine_mark
from crane_core.sharing import patiently

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from crane_core.platform import Paths

# The way to an index and its provider, and what is trusted there.
FILES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
# Whose identity is asked for where no person logs in: a runner may serve several jobs.
IDENTITY = (
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "AZURE_CLIENT_ID",
    "AZURE_FEDERATED_TOKEN_FILE", "AZURE_TENANT_ID", "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID",
    "BUILDKITE", "BUILDKITE_AGENT_ACCESS_TOKEN", "BUILDKITE_JOB_ID", "CI_JOB_ID", "CIRCLECI",
    "CIRCLE_OIDC_TOKEN", "CIRCLE_OIDC_TOKEN_V2", "CIRCLE_WORKFLOW_JOB_ID", "GITHUB_ACTIONS",
    "GITHUB_RUN_ID", "GITLAB_CI", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "K_SERVICE",
    "SYSTEM_ACCESSTOKEN", "SYSTEM_JOBID", "SYSTEM_OIDCREQUESTURI",
)  # fmt: skip
# Where the keyring is.
KEYRING = ("DBUS_SESSION_BUS_ADDRESS", "PYTHON_KEYRING_BACKEND")
# Ours that say nothing to an agent: it asks nobody, and its folders count by themselves.
WITHOUT_MEANING = frozenset(
    {"CRANE_AGENT_KEY", "CRANE_CHANGED", "CRANE_HOME", "CRANE_NON_INTERACTIVE", "CRANE_VIEW"}
)
OWN = "CRANE_"
# Tells a starting agent its key.
KEY_VARIABLE = "CRANE_AGENT_KEY"


def agent_environment(environ: Mapping[str, str], folder: str) -> dict[str, str]:
    """Return the environment in which an agent means the same files as a command in `folder`."""
    result = dict(environ)
    for name in ("CRANE_HOME", *FILES):
        if value := result.get(name):
            places = os.path.expanduser(value).split(os.pathsep)  # noqa: PTH111 - pathlib is slow
            result[name] = os.pathsep.join(os.path.join(folder, place) for place in places)  # noqa: PTH118
    return result


def agent_key(paths: Paths, environ: Mapping[str, str]) -> str:
    """Return the key of an agent for this configuration and environment.

    It is made of secrets too, but tells none: it is long, and is kept in a private folder.
    """
    digest = hashlib.sha256()
    for part in _parts(paths, environ):
        digest.update(f"{len(part)}:".encode() + part)
    return digest.hexdigest()


def config_digest(paths: Paths) -> str:
    """Return a digest of the configuration file, also of one that is not there."""
    return hashlib.sha256(_content(paths)).hexdigest()


def _parts(paths: Paths, environ: Mapping[str, str]) -> Iterator[bytes]:
    yield __version__.encode()
    yield machine_mark().encode()
    yield _content(paths)
    for folder in (paths.config, paths.data, paths.cache, paths.runtime):
        yield os.fsencode(os.path.abspath(folder))  # noqa: PTH100 - of a folder yet to be made, too
    both = {*PROXIES, *map(str.lower, PROXIES)}
    names = {*both, *FILES, *IDENTITY, *KEYRING}
    for name, value in sorted(environ.items()):
        counts = name in names or (name.startswith(OWN) and name not in WITHOUT_MEANING)
        if counts and value and not name.startswith("CRANE_ORIGINAL_"):
            yield f"{name}={value}".encode("utf-8", "surrogateescape")
            yield _state(value).encode() if name in FILES else b""


def _content(paths: Paths) -> bytes:
    with storage_errors(paths.config_file):
        try:
            return patiently(paths.config_file.read_bytes)
        except FileNotFoundError:
            return b""


def _state(path: str) -> str:
    """Return what changes with a file: an agent reads its certificates once."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return ""
    return f"{status.st_mtime_ns} {status.st_size}"
