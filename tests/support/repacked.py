"""Wheels made again of what is installed: real projects for an index, without a download."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from crane_devserver.wheels import make_wheel

# What installers write beside what was in the wheel.
LEFT_BEHIND = (".pyc", "/RECORD", "/INSTALLER", "/REQUESTED", "/direct_url.json", "/uv_cache.json")


def repack(packages: Path, pypi: Path, *only: str) -> set[str]:
    """Put each distribution of a `site-packages` on an index, or only some; return their names.

    Each goes into a folder of its name, as an index has it.
    """
    found = {canonicalize_name(d.metadata["Name"]): d for d in distributions(path=[str(packages)])}
    chosen = {name: found[name] for name in only or found}
    for name, distribution in chosen.items():
        _repack(distribution, packages, pypi / name)
    return set(chosen)


def put_stubs(pypi: Path, names: Iterable[str], packages: Path) -> None:
    """Put something empty there for what these need on other systems, which resolvers look at."""
    known = set(names)
    for distribution in distributions(path=[str(packages)]):
        for line in distribution.requires or ():
            need = Requirement(line)
            name = canonicalize_name(need.name)
            is_extra = need.marker is not None and "extra" in str(need.marker)
            if name not in known and not is_extra:
                versions = [one.version for one in need.specifier]
                fitting = (v for v in [*versions, "1.0"] if need.specifier.contains(v))
                make_wheel(pypi / name, name, next(fitting))
                known.add(name)


def _repack(distribution: Distribution, packages: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    project = distribution.metadata["Name"].replace("-", "_").replace(".", "_")
    lines = (distribution.read_text("WHEEL") or "").splitlines()
    tags = [line.partition(": ")[2].split("-") for line in lines if line.startswith("Tag: ")]
    # A wheel's name has them together: `py2.py3-none-any`.
    tag = "-".join(".".join(dict.fromkeys(parts)) for parts in zip(*tags, strict=True))
    target = folder / f"{project}-{distribution.version}-{tag}.whl"
    record = next(str(p) for p in distribution.files or () if p.name == "RECORD")
    kept = []
    with zipfile.ZipFile(target, "w") as wheel:
        for name, *rest in csv.reader((packages / record).read_text().splitlines()):
            # Scripts, which an installer makes, are outside.
            is_its_own = not name.startswith(("..", "/")) and not name.endswith(LEFT_BEHIND)
            if is_its_own and (packages / name).is_file():
                wheel.write(packages / name, name)
                kept.append(",".join([name, *rest]))
        wheel.writestr(record, "\n".join([*kept, f"{record},,", ""]))
