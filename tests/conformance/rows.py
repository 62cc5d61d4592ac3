"""Rows of the tables: a sentence of the specification, what an index sends, what a tool sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SPECIFICATION = "https://packaging.python.org/en/latest/specifications/simple-repository-api/"
WHEEL = "lib-1.0-py3-none-any.whl"
SDIST = "lib-1.0.tar.gz"
SHA256 = "a" * 64
MD5 = "b" * 32
SHA512 = "c" * 128
# What must not be there at all.
ABSENT: Any = object()


@dataclass(frozen=True)
class Row:
    """`given` is an anchor's attributes or a JSON file entry; `html` and `json` are parts of it.

    `{up}` stands for the index, `{gate}` for the place of its files at the gateway.
    """

    says: str
    given: str | dict[str, Any]
    html: dict[str, Any] = field(default_factory=dict)
    json: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.says[:90]


def entry(**keys: Any) -> dict[str, Any]:
    """Return a JSON file entry; keys are written with underscores."""
    given = {name.replace("_", "-"): value for name, value in keys.items()}
    return {"filename": WHEEL, "url": WHEEL, "hashes": {}, "size": 10, **given}
