"""The status page: indexes, logins, cache and the last requests, for the user and nobody else."""

from __future__ import annotations

import html
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from crane_core import __version__
from crane_core.cache.settings import show_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crane_core.clock import Clock
    from crane_core.config.model import Index
    from crane_core.gateway.ahead import Statistics
    from crane_core.gateway.monitor import Monitor, Seen
    from crane_core.gateway.tokens import Logins

# Nothing on the page loads or runs anything; names on it come from whoever writes the indexes.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
STYLE = """
:root{color-scheme:light dark;font:15px/1.45 system-ui,sans-serif}
body{margin:0 auto;max-width:60rem;padding:1rem}
h1{font-size:1.3rem}h2{font-size:1.05rem;margin:1.6rem 0 .4rem}
table{border-collapse:collapse;width:100%}
th{text-align:left;font-weight:600}td,th{padding:.25rem .6rem .25rem 0;vertical-align:top}
tr+tr td{border-top:1px solid #8884}td{overflow-wrap:anywhere}
.good{color:#17803d}.bad{color:#c42b1c}.quiet{opacity:.7}
@media(prefers-color-scheme:dark){.good{color:#5fd38d}.bad{color:#ff8a80}}
@media(max-width:40rem){thead{display:none}td{display:block;padding:.1rem 0;border:0!important}
tr{display:block;padding:.5rem 0;border-top:1px solid #8884}}
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
    body = (
        f"<h1>crane {__version__}</h1><p class=quiet>serving for {since}</p>"
        + _section("Indexes", ("Name", "URL", "Fallback", "Login"), _indexes(status))
        + _section("Cache", ("", ""), _cache(status))
        + _section("Last requests", ("Time", "What", "From", "Size"), map(_request, monitor.last))
    )
    return (
        "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8><title>crane</title>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f'<meta http-equiv=refresh content=5><meta http-equiv="Content-Security-Policy" '
        f'content="{POLICY.partition("; frame")[0]}">'
        f"<style>{STYLE}</style></head><body>{body}</body></html>\n"
    ).encode("utf-8", "xmlcharrefreplace")


def _section(title: str, columns: Sequence[str], rows: object) -> str:
    head = "".join(f"<th>{column}</th>" for column in columns)
    lines = "".join(rows)  # type: ignore[arg-type]
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"
    return f"<h2>{title}</h2>" + (table if lines else "<p class=quiet>none yet</p>")


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _indexes(status: Status) -> list[str]:
    rows = []
    for index in status.indexes:
        if status.logins.is_valid(index):
            login = "<span class=good>logged in</span>"
        elif status.logins.identity(index) is not None:
            login = "to be renewed"
        else:
            login = f"<span class=bad>run: crane login {html.escape(index.name)}</span>"
        fallback = html.escape(index.fallback_url or "none")
        rows.append(_row(html.escape(index.name), html.escape(index.url), fallback, login))
    return rows


def _cache(status: Status) -> list[str]:
    size, ahead = status.cache(), status.ahead
    if size is None:
        kept = "off"
    else:
        kept = f"{size.files} files, {show_size(size.size)} of {show_size(size.limit)}"
    fetched = f"{ahead.pages} pages, {ahead.used} used, {ahead.wasted} wasted"
    return [
        _row("Files", kept),
        _row("Answers given again", str(status.given_again())),
        _row("Fetched ahead", fetched),
    ]


def _request(seen: Seen) -> str:
    event = seen.event
    at = datetime.fromtimestamp(seen.at, UTC).astimezone().strftime("%H:%M:%S")
    if event.problem:
        where = f"<span class=bad>{html.escape(event.problem[:300])}</span>"
    else:
        where = html.escape(event.source) + f" <span class=quiet>{event.outcome}</span>"
    return _row(at, html.escape(event.text), where, show_size(event.size) if event.size else "")


def _duration(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
