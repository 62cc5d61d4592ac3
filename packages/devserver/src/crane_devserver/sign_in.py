"""Sign in at an address without a person: `python -m crane_devserver.sign_in USER PASSWORD URL`."""

from __future__ import annotations

import sys

from .browser import ScriptedBrowser


def main() -> None:
    """Fill in the provider's form and approve."""
    user, password, url = sys.argv[1:]
    ScriptedBrowser(user, password).visit(url)


if __name__ == "__main__":
    main()
