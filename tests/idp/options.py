"""Which realms there are, and what a test may change about them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

Preset = Literal["keycloak", "bare", "fast", "norotate", "basiconly", "postonly", "nodevice"]
PRESETS: tuple[Preset, ...] = (
    "keycloak",
    "bare",
    "fast",
    "norotate",
    "basiconly",
    "postonly",
    "nodevice",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a realm does differently from its preset; None leaves the preset's value."""

    path: str | None = None
    client_id: str | None = None
    client_auth: Literal["none", "client_secret_basic", "client_secret_post"] | None = None
    client_secret: str | None = None
    redirect_paths: tuple[str, ...] | None = None
    device_flow: bool | None = None
    access_token_seconds: int | None = None
    refresh_token_seconds: int | None = None
    device_code_seconds: int | None = None
    rotate: bool | None = None
    reuse_detection: bool | None = None
    issue_refresh: Literal["always", "offline", "never"] | None = None
    send_expires_in: bool | None = None
    send_refresh_expires_in: bool | None = None
    send_user_code_uri: bool | None = None
    echo_scope: bool | None = None
    groups_claim: bool | None = None
    jwt_type: str | None = None
    clock_offset_seconds: int | None = None
    interval: int | None = None
    enforce_interval: bool | None = None
    slow_down: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The options that were given, named as the server names them."""
        given = {f.name: getattr(self, f.name) for f in fields(Options)}
        return {_camel(name): value for name, value in given.items() if value is not None}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


@dataclass(frozen=True)
class RealmSpec:
    """A realm to start: a preset, a name if the preset is used twice, and changes to it."""

    preset: Preset
    name: str | None = None
    options: Options = Options()

    def as_json(self) -> dict[str, Any]:
        """The realm as the server's configuration line has it."""
        named = {"name": self.name} if self.name else {}
        return {"preset": self.preset, **named, **self.options.as_json()}
