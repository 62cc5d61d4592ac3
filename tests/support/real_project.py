"""A project as they are: two dozen dependencies, private and public, and one of each oddity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from forward.rig import Site
from idp.oidc import Realm

from crane_core.config.model import Index
from crane_devserver.wheels import make_wheel
from support.pips import log_in, make_built_sdist, register
from support.world import User

PUBLIC = [f"open-{number}" for number in range(12)]
PRIVATE = [f"firm-{number}" for number in range(8)]
# What the project itself needs.
NEEDS = [
    *PUBLIC[:4], *PRIVATE[:2], "firm-web[forms]", "firm-made", "firm-old", "tool-lib",
]  # fmt: skip
# What a lock file has to hold of it.
LOCKED = {
    **dict.fromkeys(PUBLIC, "1.1"),
    **dict.fromkeys([*PRIVATE, "firm-web", "firm-forms", "open-forms"], "1.0"),
    "firm-made": "1.0", "firm-old": "1.0", "tool-lib": "1.0",
}  # fmt: skip


def publish(site: Site, add_public: Callable[..., Any], user: User, realm: Realm) -> Index:
    """Publish all that the project needs; return the second private index, with ada logged in."""
    # Public ones need the next but one; private ones a public and the next private one.
    for number, name in enumerate(PUBLIC):
        needs = [f"open-{number + 2}>=1"] if number + 2 < len(PUBLIC) else []
        add_public(name, "1.0", requires=needs)
        add_public(name, "1.1", requires=needs)
    for number, name in enumerate(PRIVATE):
        needs = [f"open-{number}"] + ([f"firm-{number + 1}"] if number + 1 < len(PRIVATE) else [])
        site.add_private(name, "1.0", requires=needs)
        add_public(name, "99.0")  # somebody else's
    # An extra, of a private project, that brings a private and a public one.
    site.add_private("firm-web", requires=[
        'firm-forms; extra == "forms"', 'open-forms; extra == "forms"',
    ])  # fmt: skip
    site.add_private("firm-forms")
    add_public("open-forms")
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
    # A second private index, and somebody else's project of the same name.
    tools = site.index(name="tools", url=f"{site.crane_url}/python/tools", fallback="none")
    make_wheel(site.private / "tools" / "tool-lib", "tool-lib", "1.0", requires=["open-0"])
    add_public("tool-lib", "9.0")
    register(user, tools)
    log_in(user, realm, tools)
    return tools
