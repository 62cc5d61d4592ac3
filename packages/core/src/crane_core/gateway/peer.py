"""Which user a loopback connection comes from, where the system tells."""

from __future__ import annotations

import ipaddress
import struct
import sys
from pathlib import Path

TABLES = {4: Path("/proc/net/tcp"), 6: Path("/proc/net/tcp6")}


def peer_uid(peer: tuple[str, int], own: tuple[str, int]) -> int | None:
    """Return the user id that owns the other end of a TCP connection on this machine.

    Linux lists it in /proc/net/tcp (proc(5)): the entry whose local address is our peer's and
    whose remote address is ours. None where that cannot be known.
    """
    if sys.platform != "linux":
        return None
    try:
        address = ipaddress.ip_address(peer[0])
        table = TABLES[address.version].read_text(encoding="ascii")
        wanted = (_hex(peer), _hex(own))
    except (OSError, ValueError):
        return None
    for line in table.splitlines()[1:]:
        columns = line.split()
        if len(columns) > 7 and (columns[1], columns[2]) == wanted:
            return int(columns[7])
    return None


def _hex(endpoint: tuple[str, int]) -> str:
    packed = ipaddress.ip_address(endpoint[0]).packed
    # Each 32-bit word stands in the machine's own byte order.
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{endpoint[1]:04X}"
