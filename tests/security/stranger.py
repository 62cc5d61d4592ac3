"""What another user of the machine can find out: run as that user, it prints all that it can read.

Arguments: the user's id; a JSON object of folders to walk, ports to ask, processes to look at, the
host that is served there, and the login of a view, as if it had been found out somewhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    uid, wanted = int(sys.argv[1]), json.loads(sys.argv[2])
    # What Python imports late might be out of that user's reach.
    "localhost".encode("idna")
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    found = {
        "files": [path for folder in wanted["folders"] for path in readable(folder)],
        "processes": [path for pid in wanted["processes"] for path in secrets_of(pid)],
        "commands": commands(),
        "answers": [
            ask(port, request.encode())
            for port in wanted["ports"]
            for request in requests(port, wanted["host"], wanted["login"])
        ],
    }
    print(json.dumps(found))


def readable(folder: str) -> list[str]:
    """Return what can be opened, or listed, below a folder."""
    found = []
    for root, folders, names in os.walk(folder, onerror=lambda _: None):
        if root != folder or folders or names:
            found.append(root)
        found += [str(path) for name in names if can_read(path := Path(root, name))]
    return found


def can_read(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError:
        return False
    return True


def secrets_of(pid: int) -> list[str]:
    """Return what of a process can be read that others have no business with."""
    process = Path("/proc", str(pid))
    found = [str(path) for n in ("environ", "maps", "io") if can_read(path := process / n)]
    with contextlib.suppress(OSError):
        found += [str(path) for path in (process / "fd").iterdir()]
    return found


def commands() -> str:
    """Return all command lines of the machine, which everybody may read."""
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            lines.append((process / "cmdline").read_text(errors="replace"))
    return "\n".join(lines)


def requests(port: int, host: str, login: str) -> list[str]:
    here = f"host: 127.0.0.1:{port}\r\nconnection: close\r\n"
    return [
        f"CONNECT {host}:443 HTTP/1.1\r\nhost: {host}\r\n\r\n",
        f"CONNECT {host}:443 HTTP/1.1\r\nhost: {host}\r\n{login}\r\n",
        f"GET http://{host}/python/ HTTP/1.1\r\nhost: {host}\r\n{login}\r\n",
        f"GET /-/agent/status HTTP/1.1\r\n{here}\r\n",
        f"GET /python/simple/firm-lib/ HTTP/1.1\r\n{here}\r\n",
        f"GET /-/ HTTP/1.1\r\n{here}\r\n",
    ]


def ask(port: int, request: bytes) -> list[Any]:
    """Return the status and the body of an answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer or b"connection: close" in answer.lower():
            data = connection.recv(65536)
            if not data:
                break
            answer += data
    return [request.decode().partition(" HTTP")[0], answer.decode("latin-1")]


if __name__ == "__main__":
    main()
