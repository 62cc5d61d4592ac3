"""`crane pip`, as usual: pip looks at the real URLs, and goes through a view of the agent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from crane_core.errors import AgentTrouble

if TYPE_CHECKING:
    from crane_cli.context import Context
    from crane_cli.pip_plan import Plan
    from crane_core.clients.interpreter import Pip
    from crane_core.clients.pip import Indexes
    from crane_core.clients.pip_arguments import PipCommand
    from crane_core.clients.prepared import Prepared
    from crane_core.config.model import Configuration


def run(here: Context, configuration: Configuration, command_line: PipCommand, pip: Pip) -> int:
    """Become pip in a view of its own; returns its exit code only where that cannot be."""
    from crane_cli.pip_plan import make_plan
    from crane_core.clients.child_environment import without_secrets
    from crane_core.clients.handover import hand_over
    from crane_core.clients.pip_forward import pip_environment
    from crane_core.clients.pip_requirements import RequirementsRewriter, in_no_folder

    rewriter = RequirementsRewriter(in_no_folder, here.environ, keeps_indexes=True)
    plan = make_plan(here, configuration, command_line, pip, rewriter)
    if plan.indexes is None:
        line = [pip.python, "-m", "pip", *plan.command_line.arguments]
        return hand_over(pip.python, line, {**here.environ, **plan.files})
    with _prepared(here, configuration, plan, plan.indexes) as ready:
        _log_in(here, configuration, ready, plan.indexes)
        environ = without_secrets(pip_environment(ready.environ))
        environ |= plan.files
        url = None if plan.indexes.is_named else plan.indexes.index.url
        if url is not None:
            environ["PIP_INDEX_URL"] = url  # for a pip that a build starts by itself
        if plan.proxy_in_files or plan.cert_in_files:
            environ["PIP_CONFIG_FILE"] = _own_config(plan, ready)
        line = [pip.python, "-m", "pip", *plan.command_line.without_network(url)]
        return hand_over(pip.python, line, environ)


def _prepared(
    here: Context, configuration: Configuration, plan: Plan, indexes: Indexes
) -> Prepared:
    """Open a view. Raises `AgentTrouble` with the other route as what to do."""
    from crane_core.clients.pip_forward import way_out, wish_of
    from crane_core.clients.prepared import prepare

    environ = way_out(here.environ, plan.proxy)
    # Logging in goes the same way.
    os.environ.clear()
    os.environ.update(environ)
    hashes = plan.command_line.needs_hashes
    wish = wish_of(configuration, indexes, environ, os.getpid(), needs_hashes=hashes)
    cert = plan.command_line.cert or plan.cert_in_files
    try:
        return prepare(here.paths, environ, wish, notice=here.prompt.notice, more_trust=cert)
    except AgentTrouble as error:
        # Not done unasked: what pip writes would hold URLs of this machine then.
        hint = "crane pip --route index … needs no agent"
        raise AgentTrouble(
            error.message, hint=f"{error.hint}; {hint}" if error.hint else hint
        ) from error


def _log_in(here: Context, configuration: Configuration, ready: Prepared, indexes: Indexes) -> None:
    """Log in where that is needed, before pip starts. Raises `LoginNeeded` if nobody can."""
    import asyncio

    from crane_core.agent.client import AgentLost
    from crane_core.clients.pip_forward import registered_of

    registered = registered_of(configuration, indexes)
    try:
        needed = ready.agent.logins_needed([index.name for index in registered])
    except AgentLost:
        return  # pip's first request will tell
    if not needed:
        return
    from crane_cli.context import ensure_login

    for name in needed:
        asyncio.run(ensure_login(here, configuration.find(name)))


def _own_config(plan: Plan, ready: Prepared) -> str:
    """Write a configuration file that says what pip's own ones do, but for the network.

    A proxy there would beat HTTPS_PROXY; with --isolated PIP_CERT counts nothing. The agent
    removes the file with the view.
    """
    from pathlib import Path

    from crane_core.clients.pip import private_config
    from crane_core.files import write_private

    values = {"proxy": "", "cert": ready.view.bundle}
    text = private_config(plan.pip.configuration, plan.command_line.command, values)
    path = Path(ready.view.bundle).with_suffix(".pip.conf")
    write_private(path, text.encode(), durable=False)
    return str(path)
