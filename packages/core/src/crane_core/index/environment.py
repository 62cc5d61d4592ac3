"""Which Python and machine a tool installs for, as far as its User-Agent tells."""

from __future__ import annotations

import json
import platform
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from packaging.tags import (
    Tag,
    compatible_tags,
    cpython_tags,
    generic_tags,
    mac_platforms,
    platform_tags,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_USER_AGENT = 4096
# pip, uv and Hatch send what PyPI's statistics ask for: NAME/VERSION {JSON}, Hatch with more.
_WITH_JSON = re.compile(r"(?:pip|uv|hatch)/\S+ (\{.*\})", re.IGNORECASE)
# Poetry and PDM: NAME/VERSION CPython/3.11.7 Linux/6.1. Of PyPy they tell PyPy's own version,
# which does not say the Python version. Poetry lets its user put text in between.
_WITHOUT_JSON = re.compile(r"(?:poetry|pdm)/\S+ (?:.* )?CPython/(\S+) (\w+)/")
# As long as plausible: every number of these makes tags.
_VERSION = re.compile(r"(\d{1,2})\.(\d{1,2})(?!\d)(?:\.(\d{1,3})(?!\d))?")
_SYS_PLATFORMS = {"Linux": "linux", "Darwin": "darwin", "Windows": "win32"}
_WINDOWS = {"amd64": "win_amd64", "x86_64": "win_amd64", "arm64": "win_arm64"}
_OLD_MANYLINUX = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True, slots=True)
class ToolEnvironment:
    """What a tool installs for: a Python version, the values of markers, and the tags it takes.

    `tags` are the best first. `python` is a release (X.Y.Z), as `Requires-Python` is compared.
    """

    python: str
    marker_values: tuple[tuple[str, str], ...]
    tags: tuple[Tag, ...] = field(repr=False)
    _ranks: dict[Tag, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ranks = {tag: rank for rank, tag in reversed(list(enumerate(self.tags)))}
        object.__setattr__(self, "_ranks", ranks)

    @property
    def markers(self) -> dict[str, str]:
        """The values of PEP 508's marker variables, all but `extra`."""
        return dict(self.marker_values)

    def rank(self, tags: Iterable[Tag]) -> int | None:
        """Return how good the best of a wheel's tags is (0 is best); None if none is supported."""
        return min((self._ranks[tag] for tag in tags if tag in self._ranks), default=None)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of a tool's Python and machine; `platforms` are the best first."""

    python: str
    implementation: str
    implementation_version: str
    system: str
    release: str
    machine: str
    platforms: tuple[str, ...]


def is_installer(user_agent: str) -> bool:
    """Whether `environment_of` is worth asking, which takes tens of milliseconds."""
    if len(user_agent) > MAX_USER_AGENT:
        return False
    return bool(_WITH_JSON.match(user_agent) or _WITHOUT_JSON.match(user_agent))


@lru_cache(maxsize=32)
def environment_of(user_agent: str) -> ToolEnvironment | None:
    """Return what pip, uv, Hatch, Poetry or PDM installs for; None if that cannot be told.

    It is a guess, good for fetching ahead: a tool may resolve for other environments as well
    (`uv lock`, `poetry lock`, `pip download --platform`), and Poetry and PDM name the Python
    that they run on themselves. Nothing that decides may depend on it.
    """
    if len(user_agent) > MAX_USER_AGENT:
        return None
    if found := _WITH_JSON.match(user_agent):
        facts = _told(found[1])
    elif found := _WITHOUT_JSON.match(user_agent):
        facts = _of_this_machine(found[1], found[2])
    else:
        facts = None
    version = _VERSION.match(facts.python) if facts else None
    return _environment(facts, version) if facts and version and version[1] == "3" else None


def _told(text: str) -> _Facts | None:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    system, machine = _text(data, "system", "name"), _text(data, "cpu")
    implementation = _text(data, "implementation", "name")
    if not (system and machine and implementation):
        return None
    return _Facts(
        python=_text(data, "python"),
        implementation=implementation,
        implementation_version=_text(data, "implementation", "version"),
        system=system,
        release=_text(data, "system", "release"),
        machine=machine,
        platforms=tuple(_platforms(data, system, machine.lower())),
    )


def _text(data: Any, *keys: str) -> str:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, str) else ""


