"""Uploads: taken in the legacy form that tools send, checked, and sent on as the index wants."""

from __future__ import annotations
