"""What Poetry makes of a page: `with_poetry.py URL json|html`."""

from __future__ import annotations

import json

from fetching import fetched, tell
from poetry.repositories.link_sources.html import HTMLPage
from poetry.repositories.link_sources.json import SimpleJsonPage

url, body, _, form = fetched()
page = SimpleJsonPage(url, json.loads(body)) if form == "json" else HTMLPage(url, body.decode())
tell(
    [
        {
            "filename": link.filename,
            "url": link.url_without_fragment,
            "hashes": dict(link.hashes),
            "requires_python": link.requires_python,
            "yanked": link.yanked_reason if link.yanked else None,
            "metadata": dict(link.metadata_hashes) if link.has_metadata else None,
        }
        for link in page.links
    ]
)
