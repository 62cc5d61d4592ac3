"""Which file a resolver looks at first, and which requirements it will ask about next."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from crane_core.index.candidates import best_candidate, requirements_for
from crane_core.index.environment import ToolEnvironment, environment_of
from crane_core.index.page import ProjectPage
from crane_core.index.wheel_metadata import dependencies_of

PURE = "py3-none-any"
LINUX = "manylinux_2_17_x86_64.manylinux2014_x86_64"


def tool(python: str = "3.11.7") -> ToolEnvironment:
    facts = {
        "python": python,
        "implementation": {"name": "CPython", "version": python},
        "distro": {"libc": {"lib": "glibc", "version": "2.36"}},
        "system": {"name": "Linux", "release": "6.1"},
        "cpu": "x86_64",
    }
    found = environment_of(f"pip/26.3 {json.dumps(facts)}")
    assert found is not None
    return found


def entry(filename: str, **values: Any) -> dict[str, Any]:
    extra = {key.replace("_", "-"): value for key, value in values.items()}
    return {"filename": filename, "url": f"https://x.example/{filename}", "hashes": {}, **extra}


def wheel(version: str, tag: str = PURE, **values: Any) -> dict[str, Any]:
    return entry(f"lib-{version}-{tag}.whl", **values)


def sdist(version: str, **values: Any) -> dict[str, Any]:
    return entry(f"lib-{version}.tar.gz", **values)


def page(*files: dict[str, Any], name: str = "lib") -> ProjectPage:
    return ProjectPage({"meta": {"api-version": "1.1"}, "name": name, "files": list(files)})


def best(
    *files: dict[str, Any],
    specifier: str = "",
    environment: ToolEnvironment | None = None,
    name: str = "lib",
) -> str | None:
    """Return the name of the best file; whatever the order on the page, it is the same."""
    environment = environment or tool()
    there = best_candidate(page(*files, name=name), environment, SpecifierSet(specifier))
    back = best_candidate(page(*files[::-1], name=name), environment, SpecifierSet(specifier))
    assert there == back
    assert there is None or there in files
    return there["filename"] if there else None


def version_of(*files: dict[str, Any], specifier: str = "") -> str | None:
    found = best(*files, specifier=specifier)
    return found.split("-")[1] if found else None


@pytest.mark.parametrize(
    ("versions", "specifier", "expected"),
    [
        ("1.0 2.0 1.5", "", "2.0"),
        ("1.9 1.10 1.2", "", "1.10"),
        ("1.0 1.0.post1 1.0+local", "", "1.0.post1"),
        ("1!0.1 2024.1", "", "1!0.1"),
        ("1.0 2.0 3.0", "<3", "2.0"),
        ("1.0 2.0 3.0", "<2.0,!=1.0", None),
        ("1.0 2.0 3.0", "==2.0.0", "2.0"),
        ("1.0 2.1 2.9 3.0", "==2.*", "2.9"),
        ("1.0 2.0 3.0", "~=1.0", "1.0"),
        ("1.0 2.0 3.0", ">=4", None),
        ("1.0 2.0", "===1.0", "1.0"),
        ("1.0 2.0a1", "", "1.0"),
        ("1.0 2.0a1", ">=1.0", "1.0"),
        ("1.0 2.0a1", ">=1.0a1", "2.0a1"),
        ("1.0 2.0a1", "==2.0a1", "2.0a1"),
        ("1.0 2.0a1", ">=2.0a1,<3", "2.0a1"),
        ("1.0 2.0.dev1 2.0rc1", "", "1.0"),
        ("1.0a1 1.0b2", "", "1.0b2"),
        ("1.0 2.0a1 2.0b1", ">1.0", "2.0b1"),
        ("1.0 2.0a1", ">1.5", "2.0a1"),
        ("1.0 nonsense 1.x", "", "1.0"),
        ("nonsense", "", None),
        ("1.0 " + "9" * 5000, "", "1.0"),
        ("", "", None),
    ],
)
def test_the_highest_version_that_the_specifier_takes(
    versions: str, specifier: str, expected: str | None
) -> None:
    assert version_of(*map(wheel, versions.split()), specifier=specifier) == expected


def test_two_spellings_of_a_version_are_one() -> None:
    assert best(sdist("1.0"), wheel("1.0.0"), wheel("0.9")) == "lib-1.0.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("files", "specifier", "expected"),
    [
        ([wheel("1.0"), wheel("2.0", yanked=True)], "", "1.0"),
        ([wheel("1.0"), wheel("2.0", yanked="broken")], "", "1.0"),
        ([wheel("1.0"), wheel("2.0", yanked=False)], "", "2.0"),
        ([wheel("1.0"), wheel("2.0", yanked="")], "", "2.0"),
        ([wheel("1.0"), wheel("2.0", yanked=True)], ">=2.0", None),
        ([wheel("1.0"), wheel("2.0", yanked=True)], "==2.*", None),
        ([wheel("1.0"), wheel("2.0", yanked=True)], "==2.0", "2.0"),
        ([wheel("1.0"), wheel("2.0", yanked=True)], "===2.0", "2.0"),
        ([wheel("1.0"), wheel("2.0", yanked=True)], "==2.0,>1", "2.0"),
        ([wheel("1.0"), sdist("2.0", yanked=True)], "", "1.0"),
        ([wheel("2.0", yanked=True)], "", None),
        ([wheel("1.0"), wheel("2.0a1"), wheel("3.0", yanked=True)], "", "1.0"),
    ],
)
def test_a_yanked_file_counts_only_where_its_version_is_pinned(
    files: list[dict[str, Any]], specifier: str, expected: str | None
) -> None:
    assert version_of(*files, specifier=specifier) == expected


@pytest.mark.parametrize(
    ("requires", "python", "expected"),
    [
        (">=3.11", "3.11.7", "2.0"),
        (">=3.12", "3.11.7", "1.0"),
        (">=3.8,<3.11", "3.11.7", "1.0"),
        (">=3.11.8", "3.11.7", "1.0"),
        (">=3.15", "3.15.0a2", "2.0"),
        ("!=3.11.*", "3.11.7", "1.0"),
        ("", "3.11.7", "2.0"),
        ("no specifier", "3.11.7", "2.0"),
        (None, "3.11.7", "2.0"),
        (["x"], "3.11.7", "2.0"),
    ],
)
def test_a_version_for_another_python_is_passed_over(
    requires: Any, python: str, expected: str
) -> None:
    files = [wheel("1.0"), wheel("2.0", requires_python=requires)]
    found = best(*files, environment=tool(python))
    assert found == f"lib-{expected}-{PURE}.whl"
    assert best_candidate(page(*files), None, SpecifierSet("")) == files[1]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ([PURE], PURE),
        ([PURE, f"cp311-cp311-{LINUX}"], f"cp311-cp311-{LINUX}"),
        ([f"cp310-cp310-{LINUX}", PURE, f"cp312-cp312-{LINUX}"], PURE),
        ([f"cp311-cp311-{LINUX}", "cp311-cp311-manylinux_2_28_x86_64"],
         "cp311-cp311-manylinux_2_28_x86_64"),
        ([f"cp311-cp311-{LINUX}", "cp311-cp311-manylinux_2_39_x86_64"], f"cp311-cp311-{LINUX}"),
        ([f"cp38-abi3-{LINUX}", f"cp311-abi3-{LINUX}"], f"cp311-abi3-{LINUX}"),
        (["cp311-cp311-win_amd64", "cp311-cp311-macosx_11_0_arm64", "py2.py3-none-any"],
         "py2.py3-none-any"),
        (["py3-none-any", "1-py3-none-any"], "1-py3-none-any"),
        (["9-py3-none-any", "10-py3-none-any", "2b-py3-none-any"], "10-py3-none-any"),
        (["9-py3-none-any", f"cp311-cp311-{LINUX}"], f"cp311-cp311-{LINUX}"),
        (["9" * 5000 + "-py3-none-any", "1-py3-none-any"], "9" * 5000 + "-py3-none-any"),
        (["py3-none-", "py3-none-any"], "py3-none-any"),
    ],
    ids=range(12),
)  # fmt: skip
def test_of_a_versions_wheels_the_one_made_for_this_machine(tags: list[str], expected: str) -> None:
    assert best(*(wheel("1.0", tag) for tag in tags)) == f"lib-1.0-{expected}.whl"


def test_a_version_without_a_wheel_for_this_machine_is_passed_over() -> None:
    assert version_of(wheel("1.0"), wheel("2.0", "cp311-cp311-win_amd64")) == "1.0"


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz"])
def test_a_version_that_has_only_a_source_distribution_has_no_candidate(suffix: str) -> None:
    """The tool will build it, or take its PKG-INFO: an older wheel is not what it asks for."""
    source = entry(f"lib-2.0{suffix}")
    assert version_of(wheel("1.0"), source) is None
    assert version_of(wheel("1.0"), source, wheel("2.0", "cp311-cp311-win_amd64")) is None
    assert version_of(wheel("1.0"), source, wheel("2.0")) == "2.0"
    assert version_of(wheel("1.0"), source, specifier="<2") == "1.0"
    assert version_of(wheel("1.0a1"), source) is None


@pytest.mark.parametrize(
    "filename",
    [
        "other-9.0-py3-none-any.whl", "lib2-9.0-py3-none-any.whl", "lib-9.0-py3-none.whl",
        "lib-9.0-1-2-py3-none-any.whl", "lib-9.0.whl", "lib-9.0-py3-none-any.whl.metadata",
        "lib-9.0-py3.11.egg", "lib-9.0.exe", "lib.tar.gz", "lib-extra-9.0.tar.gz", "9.0.tar.gz",
        "lib-9.0.tar.gz.asc", "-9.0-py3-none-any.whl",
        "lib-9.0-" + ".".join(["py3"] * 300) + "-none-any.whl",
        "lib-9.0--none-any.whl", "", ".whl", "-----.whl", "lib--py3-none-any.whl",
    ],
    ids=range(19),
)  # fmt: skip
def test_files_that_are_none_of_this_project_are_passed_over(filename: str) -> None:
    assert version_of(wheel("1.0"), entry(filename)) == "1.0"
    assert best(entry(filename)) is None


def test_names_are_compared_as_projects() -> None:
    files = [entry("Acme.Lib-1.0-py3-none-any.whl"), entry("acme_lib-1.1-py3-none-any.whl")]
    assert best(*files, name="acme-lib") == "acme_lib-1.1-py3-none-any.whl"
    assert best(*files, entry("acme-lib-2.0.tar.gz"), name="Acme_Lib") is None
    nameless = ProjectPage({"meta": {}, "files": files})
    assert best_candidate(nameless, tool(), SpecifierSet("")) == files[1]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["cp311-cp311-win_amd64", PURE, "py2.py3-none-any"], 1),
        (["cp311-cp311-win_amd64", "py2.py3-none-any", PURE], 1),
        (["cp313-cp313-win_amd64", f"cp311-cp311-{LINUX}"], 0),
        (["no-tag", "cp313-cp313-win_amd64"], 1),
    ],
)
def test_without_an_environment_a_wheel_for_any_machine_or_the_first(
    tags: list[str], expected: int
) -> None:
    files = [wheel("1.0", tag) for tag in tags]
    assert best_candidate(page(*files), None, SpecifierSet("")) == files[expected]


def test_without_an_environment_a_source_distribution_is_no_candidate_either() -> None:
    assert best_candidate(page(wheel("1.0"), sdist("2.0")), None, SpecifierSet("")) is None


VERSIONS = st.from_regex(r"[0-3](\.[0-9]){0,2}((a|rc)[0-2])?(\.post1)?(\.dev1)?", fullmatch=True)
FILES = st.builds(
    lambda make, version, tag, yanked: (
        make(version, yanked=yanked) if make is sdist else wheel(version, tag, yanked=yanked)
    ),
    st.sampled_from([wheel, wheel, sdist]),
    VERSIONS,
    st.sampled_from([PURE, f"cp311-cp311-{LINUX}", "cp311-cp311-win_amd64"]),
    st.booleans(),
)
SPECIFIERS = st.sampled_from(["", ">=1", "<2", ">=1.5a0", "==1.*", "!=2.0", "==1.0", "~=1.2"])


@given(st.lists(FILES, max_size=12, unique_by=lambda f: f["filename"]), SPECIFIERS)
def test_a_slow_and_plain_search_finds_the_same(files: list[dict[str, Any]], text: str) -> None:
    specifier, environment = SpecifierSet(text), tool()
    installable = {}
    for file in files:
        is_wheel = file["filename"].endswith(".whl")
        tags = parse_wheel_filename(file["filename"])[3] if is_wheel else frozenset()
        version = Version(file["filename"].removesuffix(".tar.gz").split("-")[1])
        fits = not is_wheel or environment.rank(tags) is not None
        if fits and (not file["yanked"] or text == "==1.0"):
            installable.setdefault(version, []).append(file)
    taken = [v for v in installable if specifier.contains(v, prereleases=True)]
    final = [v for v in taken if specifier.prereleases or not v.is_prerelease]
    chosen = max(final or taken, default=None)
    found = best_candidate(page(*files), environment, specifier)
    wheels = [f for f in installable.get(chosen, []) if f["filename"].endswith(".whl")]
    assert (found in wheels) if wheels else (found is None)


def boto_like(versions: int) -> ProjectPage:
    files = []
    for n in range(versions):
        version = f"1.{n // 100}.{n % 100}"
        files += [wheel(version, requires_python=">=3.9"), sdist(version, requires_python=">=3.9")]
    random.Random(1).shuffle(files)
    return page(*files)


@pytest.mark.parametrize("specifier", ["", ">=1.2,<1.3", "<1.0", "==1.5.5"])
def test_a_page_of_thousands_of_files_is_quick(specifier: str) -> None:
    """It takes 4 ms; the limit leaves room for slow machines, not for another order of growth."""
    large, environment = boto_like(1500), tool()

    def seconds() -> float:
        start = time.process_time()
        best_candidate(large, environment, SpecifierSet(specifier))
        return time.process_time() - start

    assert min(seconds() for _ in range(5)) < 0.1


def named(*lines: str, extras: str = "", environment: ToolEnvironment | None = None) -> str:
    metadata = "Name: lib\nVersion: 1\n" + "".join(f"Requires-Dist: {line}\n" for line in lines)
    dependencies = dependencies_of(metadata.encode())
    assert len(dependencies.requires) == len(lines)
    found = requirements_for(dependencies, environment, frozenset(extras.split()))
    return " ".join(requirement.name for requirement in found)


MARKED = (
    "a",
    "b>=1",
    "c; python_version < '3.12'",
    "d; python_version >= '3.12'",
    "e; sys_platform == 'win32'",
    "f; extra == 'Some_Extra'",
    "g; extra == 'more' and os_name == 'posix'",
    "h; extra == 'more' and os_name == 'nt'",
    "i @ https://x.example/i-1-py3-none-any.whl",
    "j; extra == 'more' or sys_platform == 'linux'",
)


@pytest.mark.parametrize(
    ("extras", "expected"),
    [
        ("", "a b c j"),
        ("some.extra", "a b c f j"),
        ("more", "a b c g j"),
        ("more some-extra", "a b c f g j"),
        ("unknown", "a b c j"),
    ],
)
def test_requirements_hold_as_their_markers_say(extras: str, expected: str) -> None:
    assert named(*MARKED, extras=extras, environment=tool()) == expected


@pytest.mark.parametrize(
    ("extras", "expected"),
    [("", "a b"), ("some.extra", "a b f"), ("more", "a b"), ("more Some_Extra", "a b f")],
)
def test_without_an_environment_only_plain_ones_and_those_of_the_extras_hold(
    extras: str, expected: str
) -> None:
    assert named(*MARKED, extras=extras) == expected


@pytest.mark.parametrize(
    "marker",
    [
        "platform_release >= '5'", "platform_version >= '5'", "os_name ~= 'x'", "os_name < 'x'",
        "python_version >= 'x'", "'x' ~= os_name", "extra ~= 'x'", "platform_release ~= '5.1'",
        "(" * 60 + "os_name == 'x'" + ")" * 60,
    ],
)  # fmt: skip
def test_a_marker_that_means_nothing_does_not_hold_and_does_no_harm(marker: str) -> None:
    environment = tool("3.11.7")
    odd = environment_of(
        'pip/1 {"python":"3.11.7nonsense","implementation":{"name":"CPython"},'
        '"system":{"name":"Linux","release":"not a version"},"cpu":"x"}'
    )
    assert odd is not None
    for each in (environment, odd):
        assert named("a", f"b; {marker}", environment=each) in {"a", "a b"}
    assert named("b; os_name ~= 'x'", environment=environment) == ""


def test_a_project_that_asks_for_itself_with_extras_is_told_so() -> None:
    """`lib[all]` is often made of `lib[a,b]`; the caller follows that as any other requirement."""
    lines = ["lib[a,b]; extra == 'all'", "x; extra == 'a'"]
    assert named(*lines, extras="all", environment=tool()) == "lib"
