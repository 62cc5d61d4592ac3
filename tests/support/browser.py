"""Stands where a person's browser would: opens the address and approves, or denies, the login.

Started by crane through the BROWSER variable. It drives the identity provider's real pages.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))

from idp.oidc import approve_authorization, approve_device, deny_authorization, deny_device

if __name__ == "__main__":
    query = parse_qs(urlsplit(sys.argv[1]).query)
    user, denies = os.environ.get("TEST_USER", "ada"), os.environ.get("TEST_DECISION") == "deny"
    if "code_challenge" in query:
        if denies:
            deny_authorization(sys.argv[1])
        else:
            approve_authorization(sys.argv[1], user)
    elif "user_code" not in query:
        sys.exit("the address holds no code; a person would type it")
    elif denies:
        deny_device(os.environ["TEST_ISSUER"], query["user_code"][0])
    else:
        approve_device(os.environ["TEST_ISSUER"], query["user_code"][0], user)
