"""Foreign text that is shown to people."""

from __future__ import annotations


def visible(text: str, *, instead: str = "?") -> str:
    """Return the text without control characters, which could rewrite a terminal."""
    return "".join(c if c.isprintable() else instead for c in text)
