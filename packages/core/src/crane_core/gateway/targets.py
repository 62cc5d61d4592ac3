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
    from collections.abc import Iterator, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
# RFC 9112 §3.2.3: host and port, nothing else; an address's zone is of one machine only.
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\s%\\]+):([0-9]{1,5})", re.ASCII)
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")
_BROADCAST = ipaddress.ip_address("255.255.255.255")
_IPV4_AT_THE_END = [
    ipaddress.ip_network(network)
    for network in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")
]
# As Debian, Red Hat and others have them in /etc/hosts; a proxy looks them up in its own.
_LOCAL_NAMES = frozenset({
    "ip6-localhost", "ip6-loopback", "localhost.localdomain", "localhost6",
    "localhost6.localdomain6",
})  # fmt: skip
# What a cloud's machine asks for its secrets, where that is not link-local: at Amazon, Google,
# Alibaba, Azure and Oracle.
_METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16",
                    "192.0.0.192")
)  # fmt: skip
_METADATA_NAMES = frozenset({"metadata.google.internal", "instance-data.ec2.internal"})


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
    if is_loopback(host) or host in _LOCAL_NAMES or host.endswith(".localhost"):
        raise TargetRefused(f"{host} is this machine: reach it without a proxy")
    if host in _METADATA_NAMES:
        raise TargetRefused(f"{host} tells the secrets of a machine: crane builds no tunnel to it")
    if address := _spelled(host):
        refuse_address(host, address)


def _spelled(host: str) -> str | None:
    """Return the address that a host is, also as inet_aton(3) reads it: 127.1, 0x7f000001.

    We may not read it so, but a proxy that is asked for the tunnel might.
    """
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def refuse_address(host: str, text: str) -> None:
    """Raise `TargetRefused` for an address that is not another machine's."""
    for address in _meanings(ipaddress.ip_address(text.partition("%")[0])):
        if (
            address.is_loopback
            or address.is_link_local
            or address.is_unspecified
            or address.is_multicast
            or address == _BROADCAST
            or address in _METADATA
            or (address.version == 4 and address in _THIS_NETWORK)
            or (address.version == 6 and address.is_site_local)
        ):
            raise TargetRefused(f"{host} is at {address}, where crane builds no tunnel to")


def _meanings(address: Address) -> Iterator[Address]:
    """Yield an address, and the IPv4 one in it that it may stand for.

    RFC 4291 §2.5.5 (compatible, mapped), 6052 and 8215 (NAT64), 2765 (translated), 3056 (6to4),
    4380 (Teredo).
    """
    yield address
    if address.version == 4:
        return
    assert isinstance(address, ipaddress.IPv6Address)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield address.teredo[1]
    if any(address in network for network in _IPV4_AT_THE_END):
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
