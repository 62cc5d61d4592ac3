"""The status page: indexes, logins, cache and the last requests, for the user and nobody else."""

from __future__ import annotations

import html
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from crane_core import __version__
from crane_core.cache.settings import show_size
from crane_core.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from crane_core.clock import Clock
    from crane_core.config.model import Index
    from crane_core.gateway.ahead import Statistics
    from crane_core.gateway.monitor import Monitor, Seen
    from crane_core.gateway.tokens import Logins

# Nothing on the page loads or runs anything; names on it come from whoever writes the indexes.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
# An empty icon: a browser would ask for /favicon.ico, and the index be searched for that project.
ICON = "<link rel=icon href=data:,>"
SHORT = frozenset({"Size", "Time"})  # columns too short to be broken into lines
# On a narrow screen a row is a block, and each cell says itself which column it is of.
STYLE = """
:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif;
--back:#fff;--text:#1f2328;--quiet:#59636e;--line:#d1d9e0;--good:#116329;--bad:#b3211b}
@media(prefers-color-scheme:dark){:root{
--back:#0f1216;--text:#e6e9ed;--quiet:#9aa5b1;--line:#30363d;--good:#5fd38d;--bad:#ff8a80}}
body{margin:0 auto;max-width:64rem;padding:1.2rem;background:var(--back);color:var(--text);
overflow-wrap:anywhere}
h1{font-size:1.4rem;margin:0}h2{font-size:1.05rem;margin:2rem 0 .3rem}p{margin:.2rem 0}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.35rem 1.2rem .35rem 0;
border-bottom:1px solid var(--line)}
thead th,dt{color:var(--quiet)}th{font-weight:400}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.35rem 1.2rem;margin:.5rem 0}
dd{margin:0}.short{white-space:nowrap;font-variant-numeric:tabular-nums}
.good{color:var(--good)}.bad{color:var(--bad)}.quiet{color:var(--quiet)}
@media(max-width:40rem){thead{display:none}
tr{display:block;padding:.6rem 0;border-bottom:1px solid var(--line)}
tbody th,td{display:block;position:relative;border:0;padding:.1rem 0 .1rem 5.5rem}
tbody th{font-weight:600}td:empty{display:none}
[data-label]::before{content:attr(data-label);position:absolute;left:0;font-weight:400;
color:var(--quiet)}}
"""


@dataclass(frozen=True, slots=True)
class CacheSize:
    """How much is cached, in bytes, and how much may be."""

    files: int
    size: int
    limit: int


@dataclass(frozen=True, slots=True)
class Status:
    """What the page and the metrics are made of."""

    indexes: Sequence[Index]
    logins: Logins
    monitor: Monitor
    ahead: Statistics
    given_again: Callable[[], int]
    cache: Callable[[], CacheSize | None]
    clock: Clock


def status_page(status: Status) -> bytes:
    """Return the page, as HTML."""
    monitor = status.monitor
    since = _duration(status.clock.now() - monitor.started_at)
    rows = (_index(status.logins, i) for i in status.indexes)
    indexes = _table(("Name", "URL", "Fallback", "Login"), rows)
    requests = _table(("What", "Answer", "Size", "Time"), map(_request, monitor.last))
    body = (
        f"<h1>crane {__version__}</h1><p class=quiet>serving for {since}</p>"
        f"<h2>Indexes</h2>{indexes}"
        f"<h2>Cache</h2><dl>{_cache(status)}</dl>"
        f"<h2>Last requests</h2>{requests if monitor.last else '<p class=quiet>none yet</p>'}"
    )
    return (
        "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8><title>crane status</title>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f'<meta http-equiv=refresh content=5><meta http-equiv="Content-Security-Policy" '
        f'content="{POLICY.partition("; frame")[0]}">{ICON}'
        f"<style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    ).encode("utf-8", "xmlcharrefreplace")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; the cells are HTML, and the first of a row names it."""
    head = "".join(f"<th scope=col>{column}</th>" for column in columns)
    lines = "".join(f"<tr>{_cells(columns, row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _cells(columns: Sequence[str], row: Sequence[str]) -> str:
    name, *others = (
        f" data-label={column}{' class=short' if column in SHORT else ''}>{cell}"
        for column, cell in zip(columns, row, strict=True)
    )
    return f"<th scope=row{name}</th>" + "".join(f"<td{other}</td>" for other in others)


def _index(logins: Logins, index: Index) -> tuple[str, ...]:
    if logins.is_valid(index):
        login = "<span class=good>logged in</span>"
    elif logins.identity(index) is not None:
        login = "to be renewed"
    else:
        login = f"<span class=bad>run: crane login {html.escape(index.name)}</span>"
    shown = (index.name, index.url, index.fallback_url or "none")
    return (*map(html.escape, shown), login)


def _cache(status: Status) -> str:
    size, ahead = status.cache(), status.ahead
    if size is None:
        kept = "off"
    else:
        kept = f"{size.files} files, {show_size(size.size)} of {show_size(size.limit)}"
    shown = {
        "Files": kept,
        "Answers given again": str(status.given_again()),
        "Fetched ahead": f"{ahead.pages} pages, {ahead.used} used, {ahead.wasted} wasted",
    }
    return "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in shown.items())


def _request(seen: Seen) -> tuple[str, ...]:
    event = seen.event
    if event.problem:
        answer = f"<span class=bad>{html.escape(visible(event.problem)[:300])}</span>"
    elif event.source == "nowhere":
        answer = "nowhere"
    else:
        answer = f"{html.escape(event.source)} <span class=quiet>{event.outcome}</span>"
    size = show_size(event.size) if event.size else ""
    at = datetime.fromtimestamp(seen.at, UTC).astimezone().strftime("%H:%M:%S")
    return html.escape(event.text), answer, size, at


def _duration(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
