"""Who the user is: discovery, grants, tokens, the store of sessions and the broker."""

from __future__ import annotations
