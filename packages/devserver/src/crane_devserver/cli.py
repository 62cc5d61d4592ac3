"""The command ``crane-devserver``: the demo, in the foreground."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from .demo import DEMO_USERS, demo_server
from .running import base_url, bound_socket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .devserver import DevServer

_BANNER = """A private index to try crane with:

  index     {base}/demo/            folder listings
            {base}/pages/simple/    index pages with hashes
  provider  {issuer}    (client id crane-pip)
  users     {users}

Press Ctrl+C to stop.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the demo repository until interrupted."""
    options = _parser().parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="crane-devserver-") as temporary:
        server = demo_server(options.folder or Path(temporary))
        try:
            return _serve(server, options.host, options.port)
        except OSError as error:
            sys.stderr.write(f"crane-devserver: cannot listen on port {options.port}: {error}\n")
            return 1


def _serve(server: DevServer, host: str, port: int) -> int:
    with bound_socket(host, port) as listener:
        server.served_at(base_url(listener, host, tls=False))
        sys.stdout.write(_banner(server))
        # Whoever started us with a pipe waits for these lines.
        sys.stdout.flush()
        config = uvicorn.Config(
            server, lifespan="off", ws="none", log_level="warning", server_header=False
        )
        try:
            uvicorn.Server(config).run([listener])
        except KeyboardInterrupt:
            # The ordinary end of a server in the foreground.
            return 0
    return 0


def _banner(server: DevServer) -> str:
    users = ", ".join(f"{name} / {password}" for name, (password, _) in DEMO_USERS.items())
    return _BANNER.format(base=server.base_url, issuer=server.provider.issuer, users=users)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="crane-devserver",
        description="A private package index behind a login, for demos and tests.",
    )
    parser.add_argument("--port", type=int, default=8484, help="0 takes a free one (default: 8484)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--folder", type=Path, help="keep the demo's files here")
    return parser
