"""Fixtures of the conformance tests: one gateway a module, before an index of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conformance.front import Front, front_before
from idp.oidc import Idp


@pytest.fixture(scope="module")
def front(providers: Idp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Give a gateway to all tests of a module; each adds projects of its own."""
    providers.reset()
    with front_before(providers["keycloak"], tmp_path_factory.mktemp("front")) as front:
        yield front
