"""Pages that Poetry's cache is given by a thread, in Poetry's own environment."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from poetry.kit import VERSIONS, Poetries

# A page with an ETag at a real server, asked for by sessions one after the other, as Poetry's runs
# are. The disk that is full is made up: the cache's second file, the body, cannot be written.
SCRIPT = """\
import http.server, json, sys, threading
import requests
from cachecontrol import CacheControlAdapter
from cachecontrol.caches import SeparateBodyFileCache
from poetry_plugin_crane import adapters

text, asked = "one", []

class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        known = self.headers.get("If-None-Match")
        asked.append(known)
        self.send_response(304 if known == f'"{text}"' else 200)
        self.send_header("ETag", f'"{text}"')
        self.send_header("Cache-Control", "no-cache")
        body = b"" if known == f'"{text}"' else text.encode() * 9
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass

class Route:
    def way(self, url): return None
    def is_to_be_asked(self, url): return False

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
threading.Thread(target=server.serve_forever, daemon=True).start()
page = f"http://127.0.0.1:{server.server_port}/simple/lib/"
kept = SeparateBodyFileCache(sys.argv[1])

def run(url, times=1):
    adapter = adapters._like(CacheControlAdapter(cache=kept), Route())
    with requests.Session() as session:
        session.mount("http://", adapter)
        got = [session.get(url).text for _ in range(times)]
        adapter.controller.writer.shutdown()
        return got

said = {"first": run(page, times=2), "again": run(page), "asked": list(asked)}
text, write = "two", kept.set_body
def full(*_): raise OSError(28, "No space left on device")
kept.set_body = full
said["full"] = run(page)
kept.set_body = write
said["later"] = run(page)
asked.clear()
said["metadata"] = run(page + "lib-1.0-py3-none-any.whl.metadata", times=2)
said["unkept"] = list(asked)
print(json.dumps(said))
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_page_is_kept_whole_or_not_at_all(
    poetries: Poetries, version: str, tmp_path: Path
) -> None:
    python = poetries.poetry(version).parent / "python"
    done = subprocess.run(
        [python, "-c", SCRIPT, tmp_path / "kept"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "first": ["one" * 9] * 2,
        "again": ["one" * 9],
        "asked": [None, '"one"', '"one"'],
        "full": ["two" * 9],
        "later": ["two" * 9],
        "metadata": ["two" * 9] * 2,
        "unkept": [None, None],
    }
