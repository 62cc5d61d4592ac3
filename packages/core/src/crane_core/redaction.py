"""What must not leave this machine in a log or a report: logins, tokens, keys, and who somebody is.

`redacted` knows secrets by their look, or by what is written before them. A `Redactor` knows some
by heart as well. Both take away too much rather than too little.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = "***"
# A shorter one is a word of many other things.
SHORTEST_SECRET = 5
SHORTEST_NAME = 3
# Accounts that are nobody's in particular, and words that stand everywhere.
COMMON_NAMES = frozenset({
    "admin", "administrator", "crane", "default", "guest", "localhost", "nobody", "python",
    "root", "runner", "user",
})  # fmt: skip

_END = r"\s\"'<>`"
_WORDS = (
    r"token|secret|passw(?:or)?d|passphrase|pwd|api[-_]?key|private[-_]?key|access[-_]?key"
    r"|credentials?|assertion|signature|cookie|otp|user[-_]?code|device[-_]?code|verifier"
)
_KNOWN_TOKENS = (
    r"\b(?:gh[opsur]_\w{8,}|github_pat_\w{8,}|glpat-[\w-]{8,}|pypi-[\w-]{16,}"
    r"|AKIA[A-Z0-9]{8,}|xox[a-z]-[\w-]{8,}|hv[bs]\.[\w-]{8,})"
)
_FIELDS = (
    r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]*token|x-api-key)"
    r"([\"']?\s*[:=,]\s*[\"']?)[^\r\n\"']+"
)
# What no person would write, and no hash, version or file name looks like.
_RANDOM = r"(?<![\w.-])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*\d)[\w-]{24,}"
# JWTs and JWEs (RFC 7519, 7516): all begin with `{"` in base64url; also what is left of one.
_JWT = r"\beyJ[\w-]{5,}(?:\.[\w-]*){0,4}"
# In the order in which they are applied.
_PATTERNS = (
    (r"(?s)-----BEGIN [^-]*PRIVATE KEY-----.*?(?:-----END [^-]*PRIVATE KEY-----|\Z)", MASK),
    (_JWT, MASK),
    # Tokens that say whose they are.
    (_KNOWN_TOKENS, MASK),
    # Header fields, to the end of their line or string.
    (_FIELDS, rf"\1\2{MASK}"),
    # Credentials (RFC 9110 §11.4), but no challenge, whose scheme is followed by `name=`.
    (r"(?i)\b(bearer|dpop)\s+[\w.~+/-]{8,}=*(?![\w=\"])", rf"\1 {MASK}"),
    (r"(?i)\b(basic)\s+[a-z0-9+/]{4,}={0,2}(?![\w=\"])", rf"\1 {MASK}"),
    # Logins in URLs; a password that nobody has escaped may hold a slash.
    (rf"(?<=://)[^{_END}/?#]*@", f"{MASK}@"),
    (rf"(?<=://)[^{_END}/:@]+:[^{_END}@]*@", f"{MASK}@"),
    # The same without a scheme, and the name in an e-mail address.
    (rf"(?<![\w/.*-])[\w.%+~-]+:(?!//)[^{_END}@]+@(?=[\w\[])", f"{MASK}@"),
    (r"(?<![\w/.*@-])[\w.%+-]+@(?=[\w-]+(?:\.[\w-]+)+)", f"{MASK}@"),
    # Queries and fragments; the hash of a file is none of them.
    (rf"(?<=[\w/%=*.~-])\?[^{_END}]*[=&%][^{_END}]*", f"?{MASK}"),
    (rf"(\b\w+://[^{_END}?#]*)\?[^{_END}#]+", rf"\1?{MASK}"),
    (rf"(\b\w+://[^{_END}#]*)#(?!(?:sha\d+|md5)=)[^{_END}]+", rf"\1#{MASK}"),
    (_RANDOM, MASK),
)
# A name of a project or a file, as nearly all that is looked at, and what can be in one: each of
# the others has a character that cannot.
_NAME = r"[\w.+-]*"
_IN_NAMES = (_JWT, _KNOWN_TOKENS, _RANDOM)
_NAMED = (
    rf"(?i)(?<![\w-])(?=[\w-]{{0,60}}(?:{_WORDS}))([\w-]{{1,80}})([\"']?)(\s{{0,3}}[=:]\s{{0,3}})"
    rf"(\"[^\"]*\"|'[^']*'|[^{_END},;&)}}\]]+)"
)
# Names that have such a word in them, and name something else.
_OTHER_NAMES = r"(?i)endpoint|url|uri|type|file|command|expires|lifetime|method"
# How variables that hold a secret end, beside those that say it in words.
_SECRET_ENDS = ("_KEY", "_PASS", "_PAT", "_AUTH")


@cache
def _compiled() -> tuple[tuple[re.Pattern[str], str], ...]:
    # Not at import: that takes as long as many a command.
    return tuple((re.compile(pattern), instead) for pattern, instead in _PATTERNS)


@cache
def _compiled_for_names() -> tuple[re.Pattern[str], tuple[re.Pattern[str], ...]]:
    return re.compile(_NAME), tuple(re.compile(pattern) for pattern in _IN_NAMES)


def redacted(text: str) -> str:
    """Return the text without what looks like a secret: tokens, logins in URLs, and queries."""
    name, in_names = _compiled_for_names()
    if name.fullmatch(text):
        for pattern in in_names:
            text = pattern.sub(MASK, text)
        return text
    for pattern, instead in _compiled():
        text = pattern.sub(instead, text)
    return re.sub(_NAMED, _named, text)


def names_secret(name: str) -> bool:
    """Whether a variable or a field of that name holds a secret."""
    if name.upper().endswith(_SECRET_ENDS):
        return True
    return re.search(f"(?i){_WORDS}", name) is not None and not re.search(_OTHER_NAMES, name)


def _named(found: re.Match[str]) -> str:
    name, closing, between, value = found.groups()
    # `token: there is none` is a sentence of ours.
    is_sentence = name.lower() == "token" and not closing and between.endswith(" ")
    if is_sentence or re.search(_OTHER_NAMES, name):
        return found[0]
    mark = value[0] if value[0] in "\"'" else ""
    return f"{name}{closing}{between}{mark}{MASK}{mark}"


class Redactor:
    """Takes away what `redacted` does, and the given secrets, names and folder wherever they stand.

    `names` are people's and machines'. `home` becomes `~`.
    """

    def __init__(
        self, secrets: Iterable[str] = (), names: Iterable[str] = (), home: str = ""
    ) -> None:
        known = {text for secret in secrets if len(secret) >= SHORTEST_SECRET
                 for text in _spellings(secret)}  # fmt: skip
        # The longest first: one may be a part of another.
        ordered = sorted(known, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, ordered))) if ordered else None
        people = sorted(
            {n for n in names if len(n) >= SHORTEST_NAME and n.lower() not in COMMON_NAMES},
            key=len, reverse=True,
        )  # fmt: skip
        words = "|".join(map(re.escape, people))
        self._names = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE) if people else None
        self._home = home.rstrip("/\\")

    def __call__(self, text: str) -> str:
        """Return the text without all that."""
        if self._secrets is not None:
            text = self._secrets.sub(MASK, text)
        if len(self._home) > 1:
            text = re.sub(rf"{re.escape(self._home)}(?![\w-])", "~", text)
        text = redacted(text)
        return text if self._names is None else self._names.sub(MASK, text)

    def data(self, value: Any) -> Any:
        """Return a JSON value in which no text holds it, nor any field that is named after one."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, dict):
            return {
                self(name): MASK
                if isinstance(item, str) and names_secret(name)
                else self.data(item)
                for name, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.data(item) for item in value]
        return value


def _spellings(secret: str) -> set[str]:
    """Return how a secret may stand in a URL and in JSON."""
    return {secret, quote(secret, safe=""), quote(secret), json.dumps(secret)[1:-1]}
