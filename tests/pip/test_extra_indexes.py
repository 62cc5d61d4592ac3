"""Other indexes beside the private one: useful for their own names, and for no private name."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.pips import (
    INDEX_ROUTE,
    OLDEST_AND_NEWEST,
    MakeEnvironment,
    Pip,
    index_of,
    installed,
    make_built_sdist,
    register,
    shown,
)
from support.world import CRANE, SECONDS, User, World

from crane_devserver.faults import Fault

Form = Callable[[str, User, Path], list[str]]


@pytest.fixture
def mixed(world: World, ready: User) -> World:
    """Register the index without a fallback; the public one has a higher version of its name."""
    register(ready, index_of(world, fallback="none"))
    world.add_private("secret-lib", "1.0")
    world.add_public("secret-lib", "9.0")
    world.add_public("extra-lib", "3.0")
    return world


def no_private_name_was_asked_for(world: World) -> bool:
    return not any("secret" in r.path for r in world.public_server.requests)


def by_option(url: str, user: User, active: Path) -> list[str]:
    return ["--extra-index-url", url]


def by_short_option(url: str, user: User, active: Path) -> list[str]:
    return [f"--ext={url}"]


def by_index_option(url: str, user: User, active: Path) -> list[str]:
    return ["-i", url, "--extra-index-url", index_url(user)]


def by_short_index_option(url: str, user: User, active: Path) -> list[str]:
    return ["--in", url, "--extra-index-url", index_url(user)]


def index_url(user: User) -> str:
    text = user.config_file.read_text()
    return next(line for line in text.splitlines() if line.startswith("url")).split('"')[1]


def by_variable(url: str, user: User, active: Path) -> list[str]:
    user.variables["PIP_EXTRA_INDEX_URL"] = url
    return []


def by_file(url: str, user: User, active: Path) -> list[str]:
    (active / "pip.conf").write_text(f"[global]\nextra-index-url =\n    {url}\n")
    return []


def by_section_of_the_file(url: str, user: User, active: Path) -> list[str]:
    (active / "pip.conf").write_text(f"[install]\nextra_index_url = {url}\n")
    return []


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def by_requirements(url: str, user: User, active: Path) -> list[str]:
    return ["-r", write(user.home, "a.txt", f"--extra-index-url {url}\n")]


def by_relative_requirements(url: str, user: User, active: Path) -> list[str]:
    write(user.home, "sub/a.txt", f"--extra-index-url {url}\n")
    return ["-rsub/a.txt"]


def by_short_option_in_requirements(url: str, user: User, active: Path) -> list[str]:
    return ["-r", write(user.home, "a.txt", f"--ex {url}\n")]


def by_requirements_in_utf_16(url: str, user: User, active: Path) -> list[str]:
    (user.home / "a.txt").write_text(f"--extra-index-url {url}\n", encoding="utf-16")
    return ["-r", "a.txt"]


def by_nested_requirements(url: str, user: User, active: Path) -> list[str]:
    write(user.home, "sub/b.txt", f"--extra-index-url {url}\n")
    return ["-r", write(user.home, "a.txt", "-r sub/b.txt\n")]


def by_nested_requirements_of_one_name(url: str, user: User, active: Path) -> list[str]:
    write(user.home, "sub/a.txt", f"--extra-index-url {url}\n")
    return ["-r", write(user.home, "a.txt", "-r sub/a.txt\n")]


def by_requirements_at_a_file_url(url: str, user: User, active: Path) -> list[str]:
    path = write(user.home, "a.txt", f"--extra-index-url {url}\n")
    return ["-r", Path(path).as_uri()]


def by_requirements_variable(url: str, user: User, active: Path) -> list[str]:
    name = write(user.home, "a.txt", f"--extra-index-url {url}\n")
    user.variables["PIP_REQUIREMENT"] = name
    return []


def by_constraints(url: str, user: User, active: Path) -> list[str]:
    return ["-c", write(user.home, "c.txt", f"--extra-index-url {url}\n")]


def by_constraints_in_requirements(url: str, user: User, active: Path) -> list[str]:
    write(user.home, "c.txt", f"--extra-index-url {url}\n")
    return ["-r", write(user.home, "a.txt", "-c c.txt\n")]


def by_constraints_variable(url: str, user: User, active: Path) -> list[str]:
    name = write(user.home, "c.txt", f"--extra-index-url {url}\n")
    user.variables["PIP_CONSTRAINT"] = name
    return []


def by_constraints_in_the_file(url: str, user: User, active: Path) -> list[str]:
    name = write(user.home, "c.txt", f"--extra-index-url {url}\n")
    (active / "pip.conf").write_text(f"[install]\nconstraint = {name}\n")
    return []


FORMS = [
    by_option, by_short_option, by_index_option, by_short_index_option, by_variable, by_file,
    by_section_of_the_file, by_requirements, by_relative_requirements,
    by_short_option_in_requirements, by_requirements_in_utf_16, by_nested_requirements,
    by_nested_requirements_of_one_name, by_requirements_at_a_file_url, by_requirements_variable,
    by_constraints, by_constraints_in_requirements, by_constraints_variable,
    by_constraints_in_the_file,
]  # fmt: skip


FORMS_AND_ROUTES = [
    *((form, ()) for form in FORMS),
    # Both routes read the command in the same way; on this one files are copied, too.
    *((form, INDEX_ROUTE) for form in (by_index_option, by_file, by_nested_requirements)),
]


@pytest.mark.parametrize(("form", "route"), FORMS_AND_ROUTES, ids=shown)
def test_an_extra_index_serves_its_own_names_and_never_wins_for_a_private_one(
    form: Form, route: tuple[str, ...], mixed: World, ready: User, active: Path
) -> None:
    options = form(mixed.public_url, ready, active)

    done = ready.crane("pip", *route, "install", *options, "secret-lib", "extra-lib")

    assert no_private_name_was_asked_for(mixed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert installed(active) == {"secret_lib-1.0", "extra_lib-3.0"}


# One of each way by which an index comes to pip: all of them are read for the test above.
@pytest.mark.parametrize(
    "form", [by_option, by_variable, by_file, by_requirements, by_constraints_in_the_file]
)
def test_a_private_page_that_fails_is_not_made_up_for_by_an_extra_index(
    form: Form, mixed: World, ready: User, active: Path
) -> None:
    mixed.crane.faults.append(Fault("/python/secret-lib/", status=503))
    options = form(mixed.public_url, ready, active)

    done = ready.crane("pip", "install", *options, "secret-lib")

    assert no_private_name_was_asked_for(mixed)
    assert done.returncode == 1
    assert "answered HTTP 503" in done.stdout + done.stderr
    assert not installed(active)


def test_requirements_on_standard_input_name_no_index_behind_cranes_back(
    mixed: World, ready: User, active: Path
) -> None:
    done = subprocess.run(
        [CRANE, "pip", "install", "-r", "/dev/stdin", "secret-lib"],
        input=f"--extra-index-url {mixed.public_url}\nextra-lib\n",
        env=ready.environ, cwd=ready.home, capture_output=True, text=True, timeout=SECONDS,
        check=False,
    )  # fmt: skip

    assert no_private_name_was_asked_for(mixed)
    assert installed(active) == {"secret_lib-1.0", "extra_lib-3.0"}, done.stderr


@pytest.mark.parametrize("pip", OLDEST_AND_NEWEST, ids=str)
@pytest.mark.parametrize("form", [by_option, by_file, by_requirements])
def test_build_requirements_are_private_first_too(
    form: Form, pip: Pip, mixed: World, ready: User, make_environment: MakeEnvironment
) -> None:
    folder = make_environment(pip)
    for add, version in ((mixed.add_private, "1.0"), (mixed.add_public, "9.0")):
        body = f"assert {version!r} == '1.0', 'the public one'\n"
        add("secret-backend", version, files={"secret_backend.py": body})
    mixed.add_public("extra-backend", files={"extra_backend.py": ""})
    make_built_sdist(
        mixed.private / "secret-source",
        "secret-source",
        build_requires=["secret-backend", "extra-backend"],
        prologue="import secret_backend, extra_backend",
    )
    options = form(mixed.public_url, ready, folder)

    done = ready.crane("pip", "--python", str(folder), "install", *options, "secret-source")

    assert no_private_name_was_asked_for(mixed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert installed(folder) == {"secret_source-1.0"}


def test_an_index_in_build_constraints_is_none_for_private_names(
    mixed: World, ready: User, active: Path
) -> None:
    for add, version in ((mixed.add_private, "1.0"), (mixed.add_public, "9.0")):
        add("secret-backend", version, files={"secret_backend.py": ""})
    make_built_sdist(
        mixed.private / "secret-source", "secret-source",
        build_requires=["secret-backend"], prologue="import secret_backend",
    )  # fmt: skip
    name = write(ready.home, "c.txt", f"--extra-index-url {mixed.public_url}\n")

    ready.crane("pip", "install", "--build-constraint", name, "secret-source")

    assert no_private_name_was_asked_for(mixed)


@pytest.mark.parametrize("pip", OLDEST_AND_NEWEST, ids=str)
def test_a_name_that_is_nowhere_is_pips_own_error(
    pip: Pip, mixed: World, ready: User, make_environment: MakeEnvironment
) -> None:
    folder = make_environment(pip)

    done = ready.crane(
        "pip", "--python", str(folder), "install", "missing-lib",
        "--extra-index-url", mixed.public_url,
    )  # fmt: skip

    assert done.returncode == 1
    assert "No matching distribution found for missing-lib" in done.stderr
    assert "crane:" not in done.stderr


def test_an_extra_index_that_is_down_stops_the_install_with_its_reason(
    mixed: World, ready: User, active: Path
) -> None:
    mixed.public_server.faults.append(Fault("/simple/extra-lib/", status=503))

    done = ready.crane("pip", "install", "extra-lib", "--extra-index-url", mixed.public_url)

    assert done.returncode == 1
    assert "answered HTTP 503" in done.stdout + done.stderr


@pytest.mark.parametrize("form", [by_requirements, by_constraints])
def test_an_unregistered_index_in_a_file_is_refused(
    form: Form, ready: User, telling: Callable
) -> None:
    pip = telling()
    url = "https://elsewhere.example.com/simple"
    option, name = form(url, ready, pip.environment)
    path = Path(name)
    path.write_text(path.read_text().replace("--extra-index-url", "-i"))

    done = ready.crane("pip", "--python", str(pip.environment), "install", option, name)

    assert done.returncode == 5
    assert f"crane index register {url}" in done.stderr
    assert not pip.was_called


@pytest.mark.parametrize("url", ["http://me:hunter2@127.0.0.1:9/simple", "file:///srv", "/srv"])
@pytest.mark.parametrize("route", [(), INDEX_ROUTE], ids=["default", "index"])
def test_an_extra_index_that_the_gateway_cannot_serve_is_told_in_one_line(
    route: tuple[str, ...], url: str, ready: User, telling: Callable
) -> None:
    pip = telling()

    done = ready.crane(
        "pip", *route, "--python", str(pip.environment), "install", "x", "--extra-index-url", url
    )

    assert "hunter2" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    # By default such an index has a login of its own and keeps it.
    assert pip.was_called or (route and "@" in url)
    assert done.returncode == (0 if pip.was_called else 6)


def test_remote_links_are_warned_of(ready: User, telling: Callable) -> None:
    pip = telling()
    file = write(ready.home, "a.txt", "--find-links https://me:pw@links.example.com/wheels/\n")
    run = ("pip", "--python", str(pip.environment), "install", "x")

    option = ready.crane(*run, "-f", "https://me:pw@links.example.com/wheels/")
    in_file = ready.crane(*run, "-r", file)
    variable = ready.crane(*run, PIP_FIND_LINKS="https://me:pw@links.example.com/wheels/")
    local = ready.crane(*run, "-f", "wheels", "--find-links=file:///srv/wheels")

    assert "https://links.example.com/wheels/ (--find-links)" in option.stderr
    assert "https://links.example.com/wheels/ (--find-links)" in in_file.stderr
    assert "me:pw" not in option.stderr + in_file.stderr + variable.stderr
    assert not local.stderr
