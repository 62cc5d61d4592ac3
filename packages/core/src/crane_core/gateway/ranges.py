"""Parts of a file that a tool asks for, and whether it has the file already (RFC 9110 §13, §14).

Ours, since no library parses these fields apart from its own server: starlette's parser answers
400 where the RFC says *ignore*, and merges what overlaps; aiohttp's knows a single range.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from itertools import pairwise

# Nobody needs more parts at once; many small or overlapping ones are an attack (CVE-2011-3192).
MOST_SPANS = 16
# RFC 9110 §8.8.2.2 lets a date be a strong validator if the file was old enough when it was sent
# that no difference of clocks explains it.
SETTLED_SECONDS = 60.0
_SPEC = re.compile(r"([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18})")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_ENTITY_TAG = re.compile(r'(?:W/)?"[^"]*"')


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A part of a file, from `start` up to and without `stop`."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """How many bytes it has."""
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        """Return the Content-Range of this part of a file of that size."""
        return f"bytes {self.start}-{self.stop - 1}/{size}"


def wanted_spans(range_header: str, size: int) -> list[Span] | None:
    """Return the parts that a Range header asks for; none, if it asks for nothing that is there.

    None if the whole file is to be sent: a header that is malformed, in another unit than bytes,
    or asks for too many or overlapping parts is ignored (§14.2); so is one for an empty file.
    """
    unit, _, specs = range_header.partition("=")
    parts = [part for element in specs.split(",") if (part := element.strip(" \t"))]
    if size == 0 or unit.strip(" \t").lower() != "bytes" or not 0 < len(parts) <= MOST_SPANS:
        return None
    found = [_span(part, size) for part in parts]
    spans = [span for span in found if span is not None and span.length > 0]
    if None in found or _overlap(spans):
        return None
    return spans


def _span(spec: str, size: int) -> Span | None:
    """Return the part, empty where it lies outside of the file; None if it is malformed."""
    match = _SPEC.fullmatch(spec)
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix:
        return Span(max(size - int(suffix), 0), size)
    if last and int(last) < int(first):
        return None
    return Span(int(first), min(int(last) + 1, size) if last else size)


def _overlap(spans: list[Span]) -> bool:
    return any(later.start < earlier.stop for earlier, later in pairwise(sorted(spans)))


def read_content_range(value: str) -> tuple[Span, int] | None:
    """Return the part that a 206 holds and the size of the whole, None if it does not say."""
    match = _CONTENT_RANGE.fullmatch(value.strip())
    if match is None:
        return None
    first, last, size = map(int, match.groups())
    return (Span(first, last + 1), size) if first <= last < size else None


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells one state of a file from another; empty where there is none."""

    etag: str = ""
    last_modified: str = ""

    def is_unchanged(self, if_none_match: str, if_modified_since: str) -> bool:
        """Whether whoever asks so has the file already (§13.1.2, §13.1.3, §13.2.2)."""
        if if_none_match:
            # Weak comparison: W/"x" is "x" too.
            tags = {tag.removeprefix("W/") for tag in _ENTITY_TAG.findall(if_none_match)}
            return if_none_match.strip() == "*" or self.etag.removeprefix("W/") in tags
        modified, since = _seconds(self.last_modified), _seconds(if_modified_since)
        return modified is not None and since is not None and modified <= since

    def allow_range(self, if_range: str) -> bool:
        """Whether a part of this file continues what whoever asks so has (§13.1.5)."""
        condition = if_range.strip()
        if not condition:
            return True
        if condition.startswith(('"', "W/")):
            return condition == self.etag and _is_strong(self.etag)
        # The bytes in the cache are one state, so that their date is as good as a strong tag.
        return _seconds(condition) is not None and condition == self.last_modified

    def for_if_range(self, date: str) -> str:
        """Return what may stand in an If-Range for an answer of that Date; empty if nothing."""
        if _is_strong(self.etag):
            return self.etag
        modified, sent = _seconds(self.last_modified), _seconds(date)
        if self.etag or modified is None or sent is None or sent - modified < SETTLED_SECONDS:
            return ""
        return self.last_modified


def _is_strong(etag: str) -> bool:
    return etag.startswith('"')


def _seconds(date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
