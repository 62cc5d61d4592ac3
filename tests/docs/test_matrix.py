"""The file of the public CI runs the developer's own tasks, with the least rights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

import dev

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def jobs(file: Path) -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"]
    return jobs


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_workflow_may_read_only_and_runs_pinned_actions_and_our_tasks(file: Path) -> None:
    whole = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert whole["permissions"] == {"contents": "read"}
    for job in jobs(file).values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            if action := step.get("uses"):
                assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)
            else:
                task = re.fullmatch(r"python dev\.py (\w+)", step["run"])
                assert task is not None
                assert task[1] in dev.TASKS


def test_the_matrix_has_every_system_and_python_that_the_distributions_are_for() -> None:
    matrix = jobs(ROOT / ".github" / "workflows" / "ci.yml")["test"]["strategy"]["matrix"]
    assert {system.partition("-")[0] for system in matrix["system"]} == {
        "ubuntu", "macos", "windows"
    }  # fmt: skip
    text = (ROOT / "packages" / "core" / "pyproject.toml").read_text(encoding="utf-8")
    wanted = SpecifierSet(re.search(r'requires-python = "([^"]+)"', text)[1])  # type: ignore[index]
    assert matrix["python"] == [f"3.{n}" for n in range(15) if wanted.contains(f"3.{n}")]
