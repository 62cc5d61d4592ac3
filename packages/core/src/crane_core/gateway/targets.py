"""Where a tunnel may lead: to other machines, never back into this one."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from typing import TYPE_CHECKING

from crane_core.errors import InvalidURL
from crane_core.urls import Origin, is_loopback, origin_of

if TYPE_CHECKING:
    from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
# RFC 9112 §3.2.3: host and port, nothing else; an address's zone is of one machine only.
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\s%\\]+):([0-9]{1,5})", re.ASCII)
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")
_BROADCAST = ipaddress.ip_address("255.255.255.255")


class TargetRefused(Exception):
    """A tunnel that is not to be built; the text says why."""


class TargetUnreachable(Exception):
    """A tunnel that cannot be built; the text says why."""


def read_authority(text: str, scheme: str = "https") -> Origin:
    """Return the origin that an authority-form target names. Raises `TargetRefused`.

    httpx and older versions of Python leave the brackets of an IPv6 address out.
    """
    host, _, port = text.rpartition(":")
    if _is_ipv6(host):
        text = f"[{host}]:{port}"
    if _AUTHORITY.fullmatch(text) is None:
        raise TargetRefused("the target of CONNECT is not HOST:PORT")
    try:
        return plain(origin_of(f"{scheme}://{text}"))
    except InvalidURL as error:
        raise TargetRefused(error.message) from None


def read_target(target: bytes) -> Origin:
    """Return the origin of an absolute-form target (RFC 9112 §3.2.2). Raises `TargetRefused`."""
    try:
        text = target.decode("ascii")
    except UnicodeDecodeError:
        raise TargetRefused("that is no URL") from None
    scheme, _, rest = text.partition("://")
    if scheme.lower() != "http":
        raise TargetRefused("only http:// URLs are asked for like this; https goes by CONNECT")
    if "@" in rest.partition("/")[0]:
        raise TargetRefused("a URL to ask for holds no login")
    try:
        return plain(origin_of(f"http://{rest}"))
    except InvalidURL as error:
        raise TargetRefused(error.message) from None


def _is_ipv6(text: str) -> bool:
    try:
        return "%" not in text and ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def plain(origin: Origin) -> Origin:
    """Return the origin with an address in its one spelling (RFC 5952)."""
    try:
        return Origin(origin.scheme, str(ipaddress.ip_address(origin.host)), origin.port)
    except ValueError:
        return origin


async def resolve(origin: Origin) -> Sequence[AddressInfo]:
    """Return the addresses of a host, all of them on other machines.

    A name that leads here even once leads nowhere: it is somebody's trick, or a mistake. Raises
    `TargetRefused` or `TargetUnreachable`.
    """
    refuse_local_name(origin)
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(
            origin.host, origin.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise TargetUnreachable(f"{origin.host} is not known here ({reason})") from None
    for info in found:
        refuse_address(origin.host, str(info[4][0]))
    return found  # type: ignore[return-value]


def refuse_local_name(origin: Origin) -> None:
    """Raise `TargetRefused` for a name or address that is this machine's own by its spelling."""
    host = origin.host
    if is_loopback(host) or host.endswith(".localhost"):
        raise TargetRefused(f"{host} is this machine: reach it without a proxy")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return
    refuse_address(host, host)


def refuse_address(host: str, text: str) -> None:
    """Raise `TargetRefused` for an address that is not another machine's."""
    address = _unmapped(ipaddress.ip_address(text.partition("%")[0]))
    if (
        address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or address.is_multicast
        or address == _BROADCAST
        or (address.version == 4 and address in _THIS_NETWORK)
    ):
        raise TargetRefused(f"{host} is at {address}, where crane builds no tunnel to")


def _unmapped(address: Address) -> Address:
    """Return the IPv4 address inside an IPv6 one that stands for it (RFC 4291 §2.5.5, RFC 6052)."""
    if address.version == 4:
        return address
    assert isinstance(address, ipaddress.IPv6Address)
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
