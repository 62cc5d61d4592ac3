"""A project as they are: two dozen dependencies, private and public, and one of each oddity."""

from __future__ import annotations

import pytest
from idp.oidc import Realm
from pdm.kit import VERSIONS, PdmDesk, source
from support.pips import log_in, make_built_sdist, register

from crane_devserver.wheels import make_wheel

PUBLIC = [f"open-{number}" for number in range(12)]
PRIVATE = [f"firm-{number}" for number in range(8)]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_real_project(desk: PdmDesk, realm: Realm) -> None:
    site = desk.site
    # Public ones need the next but one; private ones a public and the next private one.
    for number, name in enumerate(PUBLIC):
        needs = [f"open-{number + 2}>=1"] if number + 2 < len(PUBLIC) else []
        desk.add_pypi(name, "1.0", requires=needs)
        desk.add_pypi(name, "1.1", requires=needs)
    for number, name in enumerate(PRIVATE):
        needs = [f"open-{number}"] + ([f"firm-{number + 1}"] if number + 1 < len(PRIVATE) else [])
        site.add_private(name, "1.0", requires=needs)
        desk.add_pypi(name, "99.0")  # somebody else's
    # An extra, of a private project, that brings a private and a public one.
    site.add_private("firm-web", requires=[
        'firm-forms; extra == "forms"', 'open-forms; extra == "forms"',
    ])  # fmt: skip
    site.add_private("firm-forms")
    desk.add_pypi("open-forms")
    # A private source distribution that needs a private project to be built.
    site.add_private("firm-build")
    make_built_sdist(
        site.private / "firm-made", "firm-made",
        build_requires=["firm-build"], prologue="import firm_build",
    )  # fmt: skip
    # A yanked release.
    site.add_private("firm-old", "1.0")
    yanked = site.add_private("firm-old", "2.0")
    (yanked.parent / "index.html").write_text(
        '<!DOCTYPE html><title>firm-old</title><a href="firm_old-1.0-py3-none-any.whl">'
        'firm_old-1.0-py3-none-any.whl</a><a data-yanked="bad" '
        'href="firm_old-2.0-py3-none-any.whl">firm_old-2.0-py3-none-any.whl</a>'
    )
    # A second private index.
    tools = site.index(name="tools", url=f"{site.crane_url}/python/tools", fallback="none")
    make_wheel(site.private / "tools" / "tool-lib", "tool-lib", "1.0", requires=["open-0"])
    desk.add_pypi("tool-lib", "9.0")
    register(desk.machine.user, tools)
    log_in(desk.machine.user, realm, tools)
    own = "firm-web[forms]", "firm-made", "firm-old", "tool-lib"
    desk.write(
        *PUBLIC[:4], *PRIVATE[:2], *own,
        sources=desk.source("firm") + source("tools", tools.url),
    )  # fmt: skip

    printed = desk.run("lock") + desk.run("install")

    assert desk.versions == {
        **dict.fromkeys(PUBLIC, "1.1"),
        **dict.fromkeys([*PRIVATE, "firm-web", "firm-forms", "open-forms"], "1.0"),
        "firm-made": "1.0", "firm-old": "1.0", "tool-lib": "1.0",
    }  # fmt: skip
    assert {name.partition("-")[0] for name in desk.installed()} == {
        name.replace("-", "_") for name in desk.versions
    }
    assert "127.0.0.1" not in printed
    assert desk.mentions("127.0.0.1") == []
    assert len(desk.machine.agents()) == 1
    # No private name was told to PyPI, and no public server has seen a login.
    assert desk.pypi.asked("firm-") + desk.pypi.asked("tool-") == []
    assert not any("authorization" in headers for _, headers in desk.pypi.seen)
