"""`crane pip …`: any pip command, with a registered index as pip's index."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import command
from crane_cli.result import Result
from crane_core.errors import InterpreterNotFound
from crane_core.urls import without_login

if TYPE_CHECKING:
    from crane_cli.context import Context
    from crane_core.clients.interpreter import Pip
    from crane_core.clients.pip import Indexes
    from crane_core.clients.pip_arguments import PipCommand
    from crane_core.config.model import Configuration, Index
    from crane_core.gateway.events import Event
    from crane_core.secret import Secret

DESCRIPTION = """\
Runs pip with its own options, output and exit code. Which pip: --python's, else the active
environment's, else that of the first python on PATH; `crane pip --version` says which.
"""


def add_parser(commands: Any) -> None:
    """Add the command; what follows it is pip's, to the letter."""
    parser = command(commands, "pip", run, "run pip with a registered index")
    parser.description = DESCRIPTION
    parser.prefix_chars = "\0"  # no argument behind `pip` is an option of ours
    parser.add_argument("arguments", metavar="…", nargs=argparse.REMAINDER)


def run(args: argparse.Namespace, here: Context) -> Result:
    """Run pip: directly where no index is needed, else with a gateway beside it."""
    from crane_core.clients.interpreter import find_python, probe
    from crane_core.clients.pip_arguments import read_arguments

    explicit, arguments = split_python(args.arguments)
    python = find_python(here.environ, explicit)
    command_line = read_arguments(arguments)
    if not command_line.needs_index:
        return Result(exit_code=_become([python, "-m", "pip", *arguments]))
    configuration = here.config.load()
    pip = probe(python, here.environ)
    from crane_core.files import private_folder
    from crane_core.gateway.server import run as run_loop

    private_folder(here.paths.run)
    _sweep(here.paths.run)
    # Holds the gateway's secret and copies of requirements files, for as long as pip runs.
    with tempfile.TemporaryDirectory(prefix=f"{os.getpid()}-", dir=here.paths.run) as folder:
        plan = make_plan(here, configuration, command_line, pip, Path(folder))
        return Result(exit_code=run_loop(_install(here, configuration, plan)))


def _sweep(folder: Path) -> None:
    """Remove what processes left behind that were killed."""
    from crane_core.platform import is_running

    for left in folder.iterdir():
        number = left.name.partition("-")[0]
        if number.isdecimal() and not is_running(int(number)):
            shutil.rmtree(left, ignore_errors=True)


def split_python(arguments: list[str]) -> tuple[str | None, list[str]]:
    """Take `--python VALUE` out: crane starts that interpreter's own pip."""
    rest, python = [], None
    following = iter(arguments)
    for argument in following:
        if argument == "--":
            rest += [argument, *following]
        elif argument == "--python":
            python = next(following, "")
        elif argument.startswith("--python="):
            python = argument.partition("=")[2]
        else:
            rest.append(argument)
    return python, rest


def _become(command_line: list[str]) -> int:
    """Let pip take this process's place; on Windows, which has no such thing, wait for it."""
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform == "win32":
        import subprocess

        return subprocess.call(command_line)
    else:  # noqa: RET505 - so that the type checker sees one platform at a time
        try:
            os.execv(command_line[0], command_line)  # noqa: S606 - no shell is what we want
        except OSError as error:
            raise InterpreterNotFound(
                f"{command_line[0]} does not run: {error.strerror}",
                hint="give another with --python PATH",
            ) from error


@dataclass(frozen=True, slots=True)
class Plan:
    """A pip run: which pip, which indexes, which arguments, which proxy."""

    pip: Pip
    command_line: PipCommand
    indexes: Indexes
    folder: Path
    proxy: str | None
    proxy_in_files: bool


