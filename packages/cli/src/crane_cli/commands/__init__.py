"""One module a command. Each has `add_parser`; what it runs is imported when it runs."""

from __future__ import annotations

from crane_cli.commands import demo, index, login, logout, pip, serve, status, token

COMMANDS = (index, login, logout, status, token, pip, serve, demo)
