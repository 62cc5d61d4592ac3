"""What PDM makes of a page, by its library unearth: `with_pdm.py URL json|html`."""

from __future__ import annotations

from fetching import fetched, tell
from unearth.collector import IndexPage, parse_html_page, parse_json_response
from unearth.link import Link

url, body, content_type, form = fetched()
page = IndexPage(Link(url), body, None, content_type)
read = parse_json_response if form == "json" else parse_html_page
tell(
    [
        {
            "filename": link.filename,
            "url": link.url_without_fragment,
            "hashes": {name: found for name, (found,) in (link.hash_option or {}).items()},
            "requires_python": link.requires_python,
            "yanked": "" if link.yank_reason is True else link.yank_reason,
            "metadata": None
            if not link.dist_info_metadata
            else {}
            if link.dist_info_metadata is True
            else link.dist_info_metadata,
        }
        for link in read(page)
    ]
)
