"""What an index is: its pages, who may answer for a name, and what was seen before."""

from __future__ import annotations
