"""What benchmarks have found: bounded ratios and charts, kept in one JSON file between runs."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.tools import CACHE

RESULTS = CACHE / "results.json"


@dataclass(frozen=True)
class Row:
    """One measured value, mostly a ratio; with a bound, if the project has set one."""

    what: str
    value: float
    unit: str = "×"
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the bound holds, None if there is none."""
        if self.at_least is not None:
            return self.value >= self.at_least
        return None if self.at_most is None else self.value <= self.at_most

    @property
    def bound(self) -> str:
        """The bound as people write it."""
        if self.at_least is not None:
            return f"≥ {_number(self.at_least)} {self.unit}"
        return "" if self.at_most is None else f"≤ {_number(self.at_most)} {self.unit}"

    @property
    def shown(self) -> str:
        """The value as people write it."""
        return f"{_number(self.value)} {self.unit}"

    @property
    def verdict(self) -> str:
        """The bound's state in a word."""
        return {True: "met", False: "missed", None: ""}[self.met]


@dataclass(frozen=True)
class Chart:
    """Values under one title; those `plotted` are in the plot too."""

    title: str
    unit: str
    bars: Mapping[str, float]
    plotted: bool = True


@dataclass
class Results:
    """The rows and charts of one benchmark; each row is printed when it is there."""

    rows: list[Row] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Take a row and print it."""
        self.rows.append(row)
        print(f"{row.verdict:6} {row.what}: {row.shown}  {row.bound}  {row.note}", flush=True)

    @property
    def good(self) -> bool:
        """Whether no bound is missed."""
        return all(row.met is not False for row in self.rows)


def ratios(above: Sequence[float], below: Sequence[float]) -> float:
    """Return the median of the ratios of paired runs."""
    return median(a / b for a, b in zip(above, below, strict=True))


def in_turn(names: Sequence[str], number: int) -> list[str]:
    """Return the order for a round: another one is first each time, so that none is always warm."""
    start = number % len(names)
    return [*names[start:], *names[:start]]


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def save(name: str, results: Results, rounds: int) -> None:
    """Keep the results of one benchmark beside those of the others."""
    everything = load_all()
    everything[name] = {
        "when": dt.datetime.now(dt.UTC).isoformat(timespec="minutes"),
        "machine": machine(),
        "rounds": rounds,
        **asdict(results),
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(everything, indent=1))


def load_all() -> dict[str, Any]:
    """Return what was kept of each benchmark."""
    kept: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return kept


def machine() -> str:
    """Return a line on the machine, and how busy others kept it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor() or platform.machine()
    busy = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {system}{busy}"
