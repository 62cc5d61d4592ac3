"""What a tool's User-Agent tells of the Python and the machine that it installs for."""

from __future__ import annotations

import json
import platform
import sys
import sysconfig
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.markers import Marker, default_environment
from packaging.tags import Tag, parse_tag, sys_tags

from crane_core.index.environment import MAX_USER_AGENT, ToolEnvironment, environment_of

LINUX: dict[str, Any] = {
    "python": "3.11.7",
    "implementation": {"name": "CPython", "version": "3.11.7"},
    "distro": {"name": "Debian", "version": "12", "libc": {"lib": "glibc", "version": "2.36"}},
    "system": {"name": "Linux", "release": "6.18.44-fc-v657"},
    "cpu": "x86_64",
}
# As captured from pip 26.3, uv 0.13.9 and Hatch 1.18.2.
PIP = (
    'pip/26.3 {"ci":null,"cpu":"x86_64","distro":{"id":"bookworm","libc":{"lib":"glibc",'
    '"version":"2.36"},"name":"Debian GNU/Linux","version":"12"},"implementation":{"name":'
    '"CPython","version":"3.11.7"},"installer":{"name":"pip","version":"26.3"},'
    '"openssl_version":"OpenSSL 3.0.19 27 Jan 2026","python":"3.11.7","rustc_version":"1.95.0",'
    '"system":{"name":"Linux","release":"6.18.44-fc-v657"}}'
)
UV = (
    'uv/0.13.9 {"installer":{"name":"uv","version":"0.13.9","subcommand":["pip","install"]},'
    '"python":"3.11.7","implementation":{"name":"CPython","version":"3.11.7"},"distro":{"name":'
    '"Debian GNU/Linux","version":"12","id":"bookworm","libc":{"lib":"glibc","version":"2.36"}},'
    '"system":{"name":"Linux","release":"6.18.44-fc-v657"},"cpu":"x86_64","openssl_version":null,'
    '"setuptools_version":null,"rustc_version":null,"ci":null}'
)
HATCH = f"Hatch/1.18.2 {json.dumps(LINUX)} HTTPX2/2.16.2"
MARKERS = {
    "implementation_name": "cpython",
    "implementation_version": "3.11.7",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_release": "6.18.44-fc-v657",
    "platform_system": "Linux",
    "platform_version": "",
    "python_full_version": "3.11.7",
    "python_version": "3.11",
    "sys_platform": "linux",
}


def found(user_agent: str) -> ToolEnvironment:
    environment = environment_of(user_agent)
    assert environment is not None
    return environment


def told(tool: str = "pip", **changes: Any) -> ToolEnvironment:
    return found(f"{tool}/1.0 {json.dumps(LINUX | changes)}")


def machine(system: str, cpu: str, **distro: Any) -> ToolEnvironment:
    return told(system={"name": system, "release": "1"}, cpu=cpu, distro=distro)


def libc(lib: str, version: str, cpu: str = "x86_64") -> ToolEnvironment:
    return machine("Linux", cpu, libc={"lib": lib, "version": version})


def rank(environment: ToolEnvironment, tag: str) -> int | None:
    return environment.rank(parse_tag(tag))


@pytest.mark.parametrize("user_agent", [PIP, UV, HATCH], ids=["pip", "uv", "hatch"])
def test_what_pip_uv_and_hatch_tell_is_taken(user_agent: str) -> None:
    environment = found(user_agent)
    assert environment.markers == MARKERS
    assert environment.python == "3.11.7"
    assert rank(environment, "cp311-cp311-manylinux_2_36_x86_64") is not None
    assert rank(environment, "cp311-cp311-manylinux_2_37_x86_64") is None


def of_this_python() -> str:
    """Return what pip would send from this very Python."""
    lib, version = platform.libc_ver()
    system, release, cpu = platform.system(), platform.release(), platform.machine()
    distro = {"libc": {"lib": lib, "version": version}} if lib else {}
    if system == "Darwin":
        distro = {"name": "macOS", "version": platform.mac_ver()[0]}
    facts = {
        "python": platform.python_version(),
        "implementation": {"name": "CPython", "version": platform.python_version()},
        "system": {"name": system, "release": release},
        "distro": distro,
        "cpu": cpu,
    }
    return f"pip/26.3 {json.dumps(facts)}"


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="compares with CPython's own")
def test_of_this_python_the_same_is_said_as_packaging_says() -> None:
    environment = found(of_this_python())
    assert set(environment.tags) == set(sys_tags())
    expected = {**default_environment(), "platform_version": ""}
    assert environment.markers == expected


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="compares with CPython's own")
@pytest.mark.parametrize(
    "form",
    [
        "poetry/2.5.1 CPython/{} {}/{}",
        "poetry/2.5.1 user_data/my data {{x}} CPython/{} {}/{}",
        "poetry/2.6.0 user_data/CPython/2.7 Linux/1 CPython/{} {}/{}",
        "pdm/2.29.4 CPython/{} {}/{}",
        "pdm/2.1.6.dev32+g1e5dc62 CPython/{} {}/{}",
    ],
)
def test_for_tools_that_tell_less_the_machine_is_this_one(form: str) -> None:
    text = form.format(platform.python_version(), platform.system(), platform.release())
    environment = found(text)
    assert environment.tags == tuple(sys_tags())
    assert environment.markers == {**default_environment(), "platform_version": ""}


