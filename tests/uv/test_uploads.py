"""`uv publish` reaches the index with the token; what the index makes of it is issue 8's."""

from __future__ import annotations

from pathlib import Path

from forward.rig import Site
from run.kit import Machine, says

from crane_devserver.wheels import make_wheel


def uploads(site: Site) -> list[str]:
    """Return the login of each upload that has reached the index."""
    return [r.header("authorization") or "" for r in site.crane.requests if r.method == "POST"]


def test_uv_publish_shows_the_token(ada: Machine, tmp_path: Path) -> None:
    """In place of the login that uv insists on."""
    wheel = make_wheel(tmp_path, "firm-new", "1.0")
    command = ("publish", "--publish-url", f"{ada.site.index_url}/", "--token", "x", str(wheel))

    done = ada.user.crane("uv", *command, UV_HTTP_RETRIES="0")

    (login,) = uploads(ada.site)
    assert login.startswith("Bearer "), says(done)
    assert login != "Bearer x"
    # A Crane server wants a file's own path and another form: that is said, not hidden.
    assert done.returncode != 0
