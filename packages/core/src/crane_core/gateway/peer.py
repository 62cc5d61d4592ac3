"""Which user a loopback connection comes from, where the system tells."""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
from pathlib import Path

TABLES = {4: Path("/proc/net/tcp"), 6: Path("/proc/net/tcp6")}
# sock_diag(7), in numbers, since Python's socket module has no names for them.
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST = 1
_NO_COOKIE = 0xFFFFFFFF
_ALL_STATES = 0xFFFFFFFF
_UID_AT = 16 + 4 + 48 + 12  # after the header, four bytes, the two ends, three numbers
# Nobody's: of a socket that its process has closed Linux says that it is root's.
GONE = -1


def peer_uid(
    peer: tuple[str, int], own: tuple[str, int], *, system: str = sys.platform
) -> int | None:
    """Return the user id that owns the other end of a TCP connection on this machine.

    Linux tells by netlink, about this one connection; where that is not allowed, in
    /proc/net/tcp. `GONE` where its process has closed it, None where it cannot be known.
    """
    if system != "linux":
        return None
    try:
        return _asked(peer, own)
    except (OSError, ValueError, struct.error):
        return _listed(peer, own)


def _asked(peer: tuple[str, int], own: tuple[str, int]) -> int:
    """Ask the kernel for the socket with exactly these two ends (sock_diag(7)).

    Raises `OSError`, `ValueError` or `struct.error` where it gives no answer.
    """
    family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
    addresses = b"".join(socket.inet_pton(family, a).ljust(16, b"\0") for a, _ in (peer, own))
    ends = struct.pack("!HH", peer[1], own[1]) + addresses
    ends += struct.pack("=III", 0, _NO_COOKIE, _NO_COOKIE)
    question = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, _ALL_STATES) + ends
    head = struct.pack("=IHHII", 16 + len(question), _SOCK_DIAG_BY_FAMILY, _REQUEST, 1, 0)
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(1.0)
        kernel.sendto(head + question, (0, 0))
        answer = kernel.recv(8192)
    if struct.unpack_from("=IH", answer)[1] != _SOCK_DIAG_BY_FAMILY:
        raise ValueError("no such socket, or the question is not allowed")
    uid: int
    inode: int
    uid, inode = struct.unpack_from("=II", answer, _UID_AT)
    return uid if inode else GONE


def _listed(peer: tuple[str, int], own: tuple[str, int]) -> int | None:
    """Look for the entry whose local address is our peer's and whose remote one is ours (proc(5)).

    The kernel walks its whole table for it: some milliseconds.
    """
    for ends in ((peer, own), (_mapped(peer), _mapped(own))):
        try:
            table = TABLES[ipaddress.ip_address(ends[0][0]).version].read_text(encoding="ascii")
            wanted = _hex(ends[0]), _hex(ends[1])
        except (OSError, ValueError):
            continue
        for line in table.splitlines()[1:]:
            columns = line.split()
            if len(columns) > 9 and (columns[1], columns[2]) == wanted:
                return int(columns[7]) if columns[9] != "0" else GONE
    return None


def _mapped(endpoint: tuple[str, int]) -> tuple[str, int]:
    """Return an IPv4 address as a socket of IPv6 has it that speaks IPv4 (RFC 4291 §2.5.5.2)."""
    return f"::ffff:{endpoint[0]}", endpoint[1]


def _hex(endpoint: tuple[str, int]) -> str:
    packed = ipaddress.ip_address(endpoint[0]).packed
    # Each 32-bit word stands in the machine's own byte order.
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{endpoint[1]:04X}"