def _of_this_machine(python: str, system: str) -> _Facts | None:
    if system != platform.system():
        return None
    release, machine = platform.release(), platform.machine()
    return _Facts(python, "CPython", python, system, release, machine, tuple(platform_tags()))


def _platforms(data: Any, system: str, machine: str) -> Iterator[str]:
    if system == "Linux":
        libc = _text(data, "distro", "libc", "lib"), _text(data, "distro", "libc", "version")
        yield from linux_platforms(machine, *libc)
    elif system == "Darwin":
        version = _numbers(_text(data, "distro", "version")) or (11, 0)
        yield from mac_platforms(version, machine)
    elif system == "Windows":
        yield _WINDOWS.get(machine, "win32")
    else:
        release = _text(data, "system", "release")
        yield re.sub(r"[^a-z0-9]+", "_", f"{system}_{release}_{machine}".lower())


def linux_platforms(machine: str, libc: str, libc_version: str) -> Iterator[str]:
    """Yield what runs with a libc; packaging has this for the running Python only."""
    yield f"linux_{machine}"
    # pip finds no libc but glibc: where it tells none, there is musl.
    major, minor = _numbers(libc_version) or ((2, 17) if libc == "glibc" else (1, 2))
    if libc != "glibc":
        yield from (f"musllinux_{major}_{n}_{machine}" for n in range(minor, -1, -1))
        return
    oldest = 5 if machine in {"x86_64", "i686"} else 17
    for n in range(minor, oldest - 1, -1):
        yield f"manylinux_2_{n}_{machine}"
        if n in _OLD_MANYLINUX:
            yield f"{_OLD_MANYLINUX[n]}_{machine}"


def _numbers(version: str) -> tuple[int, int] | None:
    found = _VERSION.match(version)
    return (int(found[1]), int(found[2])) if found else None


def _environment(facts: _Facts, version: re.Match[str]) -> ToolEnvironment:
    major, minor, micro = (int(number or 0) for number in version.groups())
    markers = {
        "implementation_name": facts.implementation.lower(),
        "implementation_version": facts.implementation_version,
        "os_name": "nt" if facts.system == "Windows" else "posix",
        "platform_machine": facts.machine,
        "platform_python_implementation": facts.implementation,
        "platform_release": facts.release,
        "platform_system": facts.system,
        "platform_version": "",
        "python_full_version": facts.python,
        "python_version": f"{major}.{minor}",
        "sys_platform": _SYS_PLATFORMS.get(facts.system, facts.system.lower()),
    }
    tags = tuple(_tags(facts, (major, minor)))
    return ToolEnvironment(f"{major}.{minor}.{micro}", tuple(markers.items()), tags)


def _tags(facts: _Facts, python: tuple[int, int]) -> Iterator[Tag]:
    number, platforms = f"{python[0]}{python[1]}", facts.platforms
    interpreter = None
    if facts.implementation == "CPython":
        interpreter = f"cp{number}"
        # The ABI is given: otherwise it would be that of the Python this runs on. Whether a
        # tool's Python is free-threaded, no User-Agent tells.
        abi = f"{interpreter}m" if python < (3, 8) else interpreter
        yield from cpython_tags(python, [abi], platforms)
    elif facts.implementation == "PyPy" and (version := _numbers(facts.implementation_version)):
        interpreter = "pp3"
        abi = f"pypy{number}_pp{version[0]}{version[1]}"
        yield from generic_tags(f"pp{number}", [abi], platforms)
    yield from compatible_tags(python, interpreter, platforms)
