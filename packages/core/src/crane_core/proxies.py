"""Which proxy stands before a host: the environment's variables, read as httpx2 reads them.

httpx2 itself refuses to start where one of them is a SOCKS proxy, though another would do. aiohttp
would read `~/.netrc` along with them, and knows another NO_PROXY.
"""

from __future__ import annotations

import base64
import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

from crane_core.errors import InvalidURL, UsageError
from crane_core.secret import Secret
from crane_core.urls import DEFAULT_PORTS, Origin, origin_of

if TYPE_CHECKING:
    from collections.abc import Mapping

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy's URL, without the login that it may want to see."""

    url: str
    login: Secret | None = None

    @property
    def speaks_tls(self) -> bool:
        """Whether the way to the proxy itself is encrypted."""
        return self.url.startswith("https://")


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxy for each scheme, `all` for the others, and the hosts that are reached directly."""

    by_scheme: Mapping[str, Proxy | None] = field(default_factory=dict)
    exempt: tuple[_Exemption, ...] = ()

    def before(self, origin: Origin) -> Proxy | None:
        """Return the proxy before a host, None if there is none."""
        if not self.by_scheme or any(exemption.holds_for(origin) for exemption in self.exempt):
            return None
        return self.by_scheme.get(origin.scheme, self.by_scheme.get("all"))


@dataclass(frozen=True, slots=True)
class _Exemption:
    """An entry of NO_PROXY: a host, hosts below a domain, or a network."""

    scheme: str  # empty: any
    host: str
    port: int | None  # None: any
    itself: bool = True
    below: bool = False
    network: Network | None = None

    def holds_for(self, origin: Origin) -> bool:
        if self.scheme not in {"", origin.scheme}:
            return False
        # As httpx2: a URL without a port, or with its scheme's own one, has none.
        port = None if origin.port == DEFAULT_PORTS[origin.scheme] else origin.port
        if self.port is not None and self.port != port:
            return False
        if self.network is not None:
            return _is_in(origin.host, self.network)
        if self.below and origin.host.endswith(f".{self.host}"):
            return True
        return self.itself and origin.host == self.host


def environment_proxies() -> Proxies:
    """Return the proxies of the environment, or of the system where it has none.

    Raises `UsageError`.
    """
    return proxies_of(getproxies())


def proxies_of(found: Mapping[str, str]) -> Proxies:
    """Return the proxies that these variables name (`http`, `https`, `all`, `no`).

    `all` is not looked at where both others are given: desktops set a SOCKS proxy there, which
    nothing of ours could use. Raises `UsageError`.
    """
    entries = [entry.strip() for entry in found.get("no", "").split(",")]
    if "*" in entries:
        return Proxies()
    try:
        given = [scheme for scheme in ("http", "https", "all") if found.get(scheme)][:2]
        by_scheme: dict[str, Proxy | None] = {scheme: _proxy(found[scheme]) for scheme in given}
        by_scheme |= {e.removesuffix("://"): None for e in entries if e.endswith("://")}
    except (ValueError, InvalidURL) as error:
        raise _unusable(error) from None
    exemptions = [_exemption(entry) for entry in entries if entry]
    return Proxies(by_scheme, tuple(e for e in exemptions if e is not None))


def _unusable(error: Exception) -> UsageError:
    """Return our error for what a proxy variable holds, without showing that: a password, maybe."""
    return UsageError(
        f"a proxy variable cannot be used ({type(error).__name__})",
        hint="HTTPS_PROXY and the like take http:// and https:// proxies",
    )


def _proxy(url: str) -> Proxy:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    # Refuses all but http and https, and ports that are none.
    origin = origin_of(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")
    if not parts.username and not parts.password:
        return Proxy(str(origin))
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return Proxy(str(origin), Secret("Basic " + base64.b64encode(login.encode()).decode()))


def _exemption(entry: str) -> _Exemption | None:
    """Read an entry of NO_PROXY; None if it is none, which curl and httpx2 pass over too."""
    scheme, found, place = entry.rpartition("://")
    address, slash, bits = place.partition("/")
    if address.count(":") > 1 and not address.startswith("["):
        address = f"[{address}]"
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname or "", parts.port
        if slash and bits:
            network = ipaddress.ip_network(f"{host}/{int(bits)}", strict=False)
            return _Exemption(scheme, host, port, network=network)
    except ValueError:
        return None
    scheme = "" if scheme.lower() == "all" else scheme.lower()
    if found and port == DEFAULT_PORTS.get(scheme):
        port = None
    return _named(scheme, host, port, exact=bool(found) or host == "localhost")


def _named(scheme: str, host: str, port: int | None, *, exact: bool) -> _Exemption | None:
    if host.startswith("*") and not host.startswith("*.") and not exact:
        return None  # httpx2 puts its own `*` before it
    name = host.removeprefix("*").removeprefix(".")
    try:
        name = origin_of(f"https://{f'[{name}]' if ':' in name else name}").host
    except InvalidURL:
        return None
    only_below = host.startswith(("*.", "."))
    below = host.startswith("*") or not exact
    return _Exemption(scheme, name, port, itself=not only_below, below=below)


def _is_in(host: str, network: Network) -> bool:
    try:
        return ipaddress.ip_address(host) in network
    except ValueError:
        return False
