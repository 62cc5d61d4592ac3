"""What crane is made of: each part with a reason, a version that works, and a line in the SBOM."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from support.workshop import PACKAGES, ROOT, call, clean_environment

DECISION = ROOT / "docs" / "decisions" / "0018-supply-chain.md"
RELEASED = ("core", "cli", "devserver")
SECONDS = 120


def project(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


def declared(package: str) -> list[str]:
    """Return all that a package's users install with it, extras as well."""
    table = project(PACKAGES / package)["project"]
    extras = table.get("optional-dependencies", {}).values()
    return [*table["dependencies"], *(line for extra in extras for line in extra)]


def rows(heading: str) -> list[list[str]]:
    """Return the cells of a table in the decision."""
    section = DECISION.read_text(encoding="utf-8").partition(f"### {heading}\n")[2]
    lines = [line for line in section.partition("\n### ")[0].splitlines() if line[:1] == "|"]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_each_dependency_has_its_reason_in_the_decision() -> None:
    users = {p.name: names(declared(p.name)) for p in PACKAGES.iterdir() if p.is_dir()}
    groups = project(ROOT)["dependency-groups"].values()
    backends = (project(PACKAGES / package)["build-system"]["requires"] for package in users)
    developers = names([line for group in [*groups, *backends] for line in group])

    used, built = rows("What users install"), rows("What builds and tests it")

    assert [row[0] for row in used] == sorted(set().union(*users.values()))
    assert [row[0].replace(".", "-") for row in built] == sorted(developers)
    assert all(len(row[-1]) > 3 for row in [*used, *built])
    for name, where, _ in used:
        who = {package for package, needed in users.items() if name in needed}
        plugins = {package for package in who if package.endswith("-plugin")}
        if "plugins" in where:
            who = (who - plugins) | {"plugins"}
        assert {re.split(r"\W*'s", word)[0] for word in where.split(", ")} == who, name
    for path in set(re.findall(r"\]\(([\w./-]+)\)", DECISION.read_text(encoding="utf-8"))):
        assert (DECISION.parent / path).exists(), path


def test_the_sbom_names_all_that_users_install_and_is_the_same_each_time() -> None:
    task = (sys.executable, "-m", "devtasks.sbom")
    text = call(*task, env=clean_environment(), cwd=ROOT)
    document = json.loads(text)
    found = {c["name"]: c for c in document["components"]}
    locked = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    versions = {package["name"]: package["version"] for package in locked}

    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    needed = {name for package in RELEASED for name in names(declared(package))}
    # And what these need in turn, to the end.
    edges = {package["name"]: package.get("dependencies", []) for package in locked}
    edges["httpx2"] = [*edges["httpx2"], {"name": "h2"}]  # of its extra
    before: set[str] = set()
    while before != needed:
        before = set(needed)
        needed |= {edge["name"] for name in before for edge in edges[name]}
    assert needed <= set(found)
    assert {name: found[name]["version"] for name in needed} == {n: versions[n] for n in needed}
    others = {name for name in found if not name.startswith("crane-")}
    assert all(found[n]["purl"] == f"pkg:pypi/{n}@{versions[n]}" for n in others)
    assert all(part["hashes"] for n in others for part in found[n]["externalReferences"])
    assert not {"pytest", "mypy", "pip-audit"} & set(found)
    assert call(*task, env=clean_environment(), cwd=ROOT) == text


@pytest.mark.timeout(480)
def test_the_lowest_versions_that_we_declare_can_be_had_and_work(tmp_path: Path) -> None:
    """A bound that another dependency lifts is a version that nobody has ever tried."""
    env = clean_environment() | {"PYTEST_DEBUG_TEMPROOT": str(tmp_path)}
    venv = tmp_path / "minimal"
    done = subprocess.run(
        [sys.executable, "-m", "devtasks.versions", "minimal", "--into", venv], cwd=ROOT, env=env,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=450, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout

    installed = dict(line.split("==") for line in (venv / "found.txt").read_text().splitlines())
    wanted = [
        (canonicalize_name(requirement.name), specifier.version)
        for package in RELEASED
        for requirement in map(Requirement, declared(package))
        if requirement.marker is None or requirement.marker.evaluate()
        for specifier in requirement.specifier
        if specifier.operator == ">="
    ]
    assert len(wanted) > 25
    # Of two of our packages the higher one counts.
    bounds: dict[str, Version] = {}
    for name, lowest in wanted:
        bounds[name] = max(Version(lowest), bounds.get(name, Version("0")))
    lifted = [
        f"{name} {lowest} is {installed[name]}"
        for name, lowest in bounds.items()
        if Version(installed[name]) != lowest
    ]
    assert not lifted


def test_an_audit_that_cannot_ask_says_so_in_a_line_and_fails(tmp_path: Path) -> None:
    """pip-audit itself ends with 0 where nobody knows the packages, as behind a mirror."""
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", "devtasks.audit", "--cache-dir", tmp_path / "cache"],
        cwd=ROOT, env={**clean_environment(), **nowhere, "UV_OFFLINE": "1"}, capture_output=True,
        text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("NOT AUDITED: ")
    assert done.stdout == ""
