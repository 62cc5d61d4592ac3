"""The gateway's life in a process of its own: start, find, adopt and stop it, one a key."""

from __future__ import annotations
