"""Requirements files with index lines: read as pip reads them, and copied without those lines."""

from __future__ import annotations

import codecs
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from crane_core.clients.pip_arguments import read_arguments
from crane_core.clients.pip_requirements import RequirementsRewriter, in_folder

URL = "https://crane.example.com/python"
OTHER = "https://other.example.com/simple"
NAME = "requirements.txt"


@dataclass(frozen=True)
class Desk:
    """A folder with requirements files, and another for the private copies."""

    files: Path
    copies: Path

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Write the user's files."""
        for name, content in files.items():
            path = self.files / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def rewriter(self, **environ: str) -> RequirementsRewriter:
        """Return a rewriter, as one run of pip has one."""
        return RequirementsRewriter(in_folder(self.copies), environ)

    def path(self, name: str = NAME) -> str:
        """Return the absolute name of a user's file."""
        return str(self.files / name)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    for name in ("files", "copies"):
        (tmp_path / name).mkdir()
    return Desk(tmp_path / "files", tmp_path / "copies")


def lines(name: str) -> list[str]:
    """Return what pip may find in a file."""
    return [" ".join(line.split()) for line in Path(name).read_text().splitlines() if line.strip()]


WITHOUT = {
    "nothing": "",
    "a requirement": "a==1\n",
    "no last newline": "a==1",
    "a direct reference": f"a @ {OTHER}/a-1.whl#sha256=00\n",
    "a comment": f"# --index-url {URL}\n",
    "an indented comment": f"   # --index-url {URL}\na\n",
    "a comment behind a requirement": f"a  # -i {URL}\n",
    "a comment that ends in a backslash": f"# -i {URL} \\\na\n",
    "hashes on further lines": "a==1 \\\n  --hash=sha256:00 \\\n  --hash=sha256:01\n",
    "an option of a requirement": f"a --extra-index-url {OTHER}\n",
    "pre": "--pre\n",
    "an editable project": "-e ./a\n",
    "an editable project, spelled out": "--editable ./a\n",
    "find-links": "-f wheels\n",
    "find-links with an equals sign": "--find-links=wheels\n",
    "a trusted host": "--trusted-host=other.example.com\n",
    "no binary": "--no-binary=:all:\n",
    "a nested file": "-r base.txt\n",
    "a nested file with an equals sign": "--requirement=base.txt\n",
    "a constraints file": "-c base.txt\na\n",
    "a value that looks like an option": "--find-links --index-url\n",
    "quotes that never end": f"--index-url '{URL}\n",
}


@pytest.mark.parametrize("content", WITHOUT.values(), ids=WITHOUT)
def test_a_file_without_index_lines_is_given_to_pip_as_it_is(content: str, desk: Desk) -> None:
    desk.write({NAME: content, "base.txt": "b==2\n"})
    rewriter = desk.rewriter()

    assert rewriter.rewrite(desk.path()) == desk.path()
    assert (rewriter.index_url, rewriter.extra_index_urls) == (None, [])
    assert not list(desk.copies.iterdir())


def test_a_file_that_is_not_there_is_pips_to_report(desk: Desk) -> None:
    assert desk.rewriter().rewrite(desk.path("gone.txt")) == desk.path("gone.txt")


WITH = {
    f"-i {URL}": (URL, []),
    f"-i{URL}": (URL, []),
    f"--index-url {URL}": (URL, []),
    f"--index-url={URL}": (URL, []),
    f"--index-url  '{URL}'": (URL, []),
    f"--pypi-url {URL}": (URL, []),
    f"--index-u {URL}": (URL, []),
    f"  --index-url {URL}  # ours": (URL, []),
    f"--extra-index-url {OTHER}": (None, [OTHER]),
    f"--extra-index-url={OTHER}": (None, [OTHER]),
    f"--extra {OTHER}": (None, [OTHER]),
    f"--pre -i {URL} --extra-index-url {OTHER}": (URL, [OTHER]),
    f"-i {OTHER}\n-i {URL}": (URL, []),
    f"--extra-index-url {URL}\n--extra-index-url {OTHER}": (None, [URL, OTHER]),
    f"--index-url \\\n  {URL}": (URL, []),
    f"--index-url \\\n  {URL} \\\n  --extra-index-url \\\n{OTHER}": (URL, [OTHER]),
    f"-i {URL} \\\n# a comment ends it": (URL, []),
    f"-i {URL}\r\n--extra-index-url {OTHER}\r": (URL, [OTHER]),
    f"# a comment \\\n-i {URL}": (URL, []),
    # A requirements file knows few options, so that shorter beginnings are clear there.
    f"--i {URL}": (URL, []),
    f"--in={URL}": (URL, []),
    f"--py {URL}": (URL, []),
    f"--ex {OTHER}": (None, [OTHER]),
    # pip takes backslashes off both ends of a line that goes on.
    f"\\--extra-index-url {OTHER} \\\n": (None, [OTHER]),
}


