"""The identity that the surroundings give a job: CI systems, clusters, clouds."""

from __future__ import annotations
