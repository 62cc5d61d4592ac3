"""What a person sees at a terminal while crane waits for them."""

from __future__ import annotations

import pytest
from support.terminals import pexpect
from support.world import CRANE, User, World


@pytest.mark.parametrize(
    ("variables", "is_shown"),
    [
        ({"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22", "PYTHONUTF8": "1"}, True),
        ({"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22", "PYTHONIOENCODING": "ascii"}, False),
        ({"PYTHONUTF8": "1"}, False),
    ],
    ids=["over ssh", "over ssh without Unicode", "on the machine"],
)
def test_a_qr_code_is_shown_over_ssh_where_the_terminal_can(
    world: World, registered: User, variables: dict[str, str], is_shown: bool
) -> None:
    """Address and code are there always; SIGINT ends the wait with one line."""
    environ = {**registered.environ, **variables}
    del environ["BROWSER"]
    # What is seen is bytes: the point of one case is that they are no UTF-8.
    child = pexpect.spawn(CRANE, ["login"], env=environ, dimensions=(80, 120), timeout=30)
    child.expect(rb"/device\?user_code=[A-Z-]+")
    child.expect(b"Ctrl-C gives up")
    seen = child.before
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()

    assert ("▀".encode() in seen or "█".encode() in seen) is is_shown
    assert b"started this login yourself" in seen
    assert (child.exitstatus, b"Traceback" in child.before) == (130, False)


def test_the_demo_without_pypi_says_so_and_shows_the_private_part(user: User) -> None:
    """A dead proxy stands for a network that lets nothing out."""
    extra = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
    done = user.crane("demo", "--yes", **extra)

    assert done.returncode == 0, done.stderr
    assert "PyPI is out of reach" in done.stdout
    assert "crane-demo-hello 1.0.0" in done.stdout
    assert "iniconfig" not in done.stdout
