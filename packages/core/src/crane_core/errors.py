"""Every error crane raises on purpose, with its code, next step and exit code.

    CraneError (1)
    ├── UsageError (2)
    ├── ConfigError
    │   ├── ConfigBroken (3)        the TOML cannot be read as it stands
    │   ├── NotRegistered (5)       no registered index has that name or URL
    │   ├── InvalidURL (6)
    │   └── InsecureURL (7)         plain http to a host that is not this machine
    ├── StorageError
    │   ├── NotWritable (8)
    │   ├── DiskFull (9)
    │   ├── UnsafePermissions (10)  somebody else may read our secrets
    │   └── StorageBusy (32)        another crane process keeps a lock
    ├── LoginError
    │   ├── LoginNeeded (4)         nobody can answer here, or the session has ended
    │   ├── LoginDenied (11)        `access_denied`
    │   ├── LoginExpired (12)       `expired_token`, or nobody answered in time
    │   ├── ClientRejected (13)     `invalid_client`, `unauthorized_client`
    │   └── WorkloadBroken (30)     the job's surroundings owe it an identity
    ├── ProviderError
    │   ├── ProviderUnreachable (14)
    │   ├── ProviderAnswer (15)     not the JSON the RFC promises
    │   ├── EndpointMissing (16)    404 or 405: most likely a wrong URL
    │   ├── DiscoveryFailed (17)
    │   ├── IssuerRejected (18)     changed, mixed up or not confirmed
    │   └── ClockSkew (19)
    ├── SourceError
    │   ├── IndexUnreachable (20)
    │   ├── IndexRefused (21)       401, 403, or a 404 that may hide a refusal
    │   ├── IndexBroken (22)        an answer that is no index page
    │   ├── ProjectBlocked (26)     private-first forbids the fallback
    │   ├── FileChanged (27)        other bytes under a URL we have seen before
    │   ├── NotFound (31)           no such file, or not for this user
    │   └── NotPublished (36)       a file is not at the index now, or not as it is here
    └── LocalError
        ├── PortTaken (24)
        ├── InterpreterNotFound (25)
        ├── ToolTooOld (28)
        ├── NoLoopback (29)
        ├── AgentTrouble (33)       the process behind `crane run` does not start or answer
        ├── TrustBroken (34)        a CA file that a variable names cannot be used
        ├── ToolNotServed (35)      a tool's requests do not come to crane
        ├── NotKept (37)            something that offline work needs is not in the cache
        ├── CommandNotExecutable (126)
        └── CommandNotFound (127)
    Interrupted (130)

pip uses 0-4 and 23 itself; `crane pip` hands its exit code through.
"""

from __future__ import annotations

import errno
from typing import ClassVar

from crane_core.text import shortened, visible

# Characters; a message names URLs and words of servers, and a hint what to write instead.
LONGEST_PART = 800