def make_plan(
    here: Context, configuration: Configuration, command_line: PipCommand, pip: Pip, folder: Path
) -> Plan:
    """Gather all that names an index or proxy: arguments, requirements files, pip's settings."""
    from crane_core.clients.pip import choose_indexes
    from crane_core.clients.pip_requirements import RequirementsRewriter

    rewriter = RequirementsRewriter(folder, here.environ)
    command_line = command_line.with_requirements(rewriter.rewrite)
    command = command_line.command
    setting = pip.setting("index-url", command)
    from_environment = setting[0] if setting and setting[1] == ":env:" else None
    extra = [*command_line.extra_index_urls, *rewriter.extra_index_urls]
    if more := pip.setting("extra-index-url", command):
        extra += more[0].split()
    indexes = choose_indexes(
        configuration,
        rewriter.index_url or command_line.index_url or from_environment,
        list(dict.fromkeys(extra)),
        setting[0] if setting else None,
    )
    _warn_of_links(here, [*command_line.find_links, *rewriter.find_links])
    proxy = pip.setting("proxy", command)
    return Plan(
        pip=pip,
        command_line=command_line,
        indexes=indexes,
        folder=folder,
        proxy=command_line.proxy or (proxy[0] if proxy else None),
        proxy_in_files=bool(proxy and proxy[1] != ":env:"),
    )


def _warn_of_links(here: Context, links: list[str]) -> None:
    if remote := [link for link in links if "://" in link and not link.startswith("file:")]:
        here.prompt.notice(
            f"pip takes what it likes from {without_login(remote[0])} (--find-links): "
            "crane does not keep private names from there"
        )


async def _install(here: Context, configuration: Configuration, plan: Plan) -> int:
    from crane_cli.gateway import my_uids, new_secret, running
    from crane_core.clients.pip import child_environment, proxy_variables, run_attached
    from crane_core.gateway.guard import Guard, loopback_hosts
    from crane_core.gateway.server import bind, loopback_address

    problems: list[str] = []

    def observe(event: Event) -> None:
        if event.problem and event.problem not in problems:
            problems.append(event.problem)

    if plan.proxy:
        os.environ.update(proxy_variables(plan.proxy))  # the gateway's own way out, and pip's
    index = plan.indexes.index
    await ensure_login(here, index)
    host = loopback_address()
    listener = bind(host, 0)
    port = listener.getsockname()[1]
    secret = new_secret()
    guard = Guard(loopback_hosts(host, port), secret, my_uids())
    beside = {f"beside-{n}": url for n, url in enumerate(plan.indexes.beside, start=1)}
    urls = [f"http://{host}:{port}/{name}/simple/" for name in (index.name, *beside)]
    listener.listen(2048)
    async with running(here, configuration, [index], listener, guard, observe, beside):
        environment = child_environment(os.environ, host, urls[0], urls[1:])
        environment |= _private_files(here, plan, host, secret)
        arguments = plan.command_line.with_indexes(urls[0], urls[1:])
        code = await run_attached([plan.pip.python, "-m", "pip", *arguments], environment)
    # pip may show a part of it only, or nothing with -qq.
    for problem in problems:
        here.prompt.notice(problem)
    return code


def _private_files(here: Context, plan: Plan, host: str, secret: Secret) -> dict[str, str]:
    """Write what pip reads from files, and return the variables that name them."""
    from crane_core.clients.pip import config_without_proxy, netrc_text
    from crane_core.files import write_private

    netrc = plan.folder / "netrc"
    write_private(netrc, netrc_text(here.environ, Path.home(), host, secret).encode())
    variables = {"NETRC": str(netrc)}
    if plan.proxy_in_files:
        config = plan.folder / "pip.conf"
        command = plan.command_line.command
        write_private(config, config_without_proxy(here.environ, command).encode())
        variables["PIP_CONFIG_FILE"] = str(config)
    return variables


async def ensure_login(here: Context, index: Index) -> None:
    """Log in before pip starts, so that the prompt does not stand in its progress bar."""
    from crane_cli.context import auth
    from crane_core.errors import LoginNeeded

    async with auth(here) as parts:
        try:
            await parts.broker.access_token(index)
        except LoginNeeded:
            await parts.login.run(index)
