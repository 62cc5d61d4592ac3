"""The index that is measured against: nginx with static files, behind a static login.

The same files are there in six ways, each on a port of its own, since what a proxy may keep and
what a tool may skip depend on the server.
"""

from __future__ import annotations

import base64
import re
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.certificates import HOST, Certificates
from benchmarks.nginx import nginx
from benchmarks.servers import free_port

USER, PASSWORD, TOKEN = "bench", "bench-password", "bench-token"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

MAPS = f"""\
    map $http_authorization $known {{
        default 0;
        "Bearer {TOKEN}" 1;
        "Basic {BASIC}" 1;
    }}
    map $known $challenge {{ 0 'Basic realm="bench"'; 1 ''; }}
    map $http_accept $form {{
        default html;
        "~application/vnd\\.pypi\\.simple\\.v1\\+json" json;
    }}
    open_file_cache max=4000;
"""

SERVER = """\
    server {{
        listen 127.0.0.1:{port};
        if ($known = 0) {{ return 401; }}
        add_header WWW-Authenticate $challenge always;
        add_header Cache-Control "{cache}";
        location /repo/simple/ {{
            alias {site}/{pages}/;
            index index.$form;
            types {{ application/vnd.pypi.simple.v1+json json; text/html html; }}
            add_header Cache-Control "{cache}";
            add_header Vary Accept;
            gzip_static {packed};
        }}
        location /repo/files/ {{
            alias {site}/files/;
            types {{ }}
            default_type application/octet-stream;
            {files}
        }}
    }}
"""

STATUS = """\
    server {{
        listen 127.0.0.1:{port};
        location / {{ stub_status; }}
    }}
"""


@dataclass(frozen=True)
class Variant:
    """One way to serve the files."""

    cache: str = "max-age=600"
    pages: str = "simple"
    files: str = ""
    tls: bool = False
    packed: bool = False

    def server(self, port: int, site: Path) -> str:
        """Return nginx's directives for it."""
        return SERVER.format(
            port=f"{port} ssl http2" if self.tls else port,
            site=site.resolve(),
            cache=self.cache,
            pages=self.pages,
            files=self.files,
            packed="on" if self.packed else "off",
        )


NO_METADATA = "location ~ \\.metadata$ { return 404; }"
VARIANTS = {
    "fresh": Variant(),
    "ask": Variant(cache="no-cache"),
    "bare": Variant(pages="bare", files=NO_METADATA),
    # As a Crane server's: neither metadata nor parts of files.
    "plain": Variant(pages="bare", files=f"{NO_METADATA} max_ranges 0;"),
    "tls": Variant(tls=True),
    # As PyPI's: large, and packed.
    "large": Variant(pages="large", tls=True, packed=True),
}


@dataclass(frozen=True)
class Upstream:
    """The running index: its port for each variant."""

    ports: Mapping[str, int]
    status_port: int
    certificates: Certificates

    def url(self, variant: str, *, login: bool = True, port: int | None = None) -> str:
        """Return the repository's URL, with the user's name and password if `login`.

        `port` names a relay that leads there.
        """
        user = f"{USER}:{PASSWORD}@" if login else ""
        place = f"{port or self.ports[variant]}/repo"
        if VARIANTS[variant].tls:
            return f"https://{user}{HOST}:{place}"
        return f"http://{user}127.0.0.1:{place}"

    def requests(self) -> int:
        """Return how many requests it has answered so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.status_port}/") as response:
            text = response.read().decode()
        counts = re.search(r"^ (\d+) (\d+) (\d+)", text, re.MULTILINE)
        assert counts is not None, text
        return int(counts[3])


@contextmanager
def upstream(site: Path) -> Iterator[Upstream]:
    """Serve a folder that `benchmarks.site` has written."""
    with tempfile.TemporaryDirectory() as folder:
        certificates = Certificates.made_in(Path(folder))
        ports = {name: free_port() for name in VARIANTS}
        served = Upstream(ports, free_port(), certificates)
        blocks = [variant.server(ports[name], site) for name, variant in VARIANTS.items()]
        status = STATUS.format(port=served.status_port)
        http = "\n".join([MAPS, certificates.directives(), *blocks, status])
        with nginx("upstream", http, served.url("fresh", login=False) + "/simple/"):
            yield served
