"""The pages that `crane publish --index-pages` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from crane_cli.context import Context
    from crane_core.config.model import Index


async def write_pages(
    here: Context, index: Index, uploaded: Mapping[str, Mapping[str, str]], folder: Path
) -> list[Path]:
    """Write the page of each project, of whose files the digests are given by name.

    Raises a `CraneError`.
    """
    from crane_cli.context import auth
    from crane_core.auth.broker import Broker
    from crane_core.auth.login import Login
    from crane_core.clients.index_pages import PageMaker
    from crane_core.gateway.machinery import FILE_LIMITS, FILE_SECONDS
    from crane_core.gateway.tokens import SessionTokens
    from crane_core.gateway.transports import Transports
    from crane_core.gateway.upstream import Upstream
    from crane_core.index.provenance import SqliteProvenance

    async with (
        auth(here) as parts,
        Broker(parts) as broker,
        Transports(FILE_LIMITS, per_host=8) as wires,
    ):
        tokens = SessionTokens(broker, Login(parts))
        upstream = Upstream(wires, tokens, here.clock, seconds=FILE_SECONDS)
        provenance = SqliteProvenance(here.paths.provenance)
        try:
            maker = PageMaker(index, upstream, provenance, here.clock)
            return [await maker.write(name, files, folder) for name, files in uploaded.items()]
        finally:
            provenance.close()