def test_the_python_of_poetry_need_not_be_ours() -> None:
    environment = found(f"poetry/2.5.1 CPython/3.13.2 {platform.system()}/1")
    assert environment.markers["python_full_version"] == "3.13.2"
    assert environment.markers["platform_release"] == platform.release()
    assert Tag("cp313", "none", "any") in environment.tags
    assert Tag("cp314", "none", "any") not in environment.tags


@pytest.mark.parametrize(
    "user_agent",
    [
        "", "pip", "pip/26.3", "pip/26.3 ", "pip/26.3 {}", "pip/26.3 {", "pip/26.3 []",
        "curl/8.0", "Mozilla/5.0 (X11; Linux x86_64)", "python-requests/2.32",
        "twine/6.0 CPython/3.11",
        f"my-pip/1.0 {json.dumps(LINUX)}", f"pip {json.dumps(LINUX)}", json.dumps(LINUX),
        "pip/26.3 " + "[" * 3000, 'pip/26.3 {"a":' * 200, 'pip/26.3 {"a":' + "[" * 3000 + "}",
        'pip/26.3 {"python":3.11}', 'pip/26.3 {"python":["3.11.7"],"cpu":{}}',
        "poetry/2.5.1 PyPy/7.3.15 Linux/6.1", "poetry/2.5.1", "poetry/2.5.1 CPython/3.11.7",
        "poetry/2.5.1 CPython/3.11.7 Plan9/4", "poetry/2.5.1 CPython/x Linux/1",
        "pdm/2.29.4 unearth",
        PIP.replace("pip/26.3 ", "pip/26.3 " + " " * MAX_USER_AGENT),
        PIP[:-1] + ',"user_data":"' + "x" * MAX_USER_AGENT + '"}',
    ],
)  # fmt: skip
def test_a_tool_that_does_not_tell_has_no_environment(user_agent: str) -> None:
    assert environment_of(user_agent) is None


@pytest.mark.parametrize("missing", ["python", "implementation", "system", "cpu"])
@pytest.mark.parametrize("value", [None, "", {}, [], 3, {"name": None}, {"name": ["x"]}])
def test_what_cannot_be_done_without_must_be_told(missing: str, value: Any) -> None:
    assert environment_of(f"uv/1 {json.dumps(LINUX | {missing: value})}") is None
    kept = {key: value for key, value in LINUX.items() if key != missing}
    assert environment_of(f"uv/1 {json.dumps(kept)}") is None


@pytest.mark.parametrize("distro", [None, {}, [], "x", {"libc": None}, {"libc": {"lib": None}}])
def test_the_rest_need_not_be_told(distro: Any) -> None:
    assert rank(told(distro=distro), "py3-none-any") is not None


@pytest.mark.parametrize(
    ("python", "release", "minor"),
    [
        ("3.11.7", "3.11.7", "3.11"), ("3.15.0a3", "3.15.0", "3.15"),
        ("3.13.0rc1", "3.13.0", "3.13"),
        ("3.13.1+", "3.13.1", "3.13"), ("3.9", "3.9.0", "3.9"), ("3.7.17", "3.7.17", "3.7"),
    ],
)  # fmt: skip
def test_versions_are_read_as_python_writes_them(python: str, release: str, minor: str) -> None:
    environment = told(python=python)
    assert environment.python == release
    assert environment.markers["python_version"] == minor
    assert environment.markers["python_full_version"] == python
    assert Marker(f"python_full_version >= '{minor}.0a1'").evaluate(environment.markers)


@pytest.mark.parametrize(
    "python", ["2.7.18", "4.0.0", "3", "3.x", "x", "", "3.100.0", "3.999999999", "33.1", " 3.11"]
)
def test_versions_that_no_python_has_are_refused(python: str) -> None:
    assert environment_of(f"pip/1 {json.dumps(LINUX | {'python': python})}") is None


