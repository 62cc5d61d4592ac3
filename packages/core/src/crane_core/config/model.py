"""A registered index, and the set of them."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from crane_core.config.durations import parse_duration
from crane_core.errors import NotRegistered, UsageError
from crane_core.tls import TLSSettings
from crane_core.urls import (
    canonical,
    is_loopback,
    names_index,
    origin_of,
    require_secure,
    same_index,
    within,
    without_simple,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PYPI = "https://pypi.org/simple"
DEFAULT_CLIENT_ID = "crane-pip"
DEFAULT_SCOPE = "openid offline_access"
# RFC 8252 §7.3: the port is ours to choose at each login. Some providers want `localhost`, or one
# port that they know.
DEFAULT_REDIRECT_URI = "http://127.0.0.1/callback"
GRANTS = (
    "authorization-code", "device", "client-credentials", "token-exchange", "jwt-bearer",
)  # fmt: skip
CLIENT_AUTHS = ("none", "basic", "post", "private-key-jwt")
PUBLISH = ("crane", "warehouse", "off")
LAYOUTS = ("{project}/{file}", "simple/{project}/{file}", "{file}")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
# First path segments that the gateway answers itself.
RESERVED_NAMES = frozenset({"simple", "files", "legacy", "-"})


@dataclass(frozen=True, slots=True)
class Index:
    """A registered index: where it is, who logs users in, and where its names may come from.

    `issuer` (RFC 8414) or both endpoints are set. `fallback` is `pypi`, `none` or the URL of a
    PEP 503 index. `private` holds name patterns that never fall back. `root_required` says that
    a project counts as missing only where the index's own root page can be read. `share_login`
    lets the index use the login of other indexes at the same provider. Files are named by path.
    `stale_limit` is for how long it is answered for from before while it is down, as `12h`;
    `keep_pages` says that its pages may be kept for that although it says `no-store` itself.
    `publish` is how it takes uploads, found out if None; `upload_url` where, with a slash at its
    end if the index wants one there; `upload_layout` is where below that a Crane server has files.
    """

    name: str
    url: str
    issuer: str | None = None
    client_id: str = DEFAULT_CLIENT_ID
    token_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    scope: str = DEFAULT_SCOPE
    audience: str | None = None
    resource: str | None = None
    grant: str | None = None
    account: str | None = None
    share_login: bool = False
    redirect_uri: str = DEFAULT_REDIRECT_URI
    client_auth: str | None = None
    client_secret_file: str | None = None
    client_key_file: str | None = None
    workload_audience: str | None = None
    token_command: str | None = None
    ca_file: str | None = None
    client_certificate: str | None = None
    client_certificate_key: str | None = None
    fallback: str = "pypi"
    private: tuple[str, ...] = ()
    root_required: bool = True
    stale_limit: str | None = None
    keep_pages: bool = False
    publish: str | None = None
    upload_url: str | None = None
    upload_layout: str | None = None
    insecure_http: bool = False
    default: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)
        object.__setattr__(self, "url", canonical(self.url))
        require_secure(self.url, what="the index URL", insecure_http=self.insecure_http)
        for label in ("issuer", "token_endpoint", "device_authorization_endpoint"):
            if value := getattr(self, label):
                what = f"the {label.replace('_', ' ')}"
                require_secure(value, what=what, insecure_http=self.insecure_http)
        _one_of("grant", self.grant, GRANTS)
        _one_of("client-auth", self.client_auth, CLIENT_AUTHS)
        _one_of("publish", self.publish, PUBLISH)
        _one_of("upload-layout", self.upload_layout, LAYOUTS)
        if self.upload_url is not None:
            # Indexes tell `/legacy` from `/legacy/`.
            slash = "/" if self.upload_url.strip().endswith("/") else ""
            object.__setattr__(self, "upload_url", canonical(self.upload_url) + slash)
            what = "the upload URL"
            require_secure(self.upload_url, what=what, insecure_http=self.insecure_http)
        if self.stale_limit is not None:
            parse_duration(self.stale_limit, "stale-limit")
        if not is_loopback(origin_of(self.redirect_uri).host):
            raise UsageError("the redirect URI is not on this machine", hint="use http://127.0.0.1")
        if self.fallback not in {"pypi", "none"}:
            object.__setattr__(self, "fallback", canonical(self.fallback))
            require_secure(self.fallback, what="the fallback", insecure_http=self.insecure_http)
            if same_index(self.fallback, self.url):
                raise UsageError("an index is not its own fallback", hint="use --fallback none")

    @property
    def fallback_url(self) -> str | None:
        """The fallback index's canonical URL, None if there is no fallback."""
        if self.fallback == "none":
            return None
        return PYPI if self.fallback == "pypi" else self.fallback

    def stale_seconds(self, usual: float) -> float:
        """Return for how long the index is answered for from before, `usual` if not set."""
        if self.stale_limit is None:
            return usual
        return parse_duration(self.stale_limit, "stale-limit")

    @property
    def tls(self) -> TLSSettings:
        """What connections to the index and its provider trust and show."""
        return TLSSettings(self.ca_file, self.client_certificate, self.client_certificate_key)

    @property
    def variable_suffix(self) -> str:
        """The name as part of an environment variable, as in `CRANE_TOKEN_<NAME>`."""
        return re.sub(r"[^A-Z0-9]", "_", self.name.upper())

    @property
    def token_prefix(self) -> str:
        """The folder below which URLs get this index's token: the index without `/simple`."""
        return without_simple(self.url)

    @property
    def upload_base(self) -> str:
        """Where uploads go, as its user has said it, else the index itself; without a slash."""
        return (self.upload_url or self.url).rstrip("/")

    def covers(self, url: str) -> bool:
        """Whether a URL is this index's, and gets its token: below the index, or for uploads."""
        if within(url, self.token_prefix):
            return True
        return self.upload_url is not None and within(url, self.upload_base)

    def is_private_name(self, project: str) -> bool:
        """Whether a pattern keeps this project from falling back."""
        name = canonicalize_name(project)
        return any(fnmatchcase(name, _normalised(pattern)) for pattern in self.private)


