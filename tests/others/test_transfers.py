"""What speaks HTTP to the index and is no installer: curl and wget."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from forward.rig import Site
from run.kit import Machine, says

CURL = 'exec curl -sSfL -o "$1" "$2"'
WGET = 'exec wget -q -O "$1" "$2"'


@pytest.mark.parametrize("script", [CURL, WGET], ids=["curl", "wget"])
def test_files_and_pages_come(ada: Machine, needs: Site, tmp_path: Path, script: str) -> None:
    """A page is the index's own, with its own links; and nothing comes without crane."""
    assert shutil.which(script.split()[1]), "this test needs it"
    file, page = tmp_path / "file", tmp_path / "page"
    url = f"{needs.index_url}/firm-dep/"
    command = ("sh", "-c", script, "sh")

    bare = ada.user.run(*command, str(page), url)
    assert bare.returncode != 0, says(bare)
    for path, wanted in ((page, url), (file, f"{url}firm_dep-2.0-py3-none-any.whl")):
        done = ada.run(*command, str(path), wanted)
        assert done.returncode == 0, says(done) + ada.log()

    assert "firm_dep-2.0-py3-none-any.whl" in page.read_text()
    assert "9.0" not in page.read_text()
    assert "127.0.0.1" not in page.read_text()
    (wheel,) = needs.private.glob("firm-dep/*.whl")
    assert file.read_bytes() == wheel.read_bytes()


@pytest.mark.parametrize("script", [CURL, WGET], ids=["curl", "wget"])
def test_a_private_name_is_not_at_the_public_index(
    ada: Machine, needs: Site, tmp_path: Path, script: str
) -> None:
    command = ("sh", "-c", script, "sh", str(tmp_path / "page"))

    private = ada.run(*command, f"{needs.public_url}/firm-dep/")
    public = ada.run(*command, f"{needs.public_url}/open-lib/")

    assert private.returncode != 0, says(private)
    assert public.returncode == 0, says(public)
