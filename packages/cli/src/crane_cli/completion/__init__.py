"""What shells complete, as scripts that are made from the parser: `crane completion`."""

from __future__ import annotations