def _normalised(pattern: str) -> str:
    # A pattern is spelled like a name: `Acme_*` protects `acme-lib` (PEP 503).
    return re.sub(r"[-_.]+", "-", pattern).lower()


def _one_of(key: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise UsageError(f"{key} {value!r} is unknown", hint=f"use one of {', '.join(known)}")


def check_name(name: str) -> str:
    """Return an index name that can stand in a path and a TOML table. Raises `UsageError`."""
    if not NAME.fullmatch(name) or name in RESERVED_NAMES:
        raise UsageError(
            f"{name!r} cannot name an index",
            hint="use lower-case letters, digits, '-', '_' and '.', and not a reserved word",
        )
    return name


def none_registered() -> NotRegistered:
    """Return the error for a configuration without an index."""
    return NotRegistered(
        "no index is registered", hint="run: crane index register https://HOST/PATH"
    )


@dataclass(frozen=True, slots=True)
class Configuration:
    """All registered indexes by name, in the order of the file."""

    indexes: dict[str, Index] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Index]:
        return iter(self.indexes.values())

    def match(self, url: str) -> Index | None:
        """Return the index with this URL, however it is spelled. Raises `InvalidURL`."""
        return next((index for index in self if same_index(index.url, url)), None)

    def named_by(self, urls: Sequence[str]) -> list[Index]:
        """Return the indexes that these URLs name, each as a tool's settings may spell it."""
        return [index for index in self if any(names_index(url, index.url) for url in urls)]

    def find(self, name_or_url: str) -> Index:
        """Return the index of that name or URL. Raises `NotRegistered`, with the nearest one."""
        if found := self.indexes.get(name_or_url):
            return found
        if "://" in name_or_url and (found := self.match(name_or_url)):
            return found
        raise NotRegistered(f'Index not found: "{name_or_url}"', hint=self._suggestion(name_or_url))

    def _suggestion(self, wanted: str) -> str:
        # Without the scheme, which would make any two URLs alike.
        known = {name: name for name in self.indexes}
        known |= {index.url.partition("://")[2]: index.url for index in self}
        bare = wanted.partition("://")[2] or wanted
        if near := difflib.get_close_matches(bare, known, n=1, cutoff=0.6):
            return f'Did you mean: "{known[near[0]]}"?'
        if "://" in wanted:
            return f"run: crane index register {wanted}"
        return "see: crane index list"

    def only_or_default(self) -> Index:
        """Return the index to use where the user names none.

        Raises `NotRegistered` if there is none, or several and no default.
        """
        chosen = [i for i in self if i.default] or list(self)
        if len(chosen) == 1:
            return chosen[0]
        if not chosen:
            raise none_registered()
        raise NotRegistered(
            f"several indexes are registered ({', '.join(i.name for i in chosen)})",
            hint="name one (for pip: -i URL), or choose: crane index set NAME --default",
        )

    def chosen(self, name_or_url: str | None) -> Index:
        """Return the index that a command names, or the one to use where it names none.

        Raises `NotRegistered`.
        """
        return self.find(name_or_url) if name_or_url else self.only_or_default()

    def with_index(self, index: Index) -> Configuration:
        """Return a configuration in which `index` stands under its name."""
        others = {
            name: replace(other, default=False) if index.default else other
            for name, other in self.indexes.items()
        }
        return Configuration({**others, index.name: index})

    def without(self, name: str) -> Configuration:
        """Return a configuration that lacks the index of that name."""
        return Configuration({n: index for n, index in self.indexes.items() if n != name})

    def free_name(self, url: str) -> str:
        """Return a short name for a new index: its last path segment, else its host."""
        bare = without_simple(canonical(url))
        origin = origin_of(bare)
        path = bare[len(str(origin)) :]
        candidates = [path.rsplit("/", 1)[-1], origin.host, f"{origin.host}{path}", bare]
        slugs = [re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._") for text in candidates]
        for slug in slugs:
            if NAME.fullmatch(slug) and slug not in RESERVED_NAMES and slug not in self.indexes:
                return slug
        return next(n for i in range(2, 10_000) if (n := f"{slugs[1]}-{i}") not in self.indexes)
