"""Why a test of the suite does not hold for the gateway's files, and the table of results."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from conformance.cache_tests.suite import Result


@dataclass(frozen=True)
class Reason:
    """A reason, and which results it explains: by the test's name and by what went wrong."""

    key: str
    text: str
    test: str
    problem: str

    def explains(self, result: Result) -> bool:
        name = f"{result.group} {result.id}"
        return bool(re.search(self.test, name) and re.search(self.problem, result.problem))


REASONS = (
    Reason(
        "own status",
        "Of an index's statuses for a file 200, 206, 304 and 416 pass. Any other becomes the "
        "gateway's own 403, 404, 502 or 504 with the reason in its reason phrase, which is what "
        "tools show (ADR 0005); and 429, 502, 503, 504 are asked again first.",
        r"^status ",
        r"status is (403|404|502|504)|body is \"crane: |: retry",
    ),
    Reason(
        "known by hash",
        "The bytes at a file's URL are known by their hash, and never change. For ten minutes "
        "the cache gives them without asking, whatever the index says of freshness or Vary; "
        "after that it asks whether this login may still read the file.",
        r"^(vary|update304|conditional-inm|conditional-lm|status) ",
        r"wasn't sent to server|comes from cache|Response 2 header .* is .*, not ",
    ),
    Reason(
        "own login",
        "The tool's login ends at the gateway, the index gets the user's token, and the cache is "
        "this login's alone: it is no shared cache, so Authorization forbids it nothing.",
        r"^auth ",
        r"comes from cache|header Authorization is",
    ),
    Reason(
        "no parts",
        "Only whole files are kept; a part is always asked for at the index.",
        r"^partial partial-store-partial",
        r"does not come from cache|header range is",
    ),
    Reason(
        "entity tags",
        "The test sends entity tags that RFC 9110 does not have (no quotes, other escapes): no "
        "match, so the whole file is sent.",
        r"conditional-etag-.*(unquoted|obs-text|lowercase|backslash|omit-slash)",
        r"status is 200, not 304|wasn't sent to server|If-None-Match is",
    ),
    Reason(
        "no date",
        "The index gave no Last-Modified to compare with; Date is not taken for it.",
        r"conditional-lm-fresh-no-lm",
        r"status is 200, not 304",
    ),
    Reason(
        "few fields",
        "Fields that tools make use of pass (type, length, range, validators, caching, name of "
        "the file); the others end at the gateway, and so does an encoding nobody asked for.",
        r"^(headers|update304) ",
        r"header (c|Content-Range|Content-MD5) is \"null\"|status is 504, not 200",
    ),
    Reason(
        "broken length",
        "The test's length is not the body's: such a body is asked for again, not passed on.",
        r"(Content-Length|Transfer-Encoding)$",
        r": retry|Error|aborted",
    ),
)


def reason_of(result: Result) -> Reason | None:
    """Return why a test does not hold, None if nobody knows."""
    return next((reason for reason in REASONS if reason.explains(result)), None)


def table(results: list[Result]) -> list[str]:
    """Return the lines of the table in docs/reference/protocol.md."""
    lines = ["| group | tests | hold | do not, and why |", "|---|---|---|---|"]
    for group in dict.fromkeys(result.group for result in results):
        ours = [result for result in results if result.group == group]
        failed = [result for result in ours if not result.holds]
        found = Counter(getattr(reason_of(result), "key", "unknown") for result in failed)
        why = ", ".join(f"{count} {key}" for key, count in found.most_common())
        lines.append(f"| {group} | {len(ours)} | {len(ours) - len(failed)} | {why or '-'} |")
    return lines
