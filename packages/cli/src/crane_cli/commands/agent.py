"""`crane agent`: the processes behind `crane run`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import add_json, command, command_group
from crane_cli.result import Result
from crane_core.config.durations import show_duration

if TYPE_CHECKING:
    import argparse

    from crane_cli.context import Context

STOP_SECONDS = 10.0


EXAMPLES = """
crane agent status --json
crane agent stop
"""


def add_parser(commands: Any) -> None:
    """Add the command and its own commands."""
    summary = "show or stop the processes behind crane run"
    actions = command_group(commands, "agent", summary, EXAMPLES)
    for name, run, summary in (
        ("status", run_status, "show the running agents and what they serve"),
        ("stop", run_stop, "end the running agents; commands that use them lose the indexes"),
    ):
        add_json(command(actions, name, run, summary, f"crane agent {name}", group="agent"))


def run_status(_: argparse.Namespace, here: Context) -> Result:
    """Show each agent: version, process, age, and the processes that it serves."""
    from crane_core.agent.client import AgentLost
    from crane_core.agent.start import running

    found = []
    for agent in running(here.paths):
        try:
            found.append(agent.status())
        except AgentLost:  # gone in just this moment
            continue
    lines = [_line(status, here.clock.now()) for status in found]
    return Result("\n".join(lines) or "no agent is running", {"agents": found})


def _line(status: dict[str, Any], now: float) -> str:
    views = status["views"]
    owners = sorted({owner for view in views for owner in view["owners"]})
    shells = sum(not view["owners"] for view in views)
    served = [f"process {owner}" for owner in owners]
    if shells:
        served.append(f"{shells} shell{'s' * (shells != 1)} (crane env)")
    if served:
        use = f"serves {', '.join(served)}"
    else:
        use = f"idle for {show_duration(now - status['idle_since'])}"
    since = show_duration(now - status["started_at"])
    return f"crane {status['version']}, process {status['pid']}, up for {since}: {use}"


def run_stop(_: argparse.Namespace, here: Context) -> Result:
    """End every agent of the user's, and wait until it has ended."""
    from crane_core.agent.client import AgentLost
    from crane_core.agent.start import running
    from crane_core.errors import AgentTrouble

    stopped = []
    for agent in running(here.paths):
        try:
            agent.stop()
        except AgentLost:
            continue
        stopped.append(agent.runtime)
    until = time.monotonic() + STOP_SECONDS
    while left := [runtime for runtime in stopped if runtime.is_running]:
        if time.monotonic() > until:
            raise AgentTrouble(
                f"process {left[0].pid} has not ended in {STOP_SECONDS:.0f} seconds",
                hint=f"run: kill {left[0].pid}",
            )
        time.sleep(0.02)
    text = f"stopped {len(stopped)} agent{'s' * (len(stopped) != 1)}"
    return Result(text if stopped else "no agent is running", {"stopped": len(stopped)})
