"""PDM on package indexes behind OAuth2 / OpenID Connect."""

from __future__ import annotations
