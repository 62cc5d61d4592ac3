"""Pseudo-terminals for tests; a module that takes `pexpect` from here is skipped where none are."""

from __future__ import annotations

import pytest

pexpect = pytest.importorskip("pexpect", reason="no pseudo-terminals of this kind on Windows")
