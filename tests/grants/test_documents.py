"""The pages about security and providers name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = (
    "docs/security/oauth.md",
    "docs/security/threat-model.md",
    "docs/security/faults.md",
    "docs/providers.md",
)
NAMED = re.compile(r"`([a-z_/]+\.py)(?:::(?:Test\w+::)?(test_\w+))?`")


@pytest.mark.parametrize("page", PAGES)
def test_every_named_test_exists(page: str) -> None:
    """A demand without a test would be a promise."""
    named = NAMED.findall((ROOT / page).read_text(encoding="utf-8"))
    assert named
    for path, name in named:
        text = (ROOT / "tests" / path).read_text(encoding="utf-8")
        assert not name or f"def {name}(" in text, f"{path}::{name}"


def test_every_demand_has_a_test() -> None:
    """Each row of the first three tables ends with one."""
    page = (ROOT / PAGES[0]).read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if re.match(r"\| \d", line)]
    assert len(rows) > 30
    assert [row for row in rows if "::test_" not in row] == []


def test_every_threat_has_a_test() -> None:
    page = (ROOT / PAGES[1]).read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \|$", page.partition("## Threats")[2], re.MULTILINE)
    threats = [row for row in rows if not row.startswith("| threat |")]
    assert len(threats) > 30
    assert [row for row in threats if ".py" not in row] == []
