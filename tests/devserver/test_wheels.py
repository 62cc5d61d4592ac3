"""The distributions made for tests are ones that real installers take."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import zipfile

import pytest

from crane_devserver import (
    CraneServer,
    IdentityProvider,
    Repository,
    demo_repository,
    make_sdist,
    make_wheel,
    serve_in_thread,
    wheel_metadata,
    write_simple_pages,
)


def pip(*arguments):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *arguments]
    subprocess.run(list(map(str, command)), check=True)


def run(target, module):
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(target)!r}); {module}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_names(tmp_path):
    assert make_wheel(tmp_path, "Acme.Lib-x", "1.0").name == "acme_lib_x-1.0-py3-none-any.whl"
    assert make_sdist(tmp_path, "Acme.Lib-x", "1.0").name == "acme_lib_x-1.0.tar.gz"


def test_the_same_bytes_each_time(tmp_path):
    for make in (make_wheel, make_sdist):
        first = make(tmp_path / "a", "lib", "1.0", requires=["x>1"]).read_bytes()
        assert first == make(tmp_path / "b", "lib", "1.0", requires=["x>1"]).read_bytes()
        assert first != make(tmp_path / "b", "lib", "1.1", requires=["x>1"]).read_bytes()


def test_record_is_right(tmp_path):
    wheel = make_wheel(tmp_path, "lib", "1.0", scripts={"lib": "lib:main"}, size=1000)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        lines = archive.read("lib-1.0.dist-info/RECORD").decode().splitlines()
        assert [line.split(",")[0] for line in lines] == names
        for line in lines[:-1]:
            name, digest, size = line.split(",")
            data = archive.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
            assert (digest, int(size)) == ("sha256=" + expected.rstrip("="), len(data))


def test_size(tmp_path):
    assert make_wheel(tmp_path, "big", "1.0", size=200_000).stat().st_size > 200_000


def test_pip_installs_a_wheel(tmp_path):
    wheel = make_wheel(tmp_path, "Acme.Lib", "1.5")
    pip("install", "--no-deps", "--no-index", "--target", tmp_path / "t", wheel)
    assert run(tmp_path / "t", "import acme_lib; print(acme_lib.__version__)") == "1.5\n"


def test_pip_builds_a_source_archive(tmp_path):
    sdist = make_sdist(tmp_path, "Acme.Lib", "1.5", requires=["six; python_version<'3'"])
    pip("install", "--no-deps", "--no-index", "--target", tmp_path / "t", sdist)
    assert run(tmp_path / "t", "import acme_lib; print(acme_lib.__version__)") == "1.5\n"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = demo_repository(tmp_path_factory.mktemp("demo"))
    write_simple_pages(folder)
    return folder


def test_demo_runs(demo, tmp_path):
    wheels = sorted(demo.glob("*/*.whl"))
    pip("install", "--no-deps", "--no-index", "--target", tmp_path, *wheels)
    make_stub = "import types; sys.modules['iniconfig'] = types.ModuleType('iniconfig'); "
    output = run(tmp_path, make_stub + "import crane_demo_hello; crane_demo_hello.main()")
    assert "Hello from a private package!" in output


def test_simple_pages(demo):
    assert '<a href="crane-demo-hello/">' in (demo / "simple" / "index.html").read_text()
    page = (demo / "simple" / "crane-demo-hello" / "index.html").read_text()
    link, digest = re.search(r'href="([^"#]+)#sha256=(\w+)"', page).groups()
    wheel = (demo / "simple" / "crane-demo-hello" / link).resolve()
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == digest

    metadata = wheel.with_name(wheel.name + ".metadata").read_bytes()
    assert metadata == wheel_metadata(wheel)
    assert b"Requires-Dist: iniconfig\n" in metadata
    assert f'data-core-metadata="sha256={hashlib.sha256(metadata).hexdigest()}"' in page
    assert 'data-requires-python="&gt;=3.8"' in page


@pytest.mark.parametrize("index", ["", "simple/"])
def test_pip_downloads_from_either_layout(demo, tmp_path, index):
    provider = IdentityProvider({}, issuer="https://login.example")
    repository = Repository("demo", demo, public=True)
    with serve_in_thread(CraneServer([repository], keys=provider)) as url:
        options = ("--index-url", f"{url}/demo/{index}", "--only-binary", ":all:", "--no-deps")
        pip("download", "--no-cache-dir", *options, "-d", tmp_path, "crane-demo-hello")
    (wheel,) = tmp_path.iterdir()
    assert wheel.read_bytes() == (demo / "crane-demo-hello" / wheel.name).read_bytes()
