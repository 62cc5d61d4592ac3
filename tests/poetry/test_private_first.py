"""A private name comes from the private index, whatever Poetry's priorities would make of it."""

from __future__ import annotations

import pytest
from poetry.kit import NEWEST, VERSIONS, Desk, source, write_pages
from run.kit import says

PUBLIC_FIRST = "PyPI"
EVIL = "9.0"


def sources(desk: Desk, *pairs: tuple[str, str]) -> str:
    """Return sources in this order: `firm` is the private index, `pypi` PyPI."""
    return "".join(
        desk.source("firm", priority) if name == "firm" else source("PyPI", None, priority)
        for name, priority in pairs
    )


ORDERS = [
    (("firm", "primary"), ("pypi", "primary")),
    (("pypi", "primary"), ("firm", "primary")),
    (("pypi", "primary"), ("firm", "supplemental")),
    (("firm", "primary"), ("pypi", "supplemental")),
]


# All with the newest, and the one in which PyPI is asked first with the oldest, too.
@pytest.mark.parametrize(
    ("version", "order"),
    [(NEWEST, ORDERS[0]), (NEWEST, ORDERS[1]), *((v, ORDERS[2]) for v in VERSIONS),
     (NEWEST, ORDERS[3])],
    ids=str,
)  # fmt: skip
def test_the_higher_version_on_pypi_is_not_taken(desk: Desk, order) -> None:
    desk.site.add_private("firm-lib", "1.0", requires=["open-lib", "firm-base"])
    desk.site.add_private("firm-base", "1.0")
    desk.add_pypi("firm-lib", EVIL)
    desk.add_pypi("firm-base", EVIL)
    desk.add_pypi("open-lib", "2.0")
    desk.write("firm-lib", sources=sources(desk, *order))

    desk.run("lock")

    locked = {name: package["version"] for name, package in desk.locked.items()}
    assert locked == {"firm-lib": "1.0", "firm-base": "1.0", "open-lib": "2.0"}
    assert desk.locked["firm-lib"]["source"]["url"] == desk.site.index_url
    assert desk.pypi.asked("firm-") == []  # the private names are not told to PyPI either


def test_without_the_plugin_pypi_would_win(desk: Desk) -> None:
    """The control: this is the hole."""
    desk.add_pypi("firm-lib", EVIL)
    desk.write("firm-lib", sources=sources(desk, *ORDERS[1]))

    done = desk.call("--no-plugins", "lock")

    assert desk.pypi.asked("firm-lib"), says(done)


def test_an_explicit_private_source_keeps_its_names(desk: Desk) -> None:
    """Poetry asks PyPI for what the private project needs; a private name is not there."""
    desk.site.add_private("firm-lib", requires=["firm-base"])
    desk.site.add_private("firm-base")
    desk.add_pypi("firm-base", EVIL)
    more = 'dependencies = { firm-lib = { version = "*", source = "firm" } }'
    desk.write("firm-lib", sources=desk.source("firm", "explicit"), more=more)

    done = desk.call("lock")

    assert done.returncode != 0
    assert "firm-base" in says(done)
    assert desk.pypi.asked("firm-base") == []


def test_an_explicit_private_source_serves_what_is_bound_to_it(desk: Desk) -> None:
    desk.site.add_private("firm-lib", requires=["open-lib"])
    desk.add_pypi("firm-lib", EVIL)
    desk.add_pypi("open-lib", "2.0")
    more = 'dependencies = { firm-lib = { version = "*", source = "firm" } }'
    desk.write("firm-lib", sources=desk.source("firm", "explicit"), more=more)

    desk.run("lock")

    assert desk.locked["firm-lib"]["version"] == "1.0"
    assert desk.locked["open-lib"]["version"] == "2.0"


def test_what_the_project_binds_to_pypi_comes_from_there(desk: Desk) -> None:
    """It is the user's own word, and no confusion."""
    desk.site.add_private("open-lib", "1.0+firm")
    desk.add_pypi("open-lib", "2.0")
    more = 'dependencies = { open-lib = { version = "*", source = "PyPI" } }'
    desk.write("open-lib", more=more)

    desk.run("lock")

    assert desk.locked["open-lib"]["version"] == "2.0"


def test_a_page_that_poetry_has_kept_does_not_count(desk: Desk) -> None:
    """PyPI's page was kept for an hour before the name was the firm's."""
    desk.pypi.max_age = 3600
    desk.add_pypi("firm-lib", EVIL)
    both = sources(desk, *ORDERS[1])
    desk.write("firm-lib", sources=both)
    desk.run("lock")
    assert desk.locked["firm-lib"]["version"] == EVIL
    (desk.project / "poetry.lock").unlink()

    desk.site.add_private("firm-lib", "1.0")
    desk.run("lock")

    assert desk.locked["firm-lib"]["version"] == "1.0"


@pytest.mark.parametrize("version", VERSIONS)
def test_an_index_that_is_down_is_an_error(desk: Desk) -> None:
    """It is not *no such project*, after which Poetry would go on to PyPI."""
    desk.add_pypi("firm-lib", EVIL)
    desk.write("firm-lib", sources=sources(desk, *ORDERS[3]))
    del desk.site.net.places["index.firm.test:443"]

    done = desk.call("lock")

    assert done.returncode == 1
    assert "crane: " in done.stderr
    assert "Traceback" not in says(done)
    assert not (desk.project / "poetry.lock").exists()


def test_another_index_beside_pypi_is_no_way_around(desk: Desk) -> None:
    """The public index of the test's site, as a third source."""
    desk.site.add_private("firm-lib", "1.0")
    desk.site.add_public("firm-lib", EVIL)
    desk.site.add_public("open-lib", "3.0")
    third = source("mirror", desk.site.public_url, "primary")
    desk.write("firm-lib", "open-lib", sources=desk.source("firm") + third)

    desk.run("lock")

    assert desk.locked["firm-lib"]["version"] == "1.0"
    assert desk.locked["open-lib"]["source"]["url"] == desk.site.public_url
    assert desk.site.logins_seen_by_public() == []


def test_a_source_with_certificates_of_its_own_is_no_way_around(desk: Desk) -> None:
    """Crane's agent does not have them, so Poetry goes there itself, but asks crane before."""
    desk.site.add_private("firm-lib", "1.0")
    desk.site.add_public("firm-lib", EVIL)
    desk.site.add_public("open-lib", "3.0")
    third = source("mirror", desk.site.public_url, "primary")
    desk.write("firm-lib", "open-lib", sources=desk.source("firm") + third)
    write_pages(desk.site.public)
    copy = desk.machine.user.home / "own-ca.pem"
    copy.write_text(desk.site.net.ca_pem)

    desk.run("lock", POETRY_CERTIFICATES_MIRROR_CERT=str(copy))

    assert desk.locked["firm-lib"]["version"] == "1.0"
    assert desk.locked["open-lib"]["version"] == "3.0"
    # Without the question before, it would be taken from there.
    (desk.project / "poetry.lock").unlink()
    done = desk.call("--no-plugins", "lock", POETRY_CERTIFICATES_MIRROR_CERT=str(copy))
    assert desk.locked["firm-lib"]["version"] == EVIL, says(done)