class CraneError(Exception):
    """An expected failure: one line for the user, and the next step.

    `code` names it for programs, `exit_code` is what the command line returns. `next_step` is the
    hint where whoever raises it knows none.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    next_step: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.next_step

    @property
    def line(self) -> str:
        """The message and the next step on one line, whatever servers have put into them."""
        parts = (" ".join(part.split()) for part in (self.message, self.hint) if part)
        return visible("; ".join(shortened(part, LONGEST_PART) for part in parts))


class UsageError(CraneError):
    """The command line does not fit together."""

    code = "usage"
    exit_code = 2


class ConfigError(CraneError):
    """Something about what the user registered."""


class ConfigBroken(ConfigError):
    """The configuration file cannot be read as it stands; it is never overwritten."""

    code = "config-broken"
    exit_code = 3


class NotRegistered(ConfigError):
    """No registered index has that name or URL."""

    code = "not-registered"
    exit_code = 5


class InvalidURL(ConfigError):
    """A URL without scheme or host, or with parts that have no place in an index URL."""

    code = "invalid-url"
    exit_code = 6


class InsecureURL(ConfigError):
    """Plain http to a host that is not this machine would show the token to the network."""

    code = "insecure-url"
    exit_code = 7


class StorageError(CraneError):
    """Something about our own files."""


class NotWritable(StorageError):
    """A folder or file of ours cannot be written."""

    code = "not-writable"
    exit_code = 8


class DiskFull(StorageError):
    """No space left; what was there before is unchanged."""

    code = "disk-full"
    exit_code = 9


class UnsafePermissions(StorageError):
    """A file with secrets may be read by others, so it is not used."""

    code = "unsafe-permissions"
    exit_code = 10


class StorageBusy(StorageError):
    """Another crane process holds a lock for too long."""

    code = "storage-busy"
    exit_code = 32


class LoginError(CraneError):
    """The user could not be logged in."""


class LoginNeeded(LoginError):
    """A person must log in, and cannot do it here."""

    code = "login-needed"
    exit_code = 4


class LoginDenied(LoginError):
    """The person or the provider said no (`access_denied`, RFC 8628 §3.5)."""

    code = "login-denied"
    exit_code = 11


class LoginExpired(LoginError):
    """Nobody completed the login in time (`expired_token`, RFC 8628 §3.5)."""

    code = "login-expired"
    exit_code = 12


class ClientRejected(LoginError):
    """The provider does not accept this client (`invalid_client`, RFC 6749 §5.2)."""

    code = "client-rejected"
    exit_code = 13


class WorkloadBroken(LoginError):
    """The surroundings should give this job an identity, and do not.

    Distinct from *not here*, for which a detector returns None: then the next one is asked.
    """

    code = "workload-broken"
    exit_code = 30
    next_step = "check the job's settings, or leave this source out: CRANE_DETECTORS_OFF"


class ProviderError(CraneError):
    """Something about the identity provider."""


class ProviderUnreachable(ProviderError):
    """No answer from the identity provider; the session is kept."""

    code = "provider-unreachable"
    exit_code = 14


class ProviderAnswer(ProviderError):
    """The provider answered, but not what the RFC promises."""

    code = "provider-answer"
    exit_code = 15


class EndpointMissing(ProviderError):
    """The provider has nothing at this URL."""

    code = "endpoint-missing"
    exit_code = 16


class DiscoveryFailed(ProviderError):
    """The index does not say who its identity provider is."""

    code = "discovery-failed"
    exit_code = 17


class IssuerRejected(ProviderError):
    """The issuer is not the one it claims to be, or nobody confirmed it."""

    code = "issuer-rejected"
    exit_code = 18


class ClockSkew(ProviderError):
    """This machine's clock and the provider's are too far apart."""

    code = "clock-skew"
    exit_code = 19


class SourceError(CraneError):
    """Something about an index; `http_status` is what the gateway tells the tool."""

    http_status: ClassVar[int] = 502


class IndexUnreachable(SourceError):
    """No answer from the index, or one in the 5xx range."""

    code = "index-unreachable"
    exit_code = 20
    http_status = 504


class IndexRefused(SourceError):
    """The index does not let this user in; never a reason to fall back."""

    code = "index-refused"
    exit_code = 21
    http_status = 403


class IndexBroken(SourceError):
    """The answer is no index page: a login page, or bytes that do not parse."""

    code = "index-broken"
    exit_code = 22
    next_step = "tell the index's administrators"


class ProjectBlocked(SourceError):
    """The private index owns this name, so no other source may answer for it."""

    code = "project-blocked"
    exit_code = 26
    http_status = 403


class FileChanged(SourceError):
    """Other bytes than before under the same file URL."""

    code = "file-changed"
    exit_code = 27


class NotFound(SourceError):
    """The index has no such file, or hides it from this user."""

    code = "not-found"
    exit_code = 31
    http_status = 404


class NotPublished(SourceError):
    """A file was not published: it is broken, the index has not taken it, or has another one."""

    code = "not-published"
    exit_code = 36
    http_status = 400


class LocalError(CraneError):
    """Something about this machine."""


class PortTaken(LocalError):
    """Another process listens there."""

    code = "port-taken"
    exit_code = 24


class InterpreterNotFound(LocalError):
    """No Python whose pip we could drive."""

    code = "interpreter-not-found"
    exit_code = 25


class ToolTooOld(LocalError):
    """The tool is older than what crane supports."""

    code = "tool-too-old"
    exit_code = 28


class NoLoopback(LocalError):
    """No port of this machine's own addresses can be listened on for the login."""

    code = "no-loopback"
    exit_code = 29


class AgentTrouble(LocalError):
    """The agent, the process behind `crane run`, does not start, or does not answer."""

    code = "agent"
    exit_code = 33


class TrustBroken(LocalError):
    """A file of certificates that a variable or pip's configuration names cannot be used."""

    code = "trust-broken"
    exit_code = 34


class ToolNotServed(LocalError):
    """A tool's requests do not come to crane, or it does not believe its answers."""

    code = "tool-not-served"
    exit_code = 35


class NotKept(LocalError):
    """Something that offline work needs is not in the cache."""

    code = "not-kept"
    exit_code = 37


class CommandNotExecutable(LocalError):
    """The command of `crane run` is there, but cannot be run; as in a shell."""

    code = "command-not-executable"
    exit_code = 126


class CommandNotFound(LocalError):
    """There is no such command for `crane run`; as in a shell."""

    code = "command-not-found"
    exit_code = 127


class Interrupted(CraneError):
    """Ctrl-C; in `crane publish` SIGTERM, too."""

    code = "interrupted"
    exit_code = 130


def system_error(error: OSError) -> LocalError:
    """Return what to say where the system fails in a place of which nobody has thought."""
    hint = "crane --debug … shows more"
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        hint = "end some programs, or raise the limit (ulimit -n)"
    elif error.errno in {errno.ENOSPC, errno.EDQUOT}:
        hint = "free some space, then run the command again"
    reason = error.strerror or str(error)
    where = f": {error.filename}" if error.filename else ""
    return LocalError(f"the system says: {reason}{where}", hint=hint)
