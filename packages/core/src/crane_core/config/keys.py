"""The keys of an index in the configuration file, in the words of their documentation.

The reference in docs/reference/configuration.md is made from this; a test holds it to `Index`.
"""

from __future__ import annotations

from typing import NamedTuple


class Key(NamedTuple):
    """Keys that mean one thing together; `otherwise` says what counts where they are left out."""

    names: tuple[str, ...]
    meaning: str
    otherwise: str


KEYS = (
    Key(
        ("url",),
        "the index, as you would give it to `pip -i`, with or without `/simple`",
        "must be there",
    ),
    Key(
        ("issuer",),
        "the identity provider (RFC 8414); pinned when you register",
        "see the next two",
    ),
    Key(
        ("token-endpoint", "device-authorization-endpoint"),
        "for a provider that publishes no metadata",
        "from the issuer",
    ),
    Key(("client-id",), "the OAuth client", "`crane-pip`"),
    Key(("scope",), "scopes to ask for", "`openid offline_access`"),
    Key(("audience", "resource"), "parameters of the token request (RFC 8707)", "none"),
    Key(("fallback",), "`pypi`, `none`, or the URL of another index", "`pypi`"),
    Key(("private",), "patterns of names that never fall back", "none"),
    Key(("root-required",), "fall back only if the index's root page can be read", "`true`"),
    Key(
        ("stale-limit",),
        "how long the index is answered for from before while it cannot be reached, as "
        "`12h`; `0` for never",
        "`CRANE_STALE_LIMIT`",
    ),
    Key(
        ("keep-pages",),
        "keep its pages for when it cannot be asked, although it says `no-store` (see below)",
        "`false`",
    ),
    Key(
        ("publish",),
        "how the index takes uploads: `crane`, `warehouse`, or `off` for none "
        "([publishing](../publishing.md))",
        "found out",
    ),
    Key(
        ("upload-url",),
        "where it takes them; may be at another host, and gets the token",
        "the index's own URL",
    ),
    Key(
        ("upload-layout",),
        "where below that a Crane server has files: `{project}/{file}`, "
        "`simple/{project}/{file}` or `{file}`",
        "where the project's page is",
    ),
    Key(
        ("grant",),
        "`authorization-code`, `device`, `client-credentials`, `token-exchange` or `jwt-bearer`",
        "chosen by what is there",
    ),
    Key(
        ("account",),
        "which of several accounts to use (`crane login --account`): a login name, or one"
        " of your own",
        "the one that logged in without a name",
    ),
    Key(
        ("share-login",),
        "use the login of other indexes at the same provider that say so too",
        "`false`",
    ),
    Key(
        ("redirect-uri",),
        "where a login in the browser comes back to; the port is chosen each time",
        "`http://127.0.0.1/callback`",
    ),
    Key(("client-auth",), "`none`, `basic`, `post` or `private-key-jwt`", "by what there is"),
    Key(
        ("client-secret-file", "client-key-file"),
        "the client's secret, or its private key (PEM)",
        "`crane index secret`, or none",
    ),
    Key(
        ("workload-audience",),
        "audience of the identity token of a CI job or cluster",
        "the issuer",
    ),
    Key(("token-command",), "a command that prints an access token, in place of a login", "none"),
    Key(
        ("ca-file",),
        "a private CA of the index and its provider, beside the system's trust",
        "none",
    ),
    Key(
        ("client-certificate", "client-certificate-key"),
        "for mutual TLS; shown to the index and its provider only",
        "none",
    ),
    Key(("insecure-http",), "send tokens over plain http to another machine", "`false`"),
    Key(("default",), "the index to use if several are registered and none is named", "`false`"),
)
