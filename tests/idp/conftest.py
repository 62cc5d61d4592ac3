"""One provider with all realms for the tests of this folder, reset before each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest

from .browser import TRUSTS_NOBODY
from .oidc import (
    Idp,
    Realm,
    start_idp,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def running() -> Iterator[Idp]:
    with start_idp() as idp:
        yield idp


@pytest.fixture
def idp(running: Idp) -> Idp:
    running.reset()
    return running


@pytest.fixture
def keycloak(idp: Idp) -> Realm:
    return idp["keycloak"]


@pytest.fixture(scope="module")
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client(trust_env=False, verify=TRUSTS_NOBODY) as client:
        yield client
