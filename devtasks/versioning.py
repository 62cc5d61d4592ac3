"""Every place in which the one version of all distributions stands.

Plugins live in the environment of their tool, with a core that may be newer: they are bound to the
core's interface, which a release changes only in its first number that is not zero (semver.org §4).
The command line and the devserver are bound to the very core that they were released with.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OURS = ("crane-core", "crane-cli", "crane-devserver")
EXACT = ("crane-core", "crane-devserver")


def compatible(version: Version) -> str:
    """Return the range of cores that a plugin of this version works with."""
    lowest = f"{version.major}.{version.minor}"
    above = f"0.{version.minor + 1}" if version.major == 0 else f"{version.major + 1}"
    # A pre-release is before the version that it leads to.
    lowest = str(version) if version.is_prerelease else lowest
    return f">={lowest},<{above}"


def current(root: Path) -> Version:
    """Return the version that the tree has now."""
    text = (root / "packages/core/pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "([^"]+)"$', text, re.MULTILINE)
    assert found is not None
    return Version(found[1])


def rewritten(root: Path, version: Version) -> Iterator[tuple[Path, str]]:
    """Yield each file that has the version in it, with its text for another one."""
    for path in sorted(root.glob("packages/*/pyproject.toml")):
        text = path.read_text(encoding="utf-8")
        text = _once(r'^version = "[^"]+"$', f'version = "{version}"', text, path)
        for name in EXACT:
            text = re.sub(rf'"{name}==[^"]+"', f'"{name}=={version}"', text)
        text = re.sub(r'"crane-core>=[^"]+"', f'"crane-core{compatible(version)}"', text)
        yield path, text
    for path in sorted(root.glob("packages/*/src/*/__init__.py")):
        text = path.read_text(encoding="utf-8")
        if "__version__ = " in text:
            yield path, _once(r'^__version__ = "[^"]+"$', f'__version__ = "{version}"', text, path)
    lock = root / "uv.lock"
    text = lock.read_text(encoding="utf-8")
    for name in OURS:
        line = rf'^(name = "{name}"\nversion = )"[^"]+"$'
        text = _once(line, rf'\g<1>"{version}"', text, lock)
    yield lock, text


def dated(changes: str, version: Version, day: str) -> str:
    """Return the list of changes with what is unreleased under a version. Raises `ValueError`."""
    head, mark, rest = changes.partition("## Unreleased\n")
    news = rest.partition("\n## ")[0]
    if not mark or not news.strip():
        raise ValueError("CHANGELOG.md has nothing under Unreleased")
    if re.search(rf"^## {re.escape(str(version))}\b", changes, re.MULTILINE):
        raise ValueError(f"CHANGELOG.md has a section of {version} already")
    return f"{head}{mark}\n## {version} ({day})\n{rest}"


def _once(pattern: str, text: str, whole: str, path: Path) -> str:
    changed, count = re.subn(pattern, text, whole, flags=re.MULTILINE)
    if count != 1:
        raise ValueError(f"{path} has {count} lines like {pattern}")
    return changed
