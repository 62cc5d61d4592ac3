"""http-cache-tests, the public suite behind cache-tests.fyi, on the files of an index.

It asks how a general cache behaves, and says itself that to pass all of it means nothing. What
matters here: each test that does not hold has a reason that we chose, and no more of them fail
than docs/reference/protocol.md says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from conformance.cache_tests.reasons import REASONS, reason_of, table
from conformance.cache_tests.suite import Result, run
from gateway.harness import new_home
from idp.oidc import Idp

from crane_core.config.model import Index

# One worker: the suite runs once.
pytestmark = pytest.mark.xdist_group("cache-tests")
DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "protocol.md"
ROW = re.compile(r"\| ([a-z0-9-]+) \| (\d+) \| (\d+) \|")


@pytest.fixture(scope="module")
def results(providers: Idp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Result]]:
    """Run the suite once; it takes some ten seconds."""
    providers.reset()
    realm = providers["keycloak"]
    home = new_home(tmp_path_factory.mktemp("cache-tests"), realm)
    with ExitStack() as stack:

        def serve(port: int) -> str:
            url = f"http://127.0.0.1:{port}/test"
            index = Index(name="python", url=url, issuer=realm.issuer, fallback="none")
            home.login(index)
            gate = stack.enter_context(home.serve(index))
            return f"{gate.url}/python/files"

        found = run(serve)
        print("\n".join(table(found)))
        yield found


def test_every_test_that_does_not_hold_has_a_reason(results: list[Result]) -> None:
    assert len(results) > 140
    unknown = [r for r in results if not r.holds and reason_of(r) is None]
    assert not unknown, "\n".join(f"{r.group} {r.id} ({r.kind}): {r.problem}" for r in unknown)


def test_as_many_hold_as_the_documentation_says(results: list[Result]) -> None:
    documented = dict(table_of(DOCUMENT.read_text()))
    actual = dict(table_of("\n".join(table(results))))
    assert documented.keys() == actual.keys()
    fewer = {g: (documented[g], actual[g]) for g in actual if actual[g] < documented[g]}
    assert not fewer, f"group: (documented, found): {fewer}\n" + "\n".join(table(results))


def test_the_reasons_are_documented() -> None:
    text = " ".join(DOCUMENT.read_text().split())
    missing = [r.key for r in REASONS if f"**{r.key}**" not in text or r.text not in text]
    assert not missing


def table_of(text: str) -> list[tuple[str, tuple[int, int]]]:
    """Return each group of a table with the numbers of its tests and of those that hold."""
    return [(m[1], (int(m[2]), int(m[3]))) for m in map(ROW.match, text.splitlines()) if m]
