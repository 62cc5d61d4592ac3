"""A private index to try things with: two packages, three users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .devserver import DevServer
from .repository import Repository
from .simple_pages import write_simple_pages
from .wheels import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from .idp.models import Users
    from .idp.settings import ProviderSettings

READERS = frozenset({"demo-readers"})
WRITERS = frozenset({"demo-writers"})

DEMO_USERS: Users = {
    "ada": ("ada", ("demo-readers", "demo-writers")),
    "ben": ("ben", ("demo-readers",)),
    "eve": ("eve", ()),
}
"""ada reads and uploads, ben reads, eve has no rights. Each password is the name."""

_COLORS = '''"""Colours for the terminal."""


def green(text):
    return f"\\x1b[32m{text}\\x1b[0m"
'''

_HELLO = '''"""A private package that greets."""

import iniconfig

from crane_demo_colors import green


def main():
    print(green("Hello from a private package!"), f"({iniconfig.__name__} came along)")
'''

_MAIN = "from crane_demo_hello import main\n\nmain()\n"


def demo_repository(folder: Path) -> Path:
    """Fill ``folder`` with the private packages, laid out as on a Crane server.

    ``crane-demo-hello`` needs ``crane-demo-colors``, private too, and ``iniconfig`` from
    PyPI; ``python -m crane_demo_hello`` and its console script print a line.
    """
    make_wheel(
        folder / "crane-demo-colors",
        "crane-demo-colors",
        "1.0.0",
        files={"crane_demo_colors/__init__.py": _COLORS},
    )
    make_wheel(
        folder / "crane-demo-hello",
        "crane-demo-hello",
        "1.0.0",
        requires=["crane-demo-colors>=1", "iniconfig"],
        files={"crane_demo_hello/__init__.py": _HELLO, "crane_demo_hello/__main__.py": _MAIN},
        scripts={"crane-demo-hello": "crane_demo_hello:main"},
    )
    return folder


def demo_server(folder: Path, *, settings: ProviderSettings | None = None) -> DevServer:
    """Make the demo: ``/demo/`` is a plain folder, ``/pages/simple/`` has index pages."""
    plain = demo_repository(folder / "demo")
    pages = demo_repository(folder / "pages")
    write_simple_pages(pages)
    repositories = [
        Repository(name, root, read_groups=READERS, write_groups=WRITERS)
        for name, root in (("demo", plain), ("pages", pages))
    ]
    return DevServer(repositories, DEMO_USERS, settings=settings)
