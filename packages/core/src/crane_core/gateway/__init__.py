"""How a request travels: guard, route, order of sources, upstream with the token, stream back."""

from __future__ import annotations
