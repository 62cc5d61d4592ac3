"""What `crane serve` says of each request: a quiet line for people, or JSON for programs."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING

from crane_core.cache.settings import show_size

if TYPE_CHECKING:
    from crane_core.gateway.events import Event, Observer

FORMATS = ("text", "json")


def observer(log_format: str) -> Observer:
    """Return what writes events to standard error in that format."""
    return _write_json if log_format == "json" else _write_text


def _write_text(event: Event) -> None:
    stamp = datetime.now().astimezone().strftime("%H:%M:%S")
    what = event.reason or f"from {event.source}"
    if event.outcome in {"hit", "stale"}:
        what += ", cached" if event.outcome == "hit" else ", stale: the index cannot be reached"
    if event.size:
        what += f", {show_size(event.size)}"
    if event.request:
        what += f"  [{event.request}]"
    print(f"{stamp} {event.kind} {event.text}  {what}", file=sys.stderr, flush=True)


def _write_json(event: Event) -> None:
    print(json.dumps(event.record(time.time())), file=sys.stderr, flush=True)
