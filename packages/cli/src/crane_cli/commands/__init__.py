"""One module a command. Each has `add_parser`; what it runs is imported when it runs."""

from __future__ import annotations

from crane_cli.commands import (
    cache,
    demo,
    explain,
    index,
    login,
    logout,
    pip,
    serve,
    status,
    token,
    vault,
)

COMMANDS = (index, login, logout, status, token, pip, serve, explain, vault, cache, demo)
