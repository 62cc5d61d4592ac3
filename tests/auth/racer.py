"""`crane token`, started in two steps: everything is loaded first, then all begin at once."""

from __future__ import annotations

import sys

import filelock
import httpx2

# All that the command needs: what is left to do is what processes race for.
import crane_core.auth.broker
import crane_core.auth.keyring_backend
import crane_core.auth.sessions
import crane_core.auth.vault
from crane_cli.main import main

LOADED = (crane_core, filelock, httpx2)

if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    sys.exit(main(["token"]))
