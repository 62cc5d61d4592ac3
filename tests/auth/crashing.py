"""Runs crane, and kills it with SIGKILL at a step of a login or a refresh.

    python crashing.py STEP COMMAND...

Steps: `before-send`, `after-answer` (of a token request, before anything of it is written),
`before-replace` (the temporary file is whole and on disk), `after-replace` (the new document is in
its place, its mark is not), `after-write`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from crane_cli.main import main
from crane_core.auth import broker, sessions
from crane_core.auth.grants import model


def die() -> None:
    """End here, as by a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)


def around_the_request(*, before: bool) -> None:
    """Die before a token request is sent, or once its answer is there."""
    send = broker.post_form

    async def post_form(client: Any, url: str, form: dict[str, str], *more: Any) -> Any:
        if before and "grant_type" in form:
            die()
        answer = await send(client, url, form, *more)
        if "grant_type" in form:
            die()
        return answer

    broker.post_form = model.post_form = post_form  # type: ignore[assignment]


def around_the_replacement(*, before: bool) -> None:
    """Die before the new document takes the place of the old one, or right after."""
    replace = Path.replace

    def dying(self: Path, target: Any) -> Any:
        ours = str(target).endswith(".json")
        if ours and before:
            die()
        result = replace(self, target)
        if ours:
            die()
        return result

    Path.replace = dying  # type: ignore[method-assign]


def after_the_write() -> None:
    """Die when all is written, and the token not yet used."""
    write = sessions.SessionStore.write

    def dying(self: Any, *arguments: Any) -> None:
        write(self, *arguments)
        die()

    sessions.SessionStore.write = dying  # type: ignore[method-assign]


STEPS = {
    "before-send": lambda: around_the_request(before=True),
    "after-answer": lambda: around_the_request(before=False),
    "before-replace": lambda: around_the_replacement(before=True),
    "after-replace": lambda: around_the_replacement(before=False),
    "after-write": after_the_write,
}

if __name__ == "__main__":
    STEPS[sys.argv[1]]()
    sys.exit(main(sys.argv[2:]))
