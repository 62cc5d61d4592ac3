"""What an HTML page may be like before it is parsed.

An HTML parser keeps a stack of open elements, and compares a tag's attributes with each other
(WHATWG HTML §13.2): a page of a few megabytes, a few kilobytes when packed, would keep it busy for
hours, and everybody else waiting. No index page is nested deeply, so such a page is refused.
"""

from __future__ import annotations

import re
from collections import Counter

# Elements that are open at a time, and pieces of markup that open and close nothing.
DEEPEST, MOST_ODD = 100, 5000
# Of more a page would take hundreds of megabytes of memory; PyPI's largest has some 20 thousand.
MOST_LINKS = 250_000
# Bytes without a `<`, be it text or a tag: their squares count, as far as they are long.
LONG, LONGEST = 4 << 10, 128 << 10

# All but links and line ends, of which a page mostly consists.
_MARKUP = re.compile(rb"<(?!/?a[\s>]|br[\s/>])(/?[A-Za-z][^\s/>]*)?", re.IGNORECASE)
_LINK = re.compile(rb"<a[\s/]", re.IGNORECASE)
_LONG_TEXT = re.compile(rb"<[^<]{%d,}" % LONG)
# What has no content, or what the next of its kind ends: that is never nested.
_FLAT = frozenset(
    b"a area base br caption col colgroup dd dt embed hr img input li link meta option optgroup p "
    b"source tbody td tfoot th thead tr track wbr /a /p /li /tr /td /th".split()
)


def why_unreadable(body: bytes, *, most_links: int = MOST_LINKS) -> str:
    """Return why a page is not to be parsed, empty if it may be."""
    if len(body) < LONG:
        return ""
    if sum(len(text) ** 2 for text in _LONG_TEXT.findall(body)) > LONGEST**2:
        return "its tags or texts are too long"
    if len(_LINK.findall(body)) > most_links:
        return f"it has more than {most_links} links"
    opened: Counter[bytes] = Counter()
    depth = odd = 0
    for name in map(bytes.lower, _MARKUP.findall(body)):
        if name in _FLAT:
            continue
        if not name.startswith(b"/"):
            opened[name] += 1
            depth += bool(name)
            odd += not name
        elif opened[name[1:]]:
            opened[name[1:]] -= 1
            depth -= 1
        else:
            odd += 1
        if depth > DEEPEST or odd > MOST_ODD:
            return "it is nested too deeply, or no HTML"
    return ""