@pytest.mark.parametrize(
    ("environment", "expected", "absent"),
    [
        (libc("glibc", "2.36"), "linux manylinux_2_36 manylinux2014 manylinux2010 manylinux1",
         "manylinux_2_37 manylinux_2_4 musllinux_1_1"),
        (libc("glibc", "2.16"), "manylinux_2_16 manylinux2010", "manylinux_2_17 manylinux2014"),
        (libc("glibc", ""), "manylinux2014", "manylinux_2_18"),
        (libc("musl", "1.2"), "linux musllinux_1_2 musllinux_1_0", "musllinux_1_3 manylinux2014"),
        (machine("Linux", "x86_64"), "linux musllinux_1_2", "musllinux_1_3 manylinux2014"),
        (libc("glibc", "2.999999999"), "manylinux2014", "manylinux_2_18"),
    ],
)  # fmt: skip
def test_linux_takes_what_its_libc_is_good_for(
    environment: ToolEnvironment, expected: str, absent: str
) -> None:
    for platform_ in expected.split():
        assert rank(environment, f"cp311-cp311-{platform_}_x86_64") is not None, platform_
    for platform_ in absent.split():
        assert rank(environment, f"cp311-cp311-{platform_}_x86_64") is None, platform_


@pytest.mark.parametrize(
    ("environment", "expected", "absent"),
    [
        (libc("glibc", "2.36", "aarch64"), "manylinux_2_17_aarch64 manylinux2014_aarch64",
         "manylinux_2_16_aarch64 manylinux2010_aarch64 manylinux2014_x86_64"),
        (libc("glibc", "2.36", "i686"), "manylinux1_i686 linux_i686", "manylinux1_x86_64"),
        (machine("Darwin", "arm64", version="14.4"),
         "macosx_14_0_arm64 macosx_11_0_arm64 macosx_11_0_universal2 macosx_10_9_universal2",
         "macosx_15_0_arm64 macosx_11_0_x86_64 macosx_10_9_x86_64 linux_arm64"),
        (machine("Darwin", "x86_64", version="10.15.7"), "macosx_10_15_x86_64 macosx_10_9_intel",
         "macosx_11_0_x86_64 macosx_10_9_arm64"),
        (machine("Darwin", "arm64"), "macosx_11_0_arm64", "macosx_12_0_arm64"),
        (machine("Windows", "AMD64"), "win_amd64", "win32 win_arm64 linux_amd64"),
        (machine("Windows", "ARM64"), "win_arm64", "win32 win_amd64"),
        (machine("Windows", "x86"), "win32", "win_amd64"),
        (machine("FreeBSD", "amd64"), "freebsd_1_amd64", "linux_amd64 win_amd64"),
    ],
)  # fmt: skip
def test_each_machine_takes_what_is_made_for_it(
    environment: ToolEnvironment, expected: str, absent: str
) -> None:
    for platform_ in expected.split():
        assert rank(environment, f"cp311-abi3-{platform_}") is not None, platform_
    for platform_ in absent.split():
        assert rank(environment, f"cp311-abi3-{platform_}") is None, platform_


@pytest.mark.parametrize(
    ("system", "os_name", "sys_platform"),
    [
        ("Linux", "posix", "linux"), ("Darwin", "posix", "darwin"), ("Windows", "nt", "win32"),
        ("FreeBSD", "posix", "freebsd"),
    ],
)  # fmt: skip
def test_markers_name_the_system_as_python_does(
    system: str, os_name: str, sys_platform: str
) -> None:
    markers = machine(system, "x86_64").markers
    assert (markers["os_name"], markers["sys_platform"]) == (os_name, sys_platform)
    assert markers["platform_system"] == system


@pytest.mark.parametrize(
    ("implementation", "version", "expected", "absent"),
    [
        ("CPython", "3.11.7", "cp311-cp311 cp311-abi3 cp38-abi3 py3-none py38-none",
         "cp312-cp312 cp310-cp310 cp312-abi3 pp311-pypy311_pp73 cp311-cp311t py312-none"),
        ("PyPy", "7.3.15", "pp311-pypy311_pp73 py3-none",
         "cp311-cp311 cp311-abi3 pp310-pypy310_pp73"),
        ("PyPy", "", "py3-none", "pp311-pypy311_pp73 cp311-abi3"),
        ("GraalVM", "24.0", "py3-none py311-none", "cp311-cp311 cp311-abi3"),
    ],
)  # fmt: skip
def test_each_python_takes_what_is_made_for_it(
    implementation: str, version: str, expected: str, absent: str
) -> None:
    environment = told(implementation={"name": implementation, "version": version})
    assert environment.markers["implementation_name"] == implementation.lower()
    for tag in expected.split():
        assert rank(environment, f"{tag}-manylinux2014_x86_64") is not None, tag
    for tag in absent.split():
        assert rank(environment, f"{tag}-manylinux2014_x86_64") is None, tag
    assert rank(environment, "py2.py3-none-any") is not None


