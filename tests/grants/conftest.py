"""Fixtures of the tests of the grants."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from grants.kit import index_at, register
from grants.workload import Place, token_service
from idp.oidc import Realm
from support.world import User

from crane_core.auth import choose
from crane_core.auth.grants import workload_identity
from crane_core.auth.workload import cluster


@pytest.fixture
def user(user: User) -> User:
    """Give a user whose logins are in files, whatever keyring this environment has."""
    user.variables["CRANE_VAULT"] = "file"
    # These tests may run on a machine of Google's, whose own name is a sign of an identity.
    user.variables["CRANE_DETECTORS_OFF"] = "google"
    return user


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no test depend on the machine that it runs on."""
    for module in (choose, workload_identity):
        monkeypatch.setattr(module, "ROOT", tmp_path / "nowhere")


@pytest.fixture
def person(user: User, realm: Realm) -> User:
    """Give a user whose file names an index of the realm."""
    # crane polls as often as the provider says; a second each would be most of the run.
    realm.patch({"interval": 0.2}, endpoint="device_authorization", times=None)
    register(user, index_at(realm))
    return user


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Give a place without any identity; its token service answers what `answer` says."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    answers: list[tuple[int, str]] = []
    with token_service(lambda _: answers[-1]) as service:
        monkeypatch.setattr(cluster, "GOOGLE_IDENTITY", f"{service.url}/identity")
        place = Place(tmp_path / "root", tmp_path / "bin", service, answers)
        place.root.mkdir()
        place.bin.mkdir()
        yield place
