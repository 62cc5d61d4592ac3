"""Login, order of sources and gateway for package indexes behind OAuth2 / OpenID Connect."""

from __future__ import annotations

__version__ = "0.1.0"
