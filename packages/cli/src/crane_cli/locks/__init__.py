"""What lock files and requirements files ask for: projects, versions, files and hashes."""

from __future__ import annotations
