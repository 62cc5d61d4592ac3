"""The environment in which a child process goes through the gateway, and the way back from it.

All here is reckoning: an environment in, changes out.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from crane_core.clients import wgetrc
from crane_core.clients.trust import trust_variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from crane_core.gateway.views import Opened

MARK = "CRANE_VIEW"  # the view that this environment is of
CHANGED = "CRANE_CHANGED"  # what crane has set in it
ORIGINAL = "CRANE_ORIGINAL_"  # before the name: what was there before
LOOPBACK = ("localhost", "127.0.0.1", "::1")
NO_PROXY = "NO_PROXY"
PIP_PROXY = "PIP_PROXY"
SECRETS = ("CRANE_TOKEN_", "CRANE_CLIENT_SECRET_")  # how the names of ready logins begin


def child_environment(
    environ: Mapping[str, str],
    opened: Opened,
    port: int,
    bundle: str,
    *,
    pip_proxy: str | None = None,
    one_case: bool = os.name == "nt",
) -> dict[str, str]:
    """Return the variables to set for a child of this view, and no others.

    `environ` is the user's own environment, as `restored` returns it, and `pip_proxy` what pip's
    files name. With `one_case` (Windows) HTTPS_PROXY and https_proxy are the same variable. What
    was there before is kept beside it.
    """
    secret = quote(opened.secret.reveal(), safe="")  # to its child, which has to show it
    # The view is the user's name, so that what is ours can be told from what somebody sets later.
    proxy = f"http://{opened.name}:{secret}@127.0.0.1:{port}"
    values = _both("HTTPS_PROXY", proxy, one_case=one_case)
    if pip_proxy or PIP_PROXY in environ:
        # pip's own setting beats HTTPS_PROXY. It leads requests to this machine to us as well,
        # and pip 26 hands it on as an argument, for `ps` to show: so it is emptied if that will do.
        values[PIP_PROXY] = proxy if pip_proxy else ""
    if any(origin.startswith("http:") for origin in opened.origins):
        values |= _both("HTTP_PROXY", proxy, one_case=one_case)
    hosts = [host_of(origin) for origin in opened.origins]
    for name in _both(NO_PROXY, "", one_case=one_case):
        other = name.lower() if name.isupper() else name.upper()
        listed = environ.get(name) or environ.get(other) or ""
        values[name] = no_proxy(listed, hosts)
    values |= dict.fromkeys(trust_variables(environ), bundle)
    values[wgetrc.VARIABLE] = wgetrc.wgetrc_beside(bundle)
    before = {f"{ORIGINAL}{name}": environ[name] for name in values if name in environ}
    return {**values, **before, CHANGED: " ".join(values), MARK: opened.name}


def _both(name: str, value: str, *, one_case: bool) -> dict[str, str]:
    return {name: value} if one_case else {name: value, name.lower(): value}


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave out the logins themselves: what builds run in there, and it is none of its business."""
    return {name: value for name, value in environ.items() if not name.startswith(SECRETS)}


@dataclass(frozen=True, slots=True)
class Restored:
    """An environment as it was before crane, and the view that it is of.

    `is_whole` says that nobody has changed since what crane has set.
    """

    environ: dict[str, str]
    view: str | None = None
    is_whole: bool = True

    @property
    def shared(self) -> str | None:
        """The view to share, None where there is none, or where it is not what is wanted now."""
        return self.view if self.is_whole else None


def restored(environ: Mapping[str, str]) -> Restored:
    """Return an environment without what crane has set in it; what others set since then stays."""
    view = environ.get(MARK)
    if view is None:
        return Restored(dict(environ))
    result = {
        n: v for n, v in environ.items() if n not in {MARK, CHANGED} and not n.startswith(ORIGINAL)
    }
    names = environ.get(CHANGED, "").split()
    is_whole = PIP_PROXY in names or not environ.get(PIP_PROXY)
    for name in names:
        value = environ.get(name, "")
        own = _is_own_list(value, environ) if name.upper() == NO_PROXY else is_of_view(value, view)
        own = own or (name == PIP_PROXY and not value)
        if not own:
            is_whole = False
        elif (before := environ.get(f"{ORIGINAL}{name}")) is not None:
            result[name] = before
        else:
            result.pop(name, None)
    return Restored(result, view, is_whole)


def is_of_view(value: str, view: str) -> bool:
    """Whether crane has set a variable to this: a view's proxy, or one of its files."""
    file = os.path.basename(value)  # noqa: PTH119
    return f"//{view}:" in value or file in {f"{view}.pem", f"{view}.wgetrc"}


def _is_own_list(value: str, environ: Mapping[str, str]) -> bool:
    """Whether a NO_PROXY list is as crane has made it: of what was there before, and loopback."""
    before = (environ.get(f"{ORIGINAL}{name}", "") for name in (NO_PROXY, NO_PROXY.lower()))
    return set(_entries(value)) <= {*LOOPBACK, *(e for listed in before for e in _entries(listed))}


def _entries(listed: str) -> list[str]:
    return [entry.strip() for entry in listed.split(",") if entry.strip()]


def changed_names(environ: Mapping[str, str]) -> list[str]:
    """Return every variable that crane has set in an environment, its own marks included."""
    marks = [n for n in environ if n in {MARK, CHANGED} or n.startswith(ORIGINAL)]
    return [*environ.get(CHANGED, "").split(), *marks]


def own_proxies(environ: Mapping[str, str], pip_proxy: str | None = None) -> dict[str, str]:
    """Return how a child itself would reach other hosts, for a view's `Wish`.

    A proxy that only pip knows (`PIP_PROXY`, or `pip_proxy` from its files) is taken where there
    is no other.
    """
    found = {}
    for scheme in ("http", "https", "all", "no"):
        name = f"{scheme}_proxy"
        # A CGI server sets HTTP_PROXY from a request's header: no one's wish (httpoxy).
        upper = "" if scheme == "http" and "REQUEST_METHOD" in environ else name.upper()
        if value := environ.get(name) or environ.get(upper):
            found[scheme] = value
    fallback = environ.get(PIP_PROXY) or pip_proxy
    if fallback and not found.keys() & {"https", "all"}:
        found |= {"https": fallback} | ({} if "http" in found else {"http": fallback})
    return found


def no_proxy(listed: str, hosts: Iterable[str]) -> str:
    """Return a NO_PROXY list for a child: entries that would lead around the gateway are out.

    Their other hosts come to the gateway, which leaves them to the child's own list.
    """
    opened = list(hosts)
    kept = [
        e for e in (*_entries(listed), *LOOPBACK) if not any(_covers(e, host) for host in opened)
    ]
    return ",".join(dict.fromkeys(kept))


def _covers(entry: str, host: str) -> bool:
    """Whether some tool may take this entry for the host; one time too many does no harm."""
    place = entry.lower().rpartition("://")[2]
    if place == "*":
        return True
    address, slash, _ = place.partition("/")
    if slash and _is_in(host, place):
        return True
    if address.startswith("["):
        address = address[1:].partition("]")[0]
    elif address.count(":") == 1:
        address = address.partition(":")[0]
    if address.startswith("*") and host.endswith(address[1:]):
        return True
    name = address.lstrip("*.").rstrip(".")
    if not name:
        return False
    return (
        host == name
        or host.endswith(f".{name}")
        or (address.endswith(".") and host.startswith(address))
    )


def _is_in(host: str, network: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def host_of(origin: str) -> str:
    """Return the host of an origin, without brackets."""
    place = origin.partition("://")[2].partition("/")[0]
    if place.startswith("["):
        return place[1:].partition("]")[0]
    return place.partition(":")[0]
