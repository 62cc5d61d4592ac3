"""Foreign text that is shown to people."""

from __future__ import annotations


def visible(text: str, *, instead: str = "?") -> str:
    """Return the text without control characters, which could rewrite a terminal."""
    return "".join(c if c.isprintable() else instead for c in text)


def shortened(text: str, limit: int) -> str:
    """Return the text, without its middle if it is longer: the reason is at one of its ends."""
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]} … {text[-(limit // 2 - 3) :]}"


def is_text(value: object) -> bool:
    """Whether a value is a string that UTF-8 can say: JSON may hold half a pair (RFC 8259 §8.2)."""
    if not isinstance(value, str):
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
