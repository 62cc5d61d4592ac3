"""`crane pip …`: any pip command, with a registered index as pip's index."""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import command
from crane_cli.result import Result
from crane_core.errors import InterpreterNotFound, InvalidURL
from crane_core.urls import without_login

if TYPE_CHECKING:
    from crane_cli.context import Context
    from crane_core.clients.interpreter import Pip
    from crane_core.clients.pip import Indexes
    from crane_core.clients.pip_arguments import PipCommand
    from crane_core.config.model import Configuration
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
    prefix = f"{os.getpid()}-{_machine()}-"
    with tempfile.TemporaryDirectory(
        prefix=prefix, dir=here.paths.run, ignore_cleanup_errors=True
    ) as folder:
        plan = make_plan(here, configuration, command_line, pip, Path(folder))
        return Result(exit_code=run_loop(_install(here, configuration, plan)))


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
    files: dict[str, str]

    @property
    def local(self) -> list[str]:
        """The extra indexes that are folders: the user's own files, which pip reads itself."""
        return [url for url in self.indexes.beside if not _is_remote(url)]

    @property
    def remote(self) -> list[str]:
        """The extra indexes that the gateway serves. Raises `InvalidURL` for one with a login."""
        remote = [url for url in self.indexes.beside if _is_remote(url)]
        for url in remote:
            if "@" in url.partition("://")[2].partition("/")[0]:
                raise InvalidURL(
                    f"{without_login(url)} needs a login of its own, which crane does not pass on",
                    hint="register it (crane index register), or call pip itself",
                )
        return remote


def _is_remote(url: str) -> bool:
    return url.lower().startswith(("http://", "https://"))


def make_plan(
    here: Context, configuration: Configuration, command_line: PipCommand, pip: Pip, folder: Path
) -> Plan:
    """Gather all that names an index or proxy: arguments, requirements files, pip's settings."""
    from crane_core.clients.pip import choose_indexes
    from crane_core.clients.pip_requirements import RequirementsRewriter

    rewriter = RequirementsRewriter(folder, here.environ)
    command_line = command_line.with_requirements(rewriter.rewrite)
    command = command_line.command
    files = {
        f"PIP_{name.upper().replace('-', '_')}": " ".join(map(rewriter.rewrite, setting[0].split()))
        for name in ("requirement", "constraint", "build-constraint")
        if (setting := pip.setting(name, command)) is not None
    }
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
    links = [*command_line.find_links, *rewriter.find_links]
    if more := pip.setting("find-links", command):
        links += more[0].split()
    _warn(here, links, rewriter.unseen)
    proxy = pip.setting("proxy", command)
    return Plan(
        pip=pip,
        command_line=command_line,
        indexes=indexes,
        folder=folder,
        proxy=command_line.proxy if command_line.proxy is not None else proxy and proxy[0],
        proxy_in_files=bool(proxy and proxy[1] != ":env:"),
        files=files,
    )


def _warn(here: Context, links: list[str], unseen: list[str]) -> None:
    for name in unseen:
        here.prompt.notice(
            f"crane does not look into {without_login(name)}: an index line in it would count"
        )
    if remote := [link for link in links if "://" in link and not link.startswith("file:")]:
        here.prompt.notice(
            f"pip takes what it likes from {without_login(remote[0])} (--find-links): "
            "crane does not keep private names from there"
        )


async def _install(here: Context, configuration: Configuration, plan: Plan) -> int:
    from crane_cli.context import ensure_login
    from crane_cli.gateway import is_offline, my_uids, new_secret, running
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
    if not is_offline(here):
        await ensure_login(here, index)
    host = loopback_address()
    listener = bind(host, 0)
    port = listener.getsockname()[1]
    secret = new_secret()
    guard = Guard(loopback_hosts(host, port), secret, my_uids())
    # No index can be called like that (config/model.py).
    beside = {f"+{n}": url for n, url in enumerate(plan.remote, start=1)}
    urls = [f"http://{host}:{port}/{name}/simple/" for name in (index.name, *beside)]
    listener.listen(2048)
    async with running(here, configuration, [index], listener, guard, observe, beside):
        environment = child_environment(os.environ, host, urls[0])
        environment |= plan.files | _private_files(here, plan, host, secret)
        arguments = plan.command_line.with_indexes(urls[0], [*urls[1:], *plan.local])
        code = await run_attached([plan.pip.python, "-m", "pip", *arguments], environment)
    # While signals are still caught: here is the gateway's secret.
    shutil.rmtree(plan.folder, ignore_errors=True)
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
