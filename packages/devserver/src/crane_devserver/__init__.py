"""A private package index behind OAuth 2.0, for development and tests.

:class:`CraneServer` answers as a Crane server does, :class:`IdentityProvider` gives out
the tokens, :class:`DevServer` is both at one address. Never for production: users and
keys live in memory and passwords in plain sight.
"""

from __future__ import annotations

from .access import ANY_USER, NOBODY, Identity
from .behaviour import CRANE, STATIC_INDEX, Behaviour
from .browser import ScriptedBrowser
from .crane import CraneServer
from .demo import DEMO_USERS, demo_repository, demo_server
from .devserver import DevServer
from .faults import Fault, FaultList
from .idp import Client, IdentityProvider, ManualClock, ProviderSettings, User
from .keys import FetchedKeys, FixedKeys, KeySource
from .legacy import LegacyUpload
from .records import RequestLog, RequestRecord
from .repository import PathAccess, Repository
from .running import serve_in_thread
from .sdists import make_sdist
from .simple_pages import write_simple_pages
from .wheels import make_wheel, wheel_metadata

__version__ = "0.1.0"

__all__ = [
    "ANY_USER",
    "CRANE",
    "DEMO_USERS",
    "NOBODY",
    "STATIC_INDEX",
    "Behaviour",
    "Client",
    "CraneServer",
    "DevServer",
    "Fault",
    "FaultList",
    "FetchedKeys",
    "FixedKeys",
    "Identity",
    "IdentityProvider",
    "KeySource",
    "LegacyUpload",
    "ManualClock",
    "PathAccess",
    "ProviderSettings",
    "Repository",
    "RequestLog",
    "RequestRecord",
    "ScriptedBrowser",
    "User",
    "__version__",
    "demo_repository",
    "demo_server",
    "make_sdist",
    "make_wheel",
    "serve_in_thread",
    "wheel_metadata",
    "write_simple_pages",
]
