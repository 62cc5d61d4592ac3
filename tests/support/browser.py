"""Stands where a person's browser would: opens the address and approves, or denies, the login.

Started by crane through the BROWSER variable. It drives the identity provider's real pages.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))

from idp.oidc import approve_device, deny_device

if __name__ == "__main__":
    codes = parse_qs(urlsplit(sys.argv[1]).query).get("user_code")
    if codes is None:
        sys.exit("the address holds no code; a person would type it")
    issuer = os.environ["TEST_ISSUER"]
    if os.environ.get("TEST_DECISION") == "deny":
        deny_device(issuer, codes[0])
    else:
        approve_device(issuer, codes[0], os.environ.get("TEST_USER", "ada"))
