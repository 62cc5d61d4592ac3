"""Which registered index a pip command is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.pips import INDEX_ROUTE, log_in, register
from support.world import User, World

from crane_core.config.model import Index


@pytest.fixture
def several(user: User, world: World, index: Index) -> tuple[Index, Index]:
    """Give a default index and another; the user is logged in to both."""
    default = replace(index, name="main", url=f"{world.crane_url}/main", default=True)
    register(user, default, index)
    log_in(user, world.realm, default, index)
    return default, index


SPELLINGS = ["-i {}", "-i{}", "--index-url {}", "--index-url={}", "--index-u {}", "--pypi-url {}",
             "--pypi-url={}", "-qi{}", "-qi {}", "-i http://127.0.0.1:1/x -i {}"]  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_index_that_is_named_beats_the_default(
    spelling: str, several: tuple[Index, Index], user: User, telling: Callable
) -> None:
    pip = telling()
    option = spelling.format(several[1].url).split()

    done = user.crane(
        "pip", *INDEX_ROUTE, "--python", str(pip.environment), "install", *option, "x"
    )

    assert done.returncode == 0, done.stderr
    assert pip.index == "python"


def upper_case(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme.upper()}://{parts.netloc.upper()}{parts.path}"


URLS = {
    "as registered": lambda url: url,
    "with a slash": lambda url: f"{url}/",
    "with simple": lambda url: f"{url}/simple",
    "with simple and a slash": lambda url: f"{url}/simple/",
    "host and scheme in capitals": upper_case,
    "encoded": lambda url: url.replace("/python", "/%70ython"),
    "with a doubled slash": lambda url: url.replace("/python", "//python"),
}


@pytest.mark.parametrize("spelled", URLS.values(), ids=URLS)
def test_a_url_is_the_same_index_however_it_is_spelled(
    spelled: Callable[[str], str],
    user: User,
    world: World,
    index: Index,
    several: tuple[Index, Index],
    telling: Callable,
) -> None:
    url = index.url.replace("127.0.0.1", "localhost")
    local = replace(index, name="local", url=url)
    register(user, local)
    log_in(user, world.realm, local)
    pip = telling()

    done = user.crane(
        "pip", *INDEX_ROUTE, "--python", str(pip.environment), "install", "-i", spelled(url), "x"
    )

    assert done.returncode == 0, done.stderr
    assert pip.index == "local"


def test_the_default_is_used_where_none_is_named(
    several: tuple[Index, Index], user: User, telling: Callable
) -> None:
    pip = telling()

    done = user.crane("pip", *INDEX_ROUTE, "--python", str(pip.environment), "install", "x")

    assert done.returncode == 0, done.stderr
    assert pip.index == "main"


def test_several_indexes_without_a_default_make_the_user_choose(
    user: User, world: World, index: Index, telling: Callable
) -> None:
    register(user, index, replace(index, name="other", url=f"{world.crane_url}/other"))
    pip = telling()

    done = user.crane("pip", "--python", str(pip.environment), "install", "x")

    assert done.returncode == 5
    assert "python, other" in done.stderr
    assert "-i URL" in done.stderr
    assert not pip.was_called


@pytest.mark.parametrize("option", ["-i", "--index-url="])
def test_an_unregistered_index_is_refused_with_what_to_do(
    option: str, ready: User, telling: Callable
) -> None:
    pip = telling()
    url = "https://elsewhere.example.com/simple"
    given = [option + url] if option.endswith("=") else [option, url]

    done = ready.crane("pip", "--python", str(pip.environment), "install", *given, "x")

    assert done.returncode == 5
    assert f"crane index register {url}" in done.stderr
    assert not pip.was_called


def test_the_password_of_an_unregistered_url_is_not_printed(ready: User, telling: Callable) -> None:
    url = "https://me:hunter2@elsewhere.example.com/simple"

    done = ready.crane("pip", "--python", str(telling().environment), "install", "-i", url, "x")

    assert done.returncode in {5, 6}
    assert "hunter2" not in done.stdout + done.stderr


def test_nothing_registered_says_how_to_register(user: User, telling: Callable) -> None:
    done = user.crane("pip", "--python", str(telling().environment), "install", "x")

    assert done.returncode == 5
    assert "crane index register" in done.stderr


def test_the_gateway_stands_in_place_of_the_index_that_the_user_gave(
    several: tuple[Index, Index], user: User, telling: Callable
) -> None:
    pip = telling()

    user.crane(
        "pip", *INDEX_ROUTE, "--python", str(pip.environment),
        "install", "-i", several[1].url, "--", "x", check=True,
    )  # fmt: skip

    arguments = pip.told["arguments"]
    assert arguments[:2] == ["install", "--index-url"]
    assert arguments[3:] == ["--", "x"]
    assert several[1].url not in " ".join(arguments)


def test_by_default_the_arguments_stay_as_the_user_wrote_them(
    several: tuple[Index, Index], user: User, telling: Callable
) -> None:
    pip = telling()
    line = ["install", "-qi", f"{several[1].url}/simple/", "x", "--extra-index-url=file:///srv"]

    user.crane("pip", "--python", str(pip.environment), *line, check=True)

    assert pip.told["arguments"] == line
    assert "PIP_INDEX_URL" not in pip.told["environ"]


def test_the_default_is_put_in_with_its_real_url_where_none_is_named(
    several: tuple[Index, Index], user: User, telling: Callable
) -> None:
    pip = telling()

    user.crane("pip", "--python", str(pip.environment), "-q", "install", "x", check=True)

    url = several[0].url
    assert pip.told["arguments"] == ["-q", "install", "--index-url", url, "x"]
    assert pip.told["environ"]["PIP_INDEX_URL"] == url


@pytest.mark.parametrize("route", ["loopback", ""])
def test_a_route_that_there_is_not_is_refused(route: str, ready: User, telling: Callable) -> None:
    pip = telling()

    done = ready.crane("pip", "--route", route, "--python", str(pip.environment), "install", "x")

    assert done.returncode == 2
    assert "forward, index" in done.stderr
    assert not pip.was_called


def test_what_stands_behind_two_dashes_names_no_index(
    several: tuple[Index, Index], user: User, telling: Callable
) -> None:
    pip = telling()

    user.crane(
        "pip", "--python", str(pip.environment), "install", "--", "-i", several[1].url, check=True
    )

    assert pip.index_url == several[0].url


def test_an_option_without_its_value_is_pips_own_error(ready: User, active: Path) -> None:
    """What crane appends must not become the value of an option that lacks one."""
    done = ready.crane("pip", "install", "x", "-r")

    assert done.returncode == 2
    assert "requires 1 argument" in done.stderr


# From here on with a real pip, which reads its own files.


def in_config_file_of_the_environment(user: User, active: Path, text: str) -> None:
    (active / "pip.conf").write_text(text)


def in_config_file_of_the_user(user: User, active: Path, text: str) -> None:
    folder = user.home / ".config" / "pip"
    folder.mkdir(parents=True)
    (folder / "pip.conf").write_text(text)


def in_a_file_named_by_a_variable(user: User, active: Path, text: str) -> None:
    file = user.home / "some.conf"
    file.write_text(text)
    user.variables["PIP_CONFIG_FILE"] = str(file)


PLACES = [
    in_config_file_of_the_environment,
    in_config_file_of_the_user,
    in_a_file_named_by_a_variable,
]


@pytest.fixture
def two(world: World, user: User, index: Index, active: Path) -> Index:
    """Register a default index that does not exist, beside the one that has the projects."""
    nowhere = replace(index, name="nowhere", url=f"{world.crane_url}/nowhere", default=True)
    register(user, nowhere)
    log_in(user, world.realm, nowhere)
    world.add_private("secret-lib", "1.5")
    return index


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("section", ["global", "install"])
def test_an_index_in_pips_files_is_used(
    place: Callable, section: str, two: Index, ready: User, active: Path
) -> None:
    place(ready, active, f"[{section}]\nindex-url = {two.url}/simple/\n")

    done = ready.crane("pip", "install", "--dry-run", "secret-lib")

    assert done.returncode == 0, done.stderr
    assert "Would install secret-lib-1.5" in done.stdout


def test_the_section_of_another_command_is_not_used(two: Index, ready: User, active: Path) -> None:
    (active / "pip.conf").write_text(f"[download]\nindex-url = {two.url}\n")

    done = ready.crane("pip", "install", "--dry-run", "secret-lib")

    assert done.returncode == 1
    assert "may mean 'no access'" in done.stdout + done.stderr


def test_the_variable_beats_the_file_and_the_option_beats_the_variable(
    two: Index, ready: User, active: Path
) -> None:
    (active / "pip.conf").write_text("[install]\nindex-url = https://elsewhere.example.com/\n")
    ready.variables["PIP_INDEX_URL"] = two.url
    named = ready.crane("pip", "install", "--dry-run", "secret-lib")
    ready.variables["PIP_INDEX_URL"] = "https://elsewhere.example.com/simple"
    option = ready.crane("pip", "install", "--dry-run", "-i", two.url, "secret-lib")

    assert named.returncode == 0, named.stderr
    assert option.returncode == 0, option.stderr


def test_an_unregistered_index_in_the_variable_is_refused(ready: User, active: Path) -> None:
    done = ready.crane("pip", "install", "x", PIP_INDEX_URL="https://elsewhere.example.com/simple")

    assert done.returncode == 5
    assert "https://elsewhere.example.com/simple" in done.stderr


@pytest.mark.parametrize(
    "foreign",
    ["https://mirror.example.com/simple", "https://me:pw@mirror.example.com/simple", "file:///srv"],
)
def test_a_foreign_index_in_pips_file_gives_way_to_the_only_registered_one(
    foreign: str, world: World, ready: User, active: Path
) -> None:
    world.add_private("secret-lib", "1.5")
    (active / "pip.conf").write_text(f"[global]\nindex-url = {foreign}\n")

    done = ready.crane("pip", "install", "--dry-run", "secret-lib")

    assert done.returncode == 0, done.stderr


def test_an_index_in_a_requirements_file_is_served_by_the_gateway(
    world: World, ready: User, active: Path
) -> None:
    """pip lets such a line beat its command line."""
    world.add_private("secret-lib", "1.5")
    file = ready.home / "requirements.txt"
    file.write_text(f"--index-url {world.index_url}/\nsecret-lib\n")

    done = ready.crane("pip", "install", "--dry-run", "-r", str(file))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Would install secret-lib-1.5" in done.stdout
