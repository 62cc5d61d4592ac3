"""What a page may be like before it is parsed.

An HTML parser keeps a stack of open elements, and compares a tag's attributes with each other
(WHATWG HTML §13.2): a page of a few megabytes, a few kilobytes when packed, would keep it busy for
hours, and everybody else waiting. No index page is nested deeply, so such a page is refused.

A JSON parser makes an object of 70 or 200 bytes of three characters: of a page of 64 MiB, which is
some hundred kilobytes when packed, two gigabytes. So there is a limit of objects and values.
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
# In JSON; PyPI's entries have three containers and some twelve values each. Of less than `SMALL`
# bytes nothing large is made.
MOST_CONTAINERS, MOST_VALUES, SMALL = 4 * MOST_LINKS, 16 * MOST_LINKS, 2 << 20

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


def why_too_many(body: bytes, *, times: int = 1) -> str:
    """Return why a JSON text is not to be parsed, empty if it may be; with a higher limit `times`.

    What stands in its strings counts, too: nobody can tell without parsing it.
    """
    if len(body) < SMALL:
        return ""
    if body.count(b"{") + body.count(b"[") > times * MOST_CONTAINERS:
        return f"it has more than {times * MOST_CONTAINERS} lists and objects"
    if body.count(b",") > times * MOST_VALUES:
        return f"it has more than {times * MOST_VALUES} values"
    return ""
