"""The gateway's status page as Chromium shows it, at a desk and on a phone."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from browser.chromium import running_chromium

from devtasks.pictures.scene import SHOWN_ORIGIN, Desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHAPES: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1024, "height": 640}},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True},
}
ASKED = (
    "simple/crane-demo-hello/",
    "simple/crane-demo-colors/",
    "simple/iniconfig/",
    "simple/nobody-has-it/",
)
# The page is what the gateway has made, but for origins and times of day.
FIXED = """([origin, shown]) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) walker.currentNode.data =
    walker.currentNode.data.replaceAll(origin, shown)
  document.querySelectorAll('td[data-label=Time]').forEach((cell, i) => {
    cell.textContent = `09:41:0${Math.max(0, 9 - i)}`
  })
}"""


def shapes(desk: Desk, out: Path) -> list[Path]:
    """Use a gateway for a while, and return a picture of its status page in each shape."""
    made = []
    with serving(desk) as url, running_chromium() as browser:
        use(f"{url}/demo")
        for shape, options in SHAPES.items():
            context = browser.new_context(**options, color_scheme="light")
            page = context.new_page()
            page.goto(f"{url}/-/")
            page.evaluate(FIXED, [desk.index_url.removesuffix("/demo"), SHOWN_ORIGIN])
            picture = out / f"status-{shape}.png"
            page.screenshot(path=picture, full_page=True)
            context.close()
            made.append(picture)
    return made


@contextmanager
def serving(desk: Desk) -> Iterator[str]:
    """Run `crane serve`, and yield its origin."""
    process = subprocess.Popen(
        ["crane", "serve", "--port", "0"], env={**desk.environ}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        said = ""
        for line in process.stdout:
            said += line
            if found := re.search(r"(http://127\.0\.0\.1:\d+)/demo/", line):
                yield found[1]
                return
        raise SystemExit(f"crane serve does not serve:\n{said}")
    finally:
        process.terminate()
        process.communicate()


def use(index: str) -> None:
    """Ask for what pip would: pages, a private file, and a name that nobody has."""
    for path in ASKED:
        request = urllib.request.Request(
            f"{index}/{path}", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                page = json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
            continue
        file = page["files"][-1]["url"]
        if "demo" in path:
            with urllib.request.urlopen(file, timeout=60) as answer:
                answer.read()