@pytest.mark.parametrize(("content", "found"), WITH.items(), ids=map(repr, WITH))
def test_index_lines_are_taken_out_and_told(
    content: str, found: tuple[str | None, list[str]], desk: Desk
) -> None:
    desk.write({NAME: f"a==1\n{content}\nb==2\n"})
    rewriter = desk.rewriter()

    copy = rewriter.rewrite(desk.path())

    assert (rewriter.index_url, rewriter.extra_index_urls) == found
    assert Path(copy).parent == desk.copies
    assert stat.S_IMODE(Path(copy).stat().st_mode) == 0o600
    text = Path(copy).read_text()
    assert not any(line.startswith("-") and "://" in line for line in text.splitlines())
    assert [line for line in lines(copy) if line[0] in "ab"] == ["a==1", "b==2"]
    assert Path(desk.path()).read_bytes() == f"a==1\n{content}\nb==2\n".encode()


def test_what_else_stands_on_an_index_line_is_kept(desk: Desk) -> None:
    desk.write({NAME: f"--pre --extra-index-url {OTHER} --trusted-host other.example.com\na\n"})

    copy = desk.rewriter().rewrite(desk.path())

    assert lines(copy) == ["--pre --trusted-host other.example.com", "a"]


def test_continued_lines_keep_their_hashes(desk: Desk) -> None:
    desk.write({NAME: f"-i {URL}\na==1 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\nb\n"})

    copy = desk.rewriter().rewrite(desk.path())

    assert lines(copy) == ["a==1 --hash=sha256:00 --hash=sha256:01", "b"]


VARIABLES = {
    "https://${USER_1}:${TOKEN}@x.example.com/": "https://me:hunter2@x.example.com/",
    "https://${UNKNOWN}.example.com/": "https://${UNKNOWN}.example.com/",
    "https://${EMPTY}.example.com/": "https://${EMPTY}.example.com/",
    "https://${lower}.example.com/": "https://${lower}.example.com/",
    "https://$TOKEN.example.com/": "https://$TOKEN.example.com/",
}


@pytest.mark.parametrize(("url", "expected"), VARIABLES.items(), ids=VARIABLES)
def test_variables_are_put_in_as_pip_does(url: str, expected: str, desk: Desk) -> None:
    desk.write({NAME: f"--extra-index-url {url}\n"})
    rewriter = desk.rewriter(USER_1="me", TOKEN="hunter2", EMPTY="", lower="x")

    rewriter.rewrite(desk.path())

    assert rewriter.extra_index_urls == [expected]


def test_a_variable_may_hold_the_whole_line(desk: Desk) -> None:
    desk.write({NAME: "${OPTION} ${WHERE}\na\n"})
    rewriter = desk.rewriter(OPTION="--extra-index-url", WHERE=OTHER)

    copy = rewriter.rewrite(desk.path())

    assert rewriter.extra_index_urls == [OTHER]
    assert lines(copy) == ["a"]


ENCODED = f"# -*- coding: {{}} -*-\n# é\n--extra-index-url {OTHER}\na\n"
ENCODINGS = {
    "utf-8 with a mark": ENCODED.format("utf-8").encode("utf-8-sig"),
    "utf-16": codecs.BOM_UTF16_LE + ENCODED.format("x").encode("utf-16-le"),
    "utf-16, big end first": codecs.BOM_UTF16_BE + ENCODED.format("x").encode("utf-16-be"),
    "utf-32": codecs.BOM_UTF32_LE + ENCODED.format("x").encode("utf-32-le"),
    "latin-1, as its comment says": ENCODED.format("latin-1").encode("latin-1"),
}


@pytest.mark.parametrize("content", ENCODINGS.values(), ids=ENCODINGS)
def test_every_encoding_that_pip_reads_is_read(content: bytes, desk: Desk) -> None:
    """A PowerShell redirect, for one, writes UTF-16."""
    desk.write({NAME: content})
    rewriter = desk.rewriter()

    copy = rewriter.rewrite(desk.path())

    assert rewriter.extra_index_urls == [OTHER]
    assert Path(copy).read_text().splitlines()[-1] == "a"


def nested(copy: str) -> list[str]:
    """Return the files that a copy names."""
    return [line.split(" ", 1)[1] for line in lines(copy) if line.startswith(("-r", "--r", "--c"))]


def test_a_nested_file_is_copied_too_and_named_from_where_it_stands(desk: Desk) -> None:
    desk.write(
        {
            NAME: "-r sub/one.txt\n-c sub/constraints.txt\na\n",
            "sub/one.txt": f"-r two.txt\n--extra-index-url {OTHER}\n",
            "sub/two.txt": f"-i {URL}\nb\n",
            "sub/constraints.txt": "b<3\n",
        }
    )
    rewriter = desk.rewriter()

    copy = rewriter.rewrite(desk.path())

    assert (rewriter.index_url, rewriter.extra_index_urls) == (URL, [OTHER])
    one, constraints = nested(copy)
    (two,) = nested(one)
    assert constraints == desk.path("sub/constraints.txt")
    assert {Path(f).parent for f in (copy, one, two)} == {desk.copies}
    assert lines(two) == ["b"]


