"""What the tests share: a user with an empty home, a protected index, a public one."""

from __future__ import annotations