def test_pypy_takes_what_is_made_for_any_pypy() -> None:
    pypy = told(implementation={"name": "PyPy", "version": "7.3.15"})
    assert rank(pypy, "pp3-none-any") is not None
    assert rank(told(), "pp3-none-any") is None


def test_how_this_python_was_built_says_nothing_of_the_tools(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", lambda _: 1)
    environment_of.cache_clear()
    environment = told(python="3.13.1")
    assert environment.tags[0].abi == "cp313"
    assert not any(tag.abi in {"cp313t", "cp313td", "cp313d"} for tag in environment.tags)


def test_an_old_python_has_its_old_abi() -> None:
    assert rank(told(python="3.7.9"), "cp37-cp37m-manylinux1_x86_64") is not None
    assert rank(told(python="3.8.0"), "cp38-cp38m-manylinux1_x86_64") is None


def test_the_nearer_tag_has_the_better_rank() -> None:
    environment = found(PIP)
    tags = [
        "cp311-cp311-manylinux_2_28_x86_64", "cp311-cp311-manylinux2014_x86_64",
        "cp311-abi3-manylinux_2_28_x86_64", "cp38-abi3-manylinux_2_28_x86_64",
        "py3-none-manylinux_2_28_x86_64", "py311-none-any", "py3-none-any",
    ]  # fmt: skip
    ranks = [rank(environment, tag) for tag in tags]
    assert None not in ranks
    assert ranks == sorted(ranks, key=lambda r: -1 if r is None else r)
    assert len(set(ranks)) == len(ranks)
    assert rank(environment, "cp312.cp311-cp311-manylinux_2_28_x86_64.win32") == ranks[0]
    assert environment.rank([]) is None
    assert environment.rank(environment.tags) == 0


def test_an_environment_is_a_value() -> None:
    pip, uv = found(PIP), found(UV)
    assert pip == uv
    assert pip is not uv
    assert hash(pip) == hash(uv)
    assert pip != told(cpu="aarch64")
    assert pip != told(python="3.11.8")
    pip.markers["os_name"] = "spoilt"
    assert pip.markers == MARKERS
    with pytest.raises(AttributeError):
        pip.python = "3.12.0"  # type: ignore[misc]


def test_what_was_found_is_remembered_but_not_without_bound() -> None:
    environment_of.cache_clear()
    assert environment_of(PIP) is environment_of(PIP)
    for number in range(200):
        environment_of(f"curl/{number}")
    assert environment_of.cache_info().currsize <= 64


@pytest.mark.parametrize(
    ("marker", "holds"),
    [
        ("python_version < '3.12' and sys_platform == 'linux'", True),
        ("python_version >= '3.12' or os_name == 'nt'", False),
        ("platform_machine == 'x86_64' and platform_system != 'Windows'", True),
        ("implementation_name == 'pypy'", False),
        ("platform_python_implementation == 'CPython'", True),
        ("python_full_version >= '3.11.7'", True),
        ("platform_version == ''", True),
        ("extra == 'x'", False),
    ],
)
def test_markers_can_be_evaluated(marker: str, holds: bool) -> None:
    assert Marker(marker).evaluate(found(UV).markers) is holds


KEYS = st.sampled_from([*LINUX, "name", "libc", "lib", "version"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)


@given(
    st.sampled_from(["pip", "uv", "Hatch"]), st.dictionaries(st.sampled_from(sorted(LINUX)), JSON)
)
def test_whatever_json_a_tool_sends_nothing_is_raised(tool: str, changes: dict[str, Any]) -> None:
    environment = environment_of(f"{tool}/1 {json.dumps(LINUX | changes)}")
    assert environment is None or rank(environment, "py3-none-any") is not None


@given(st.sampled_from(["pip/1 ", "poetry/2 ", "pdm/2 CPython/", ""]), st.text(max_size=80))
@example("poetry/2 ", "CPython/3.11.7 " * 250)
@example("poetry/2 ", " " * 4000)
def test_whatever_text_a_tool_sends_nothing_is_raised(tool: str, text: str) -> None:
    environment_of(tool + text)


@given(
    st.from_regex(r"3\.[0-9]{1,2}(\.[0-9]{1,3})?", fullmatch=True),
    st.from_regex(r"[0-9]\.[0-9]{1,3}", fullmatch=True),
)
def test_no_version_makes_very_many_tags(python: str, libc_version: str) -> None:
    distro = {"libc": {"lib": "glibc", "version": libc_version}}
    environment = told(python=python, distro=distro)
    assert len(environment.tags) < 25_000
