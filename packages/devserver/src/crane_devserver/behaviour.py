"""How an index answers: the Crane server's ways, and flags for indexes that differ."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Behaviour:
    """Ways to answer. The defaults are those of a Crane server 1.0.

    ``http_locations``: ``Location`` says ``http://`` although the client came over TLS,
    as behind a proxy whose forwarded headers the server does not read.
    ``legacy_not_found``: not-found pages come with status 200 (builds before March 2024).
    ``partial_uploads``: an aborted upload leaves its half file, which blocks every retry.

    The rest is for indexes that are not Crane. ``ranges``, ``etag``, ``content_length``:
    as any static file server (RFC 9110). ``challenge``: a request without token gets
    401 with ``WWW-Authenticate: Bearer``. ``resource_metadata``: the same, naming the
    protected resource metadata of RFC 9728, which is then served.
    ``forbidden_status``: the status for a valid token without the right.
    ``legacy_uploads``: uploads come as forms to the repository's own folder, or to ``legacy``
    below it, as at PyPI; and there is nothing by which a Crane server could be known.
    """

    http_locations: bool = False
    legacy_not_found: bool = False
    partial_uploads: bool = False
    ranges: bool = False
    etag: bool = False
    content_length: bool = False
    challenge: bool = False
    resource_metadata: bool = False
    forbidden_status: int = 404
    legacy_uploads: bool = False


CRANE = Behaviour()
"""The Crane server as it is."""

STATIC_INDEX = Behaviour(ranges=True, etag=True, content_length=True, challenge=True)
"""A private index on an ordinary static file server that asks for a token."""
