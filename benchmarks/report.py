"""The table and the plot made of the kept results: `results.md` here, and an SVG for the docs."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import Chart, Row, load_all

HERE = Path(__file__).resolve().parent
TABLE = HERE / "results.md"
PLOT = HERE.parent / "docs" / "benchmarks.svg"
WIDTH, LABELS, LINE = 760, 330, 18  # of the plot, of its labels, of a bar; in pixels
# Readable on white and on black; the documentation may be either.
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#777}.title{font-weight:600}"
    ".bar{fill:#a0a8b0}.crane{fill:#2f81c7}"
)


def write() -> None:
    """Write both from whatever has been measured so far."""
    kept = load_all()
    if not kept:
        return
    TABLE.write_text("\n".join(_table(kept)) + "\n")
    charts = [Chart(**chart) for one in kept.values() for chart in one["charts"]]
    PLOT.write_text(plot([chart for chart in charts if chart.plotted]))
    print(f"written: {TABLE.relative_to(HERE.parent)}, {PLOT.relative_to(HERE.parent)}")


def _table(kept: dict[str, Any]) -> Iterator[str]:
    yield "# Results"
    yield ""
    yield "Written by `python3 dev.py bench`; what each row means is in [README.md](README.md)."
    rows = [Row(**row) for one in kept.values() for row in one["rows"]]
    bounded = [row for row in rows if row.met is not None]
    met = sum(row.met is True for row in bounded)
    yield f"{met} of {len(bounded)} bounds are met."
    for name, one in kept.items():
        yield f"\n## {name}\n"
        yield f"{one['when']}, {one['machine']}  "
        yield f"{one['rounds']} rounds. {', '.join(one['versions'])}\n"
        yield "| measured | value | bound | | |"
        yield "|---|--:|--:|---|---|"
        for row in (Row(**row) for row in one["rows"]):
            cells = [row.what, row.shown, row.bound, row.verdict, row.note]
            yield f"| {' | '.join(cells)} |"
        yield from _details([Chart(**chart) for chart in one["charts"]])


def _details(charts: Sequence[Chart]) -> Iterator[str]:
    yield ""
    for chart in charts:
        values = ", ".join(f"{name} {_short(value)}" for name, value in chart.bars.items())
        yield f"- {chart.title}, {chart.unit}: {values}"


def plot(charts: Sequence[Chart]) -> str:
    """Return an SVG with one group of bars for each chart, one below the other."""
    parts: list[str] = []
    y = 4
    for chart in charts:
        y += LINE
        title = f"{chart.title}, {chart.unit}"
        parts.append(f'<text class="title" x="0" y="{y}">{html.escape(title)}</text>')
        largest = max([*chart.bars.values(), 1e-9])
        for name, value in chart.bars.items():
            y += LINE
            length = max(1.0, (WIDTH - LABELS - 80) * value / largest)
            kind = "bar crane" if _is_ours(name) else "bar"
            parts.append(
                f'<text x="{LABELS - 8}" y="{y}" text-anchor="end">{html.escape(name)}</text>'
                f'<rect class="{kind}" x="{LABELS}" y="{y - 12}" width="{length:.0f}" '
                f'height="14" rx="2"/>'
                f'<text x="{LABELS + length + 6:.0f}" y="{y}">{_short(value)}</text>'
            )
        y += LINE
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img" '
        f'aria-label="Benchmark results"><style>{STYLE}</style>\n{body}\n</svg>\n'
    )


def _is_ours(name: str) -> bool:
    return "crane" in name and "crane-pip" not in name


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
