"""Running an nginx with a configuration of ours, one process, nothing outside its folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.servers import Server, running
from benchmarks.tools import program

# `master_process off`: one process as on one worker, under the caller's user.
CONFIG = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    server_tokens off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 75s;
    keepalive_requests 100000000;
    absolute_redirect off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{http}
}}
"""


@contextmanager
def nginx(name: str, http: str, index_url: str) -> Iterator[Server]:
    """Run nginx with these directives in its `http` block until the `with` block ends."""
    found = program("nginx")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "nginx.conf"
        config.write_text(CONFIG.format(folder=folder, http=http))
        command: list[str | Path] = [found.path, "-e", "stderr", "-p", folder, "-c", config]
        with running(name, command, index_url, environ=found.environ) as server:
            yield server