def test_files_of_one_name_do_not_get_in_each_others_way(desk: Desk) -> None:
    desk.write(
        {
            NAME: f"-i {URL}\n-r sub/{NAME}\n-r other/{NAME}\na\n",
            f"sub/{NAME}": f"--extra-index-url {OTHER}\nb\n",
            f"other/{NAME}": f"--extra-index-url {OTHER}\nc\n",
        }
    )

    copy = desk.rewriter().rewrite(desk.path())

    assert lines(copy)[-1] == "a"
    assert [lines(name) for name in nested(copy)] == [["b"], ["c"]]


def test_a_file_that_is_named_twice_is_copied_once(desk: Desk) -> None:
    desk.write(
        {
            "one.txt": "-r both.txt\n",
            "two.txt": "-c both.txt\n",
            "both.txt": f"--extra-index-url {OTHER}\n",
        }
    )
    rewriter = desk.rewriter()

    one, two = rewriter.rewrite(desk.path("one.txt")), rewriter.rewrite(desk.path("two.txt"))

    assert nested(one) == nested(two)
    assert rewriter.extra_index_urls == [OTHER]


def test_an_unchanged_file_that_is_named_twice_keeps_its_name(desk: Desk) -> None:
    desk.write({"real.txt": "a\n"})
    (desk.files / NAME).symlink_to("real.txt")
    rewriter = desk.rewriter()

    assert [rewriter.rewrite(desk.path()) for _ in range(2)] == [desk.path(), desk.path()]


# Seen at pip 26.3: it reads all constraints, then all requirements; the last index URL counts.
ORDERS = {
    "-r a.txt -r b.txt": "b",
    "-r b.txt -r a.txt": "a",
    "-c a.txt -c b.txt": "b",
    "-c b.txt -r a.txt": "a",
    "-r a.txt -c b.txt": "a",
    "-r a.txt -c c.txt -r b.txt": "b",
    "-r plain.txt -c b.txt": "b",
    "-r a.txt -r plain.txt": "a",
    "-r nested.txt -r a.txt": "a",
    "-r a.txt -r nested.txt": "b",
    "-r nested.txt -c a.txt": "b",
}


@pytest.mark.parametrize(("line", "counts"), ORDERS.items(), ids=ORDERS)
def test_the_last_file_counts_with_constraints_before_requirements(
    line: str, counts: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.files)
    desk.write({f"{name}.txt": f"-i https://{name}.example.com/simple\nx\n" for name in "abc"})
    desk.write({"plain.txt": "x\n", "nested.txt": "-c b.txt\n"})
    rewriter = desk.rewriter()

    read_arguments(["install", *line.split()]).with_requirements(rewriter.rewrite)

    assert rewriter.index_url == f"https://{counts}.example.com/simple"


@pytest.mark.parametrize("first", [NAME, "b.txt"])
def test_files_that_name_each_other_come_to_an_end(first: str, desk: Desk) -> None:
    """pip refuses a ring, or gives up; its index lines are seen all the same."""
    desk.write({NAME: f"-i {URL}\n-r b.txt\n", "b.txt": f"--extra {OTHER}\n-r {NAME}\n"})
    rewriter = desk.rewriter()

    rewriter.rewrite(desk.path(first))

    assert (rewriter.index_url, rewriter.extra_index_urls) == (URL, [OTHER])


def test_a_file_that_names_itself_comes_to_an_end(desk: Desk) -> None:
    desk.write({NAME: f"-i {URL}\n-r {NAME}\n"})
    rewriter = desk.rewriter()

    rewriter.rewrite(desk.path())

    assert rewriter.index_url == URL


def test_a_nested_file_is_sought_beside_the_link_as_pip_does(desk: Desk) -> None:
    desk.write({"shared/real.txt": "-r base.txt\n", "base.txt": f"-i {URL}\n"})
    (desk.files / NAME).symlink_to("shared/real.txt")
    rewriter = desk.rewriter()

    rewriter.rewrite(desk.path())

    assert rewriter.index_url == URL


def test_links_that_stand_beside_the_file_are_found_from_its_copy(desk: Desk) -> None:
    """pip takes them as relative to the file where such a folder is there."""
    desk.write({NAME: f"-i {URL}\n--find-links wheels\na\n", "wheels/note": ""})

    copy = desk.rewriter().rewrite(desk.path())

    assert lines(copy) == [f"--find-links {desk.path('wheels')}", "a"]


def test_a_file_url_is_a_file(desk: Desk) -> None:
    desk.write({NAME: f"--extra-index-url {OTHER}\na\n"})
    rewriter = desk.rewriter()

    copy = rewriter.rewrite(Path(desk.path()).as_uri())

    assert rewriter.extra_index_urls == [OTHER]
    assert lines(copy) == ["a"]
