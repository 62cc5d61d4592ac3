"""The one error of the tests' identity provider."""

from __future__ import annotations


class IdpError(Exception):
    """The identity provider cannot start, or refused what a test asked of it."""
