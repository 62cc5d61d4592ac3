"""What pip is given on the index route: a loopback URL, and the secret of its gateway."""

from __future__ import annotations

import netrc
from pathlib import Path
from typing import TYPE_CHECKING

from crane_core.clients.child_environment import without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crane_core.secret import Secret

NETRC_USER = "crane"


def netrc_text(environ: Mapping[str, str], home: Path, host: str, secret: Secret) -> str:
    """Return the user's own netrc entries with the gateway's secret behind them.

    pip sends it with the first request. In the URL the secret would show in the arguments of the
    pip that pip starts for build isolation (`ps`), in every version. The last entry of a host
    counts, so ours is the last.
    """
    own = _own_entries(environ, home)
    entry = f"machine {host} login {NETRC_USER} password {secret.reveal()}\n"
    return f"{own}\n\n{entry}" if own else entry


def _own_entries(environ: Mapping[str, str], home: Path) -> str:
    names = [environ["NETRC"]] if environ.get("NETRC") else [home / ".netrc", home / "_netrc"]
    for name in names:
        try:
            text = Path(name).expanduser().read_text(encoding="utf-8")
            netrc.netrc(name)
        except (OSError, UnicodeDecodeError, netrc.NetrcParseError):
            # requests ignores a netrc that it cannot read, and so do we.
            continue
        return text
    return ""


def child_environment(environ: Mapping[str, str], host: str, index_url: str) -> dict[str, str]:
    """Return pip's environment: the gateway's index, reached without any proxy.

    It stands here as well as on the command line, for the pip of build isolation. Extra indexes
    stand there only: pip hands them on.
    """
    # What builds run in there, and a login is none of their business.
    child = without_secrets(environ)
    child["PIP_INDEX_URL"] = index_url
    # A blank one takes away what configuration files say; an empty one is ignored.
    child["PIP_EXTRA_INDEX_URL"] = " "
    child.pop("PIP_PROXY", None)
    for name in ("NO_PROXY", "no_proxy"):
        listed = [entry for entry in child.get(name, "").split(",") if entry.strip()]
        child[name] = ",".join([*listed, host])
    return child
