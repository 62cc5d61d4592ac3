"""`crane pip --route index`: a gateway in this process, at whose loopback URL pip looks."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from crane_core.errors import InvalidURL
from crane_core.urls import without_login

if TYPE_CHECKING:
    from crane_cli.context import Context
    from crane_cli.pip_plan import Plan
    from crane_core.clients.interpreter import Pip
    from crane_core.clients.pip import Indexes
    from crane_core.clients.pip_arguments import PipCommand
    from crane_core.config.model import Configuration
    from crane_core.gateway.events import Event
    from crane_core.secret import Secret


def run(here: Context, configuration: Configuration, command_line: PipCommand, pip: Pip) -> int:
    """Run pip with a gateway beside it; returns pip's exit code."""
    from crane_cli.pip_plan import make_plan
    from crane_core.clients.attached import run_attached
    from crane_core.clients.pip_requirements import RequirementsRewriter, in_folder
    from crane_core.files import private_folder
    from crane_core.gateway.server import run as run_loop

    private_folder(here.paths.run)
    _sweep(here.paths.run)
    # Holds the gateway's secret and copies of requirements files, for as long as pip runs.
    prefix = f"{os.getpid()}-{_machine()}-"
    with tempfile.TemporaryDirectory(
        prefix=prefix, dir=here.paths.run, ignore_cleanup_errors=True
    ) as name:
        folder = Path(name)
        rewriter = RequirementsRewriter(in_folder(folder), here.environ)
        plan = make_plan(here, configuration, command_line, pip, rewriter)
        if plan.indexes is None:
            line = [pip.python, "-m", "pip", *plan.command_line.arguments]
            running = run_attached(line, {**here.environ, **plan.files})
        else:
            running = _install(here, configuration, plan, plan.indexes, folder)
        code: int = run_loop(running)
        return code


def _machine() -> str:
    """Return a mark of this machine, or container: another one's process numbers say nothing."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _sweep(folder: Path) -> None:
    """Remove what processes left behind that were killed."""
    from crane_core.platform import is_running

    for left in folder.iterdir():
        number, _, rest = left.name.partition("-")
        ours = rest.startswith(f"{_machine()}-")
        if ours and number.isdecimal() and not is_running(int(number)):
            shutil.rmtree(left, ignore_errors=True)


def _remote(indexes: Indexes) -> list[str]:
    """Return the extra indexes that the gateway serves. Raises `InvalidURL` for one with a login.

    The others are folders: the user's own files, which pip reads itself.
    """
    remote = [url for url in indexes.beside if _is_remote(url)]
    for url in remote:
        if "@" in url.partition("://")[2].partition("/")[0]:
            raise InvalidURL(
                f"{without_login(url)} needs a login of its own, which is not passed on here",
                hint="register it (crane index register), or leave --route index out",
            )
    return remote


def _is_remote(url: str) -> bool:
    return url.lower().startswith(("http://", "https://"))


async def _install(
    here: Context, configuration: Configuration, plan: Plan, indexes: Indexes, folder: Path
) -> int:
    from crane_cli.context import ensure_login
    from crane_cli.gateway import is_offline, my_uids, new_secret, running
    from crane_core.clients.attached import run_attached
    from crane_core.clients.pip import proxy_variables
    from crane_core.clients.pip_index import child_environment
    from crane_core.gateway.guard import Guard, loopback_hosts
    from crane_core.gateway.server import bind, loopback_address

    problems: list[str] = []

    def observe(event: Event) -> None:
        if event.problem and event.problem not in problems:
            problems.append(event.problem)

    if plan.proxy:
        os.environ.update(proxy_variables(plan.proxy))  # the gateway's own way out, and pip's
    index = indexes.index
    if not is_offline(here):
        await ensure_login(here, index)
    host = loopback_address()
    listener = bind(host, 0)
    port = listener.getsockname()[1]
    secret = new_secret()
    guard = Guard(loopback_hosts(host, port), secret, my_uids())
    # No index can be called like that (config/model.py).
    beside = {f"+{n}": url for n, url in enumerate(_remote(indexes), start=1)}
    local = [url for url in indexes.beside if not _is_remote(url)]
    urls = [f"http://{host}:{port}/{name}/simple/" for name in (index.name, *beside)]
    listener.listen(2048)
    async with running(here, configuration, [index], listener, guard, observe, beside):
        environment = child_environment(os.environ, host, urls[0])
        environment |= plan.files | _private_files(here, plan, folder, host, secret)
        arguments = plan.command_line.with_indexes(urls[0], [*urls[1:], *local])
        code = await run_attached([plan.pip.python, "-m", "pip", *arguments], environment)
    # While signals are still caught: here is the gateway's secret.
    shutil.rmtree(folder, ignore_errors=True)
    # pip may show a part of it only, or nothing with -qq.
    for problem in problems:
        here.prompt.notice(problem)
    return code


def _private_files(
    here: Context, plan: Plan, folder: Path, host: str, secret: Secret
) -> dict[str, str]:
    """Write what pip reads from files, and return the variables that name them."""
    from crane_core.clients.pip import private_config
    from crane_core.clients.pip_index import netrc_text
    from crane_core.files import write_private

    netrc = folder / "netrc"
    write_private(netrc, netrc_text(here.environ, Path.home(), host, secret).encode())
    variables = {"NETRC": str(netrc)}
    if plan.proxy_in_files:
        # `--proxy ''` would not reach the pip of build isolation, and makes pip 26.3 ignore
        # HTTPS_PROXY too.
        config = folder / "pip.conf"
        command = plan.command_line.command
        text = private_config(plan.pip.configuration, command, {"proxy": ""})
        write_private(config, text.encode())
        variables["PIP_CONFIG_FILE"] = str(config)
    return variables
