"""crane-pip's way of working, made again: `python thread_server.py INDEX_URL TOKEN_FILE PORT`.

crane-pip is in no registry, so this is its design in our words: one thread for each connection of
an HTTP/1.1 server without TCP_NODELAY, the token read from its file under a lock for each request,
whole bodies through urllib3's shared pool, head and body written apart.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit

import urllib3  # type: ignore[import-not-found, unused-ignore]

INDEX_URL, TOKEN_FILE = sys.argv[1], Path(sys.argv[2])
LOCK = threading.Lock()
ORIGIN = "://".join(urlsplit(INDEX_URL)[:2])


class Handler(BaseHTTPRequestHandler):
    """Answers one request after the other of one connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Fetch it whole, then send it; for HEAD its head."""
        with LOCK:
            token = json.loads(TOKEN_FILE.read_text())["access_token"]
        headers = {name: value for name, value in self.headers.items() if name != "Host"}
        headers["Authorization"] = f"Bearer {token}"
        base = INDEX_URL if self.path.endswith("/") else ORIGIN
        answer: Any = urllib3.request(
            self.command, base + self.path, headers=headers, decode_content=False
        )
        if "text/html" in answer.headers.get("Content-Type", ""):
            _ = "Not found" in answer.data.decode()
        print(f"{answer.status} for resource: {base + self.path}")
        self.send_response(answer.status)
        fields = {name.lower(): value for name, value in answer.headers.items()}
        fields.pop("transfer-encoding", None)
        fields.setdefault("content-length", str(len(answer.data)))
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        if answer.data:
            self.wfile.write(answer.data)

    do_HEAD = do_GET  # noqa: N815 - the name that the base class looks for


class Server(ThreadingMixIn, HTTPServer):
    """The listener."""

    daemon_threads = True


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[3])), Handler).serve_forever()
