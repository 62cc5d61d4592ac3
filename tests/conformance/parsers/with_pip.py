"""What pip makes of a page: `with_pip.py URL json|html`."""

from __future__ import annotations

from fetching import fetched, tell
from pip._internal.index.collector import IndexContent, parse_links

url, body, content_type, _ = fetched()
page = IndexContent(body, content_type, encoding=None, url=url)
tell(
    [
        {
            "filename": link.filename,
            "url": link.url_without_fragment,
            "hashes": dict(link._hashes) if link._hashes else {},
            "requires_python": link.requires_python,
            "yanked": link.yanked_reason,
            "metadata": None
            if link.metadata_file_data is None
            else dict(link.metadata_file_data.hashes or {}),
        }
        for link in parse_links(page)
    ]
)
