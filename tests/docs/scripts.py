"""Which test runs which lines of the pages, and which lines nothing runs here, and why."""

from __future__ import annotations

import re
from functools import cache

from docs.blocks import ROOT, SERVER, Line, in_images, in_jobs, shown

NOT_ON_PYPI = "crane is there only once it is released; here its wheels are installed so by "
NO_BUILDER = "no container is built where the tests run"
# By what a line begins with: why nothing runs it here, and the test that runs what it is about.
ONLY_PARSED = {
    "docker build": NO_BUILDER,
    "crane run -- sh -c 'docker build": NO_BUILDER,
    "PIP_CERT=/run/trust.pem": f"{NO_BUILDER}; pip with these variables: tests/run/test_tools.py",
    "PIP_EXTRA_INDEX_URL=https://crane.example.com/python crane run -- conda": (
        "conda is no project of PyPI; what its pip gets: tests/run/test_tools.py"
    ),
    "pipx install": f"{NOT_ON_PYPI}tests/packaging/test_release.py, test_plugins.py",
    "pip install crane-cli": f"{NOT_ON_PYPI}tests/packaging/test_distributions.py",
    "pip install poetry poetry-plugin-crane": f"{NOT_ON_PYPI}tests/packaging/test_plugins.py",
    "pip install pdm pdm-crane": f"{NOT_ON_PYPI}tests/packaging/test_plugins.py",
    "pip install hatch hatch-crane": f"{NOT_ON_PYPI}tests/packaging/test_plugins.py",
    "poetry self add": f"{NOT_ON_PYPI}tests/packaging/test_plugins.py",
    "pdm self add": f"{NOT_ON_PYPI}tests/packaging/test_plugins.py",
    "hatch test": "it installs pytest from PyPI; with that: tests/hatch/test_hatch_commands.py",
    "python3 dev.py setup": "it has made what runs the tests",
    "python3 dev.py test": "it runs the tests",
    "python3 dev.py bench": "half an hour of both cores; docs/benchmarks.md is what came of it",
    "python3 dev.py demo": ".ci/run does; crane demo: tests/packaging/test_distributions.py",
}


@cache
def scripts() -> dict[str, list[Line]]:
    """Return the lines of each script that a test runs, by the name that it has there."""
    docs, first = ROOT / "docs", "From nothing to a green install"
    found = {
        name: shown(docs / f"{name}.md")
        for name in (
            "index", "providers", "howto/ci", "howto/containers", "howto/crane-pip",
            "howto/offline", "howto/proxy", "howto/several-indexes",
            "reference/pip", "reference/prefetch", "reference/run", "reference/setup",
        )
    }  # fmt: skip
    found |= {name: shown(docs / f"{name}.md", first) for name in ("poetry", "pdm")}
    found["hatch"] = shown(docs / "hatch.md", "From nothing to a green environment")
    for name in ("howto/ci", "poetry", "pdm"):
        found[f"{name}, job"] = in_jobs(docs / f"{name}.md")
    images = in_images(docs / "howto" / "containers.md")
    found["image with wheels"], found["image with a token"] = images[:1], images[1:]
    publishing = shown(docs / "publishing.md")
    for name in ("crane publish", "crane run", "crane index", "poetry", "pdm", "hatch"):
        found[f"publishing, {name}"] = beginning(publishing, name)
    for name in ("crane uv", "crane run -- pdm", "crane doctor"):
        found[f"tools, {name}"] = beginning(shown(docs / "tools.md"), name)
    return found


def beginning(lines: list[Line], text: str) -> list[Line]:
    """Return the lines that begin so."""
    return [line for line in lines if line.text.startswith(text)]


def is_only_parsed(line: Line) -> bool:
    """Whether nothing runs a line here."""
    return line.text.startswith(tuple(ONLY_PARSED))


def script(name: str, index_url: str, issuer: str = "") -> str:
    """Return what a test is to run: for our server and provider, each line once."""
    lines = dict.fromkeys(line.text for line in scripts()[name] if not is_only_parsed(line))
    assert lines
    # Nobody can be asked here whom they trust, and what is to be installed.
    text = re.sub(r"(crane index register \S+)(?!.*--yes)", r"\1 --yes", "\n".join(lines))
    text = re.sub(r"(crane setup \S+)", r"\1 --yes --plugins none", text)
    text = re.sub(r"--issuer \S+", f"--issuer {issuer}", text)
    return text.replace(SERVER, index_url.rpartition("/")[0])
