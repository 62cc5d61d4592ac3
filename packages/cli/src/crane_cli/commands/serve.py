"""`crane serve`: an index URL on this machine, for any tool."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import command
from crane_cli.log import FORMATS, logging_events
from crane_cli.result import Result

if TYPE_CHECKING:
    import argparse
    from socket import socket

    from crane_cli.context import Context
    from crane_core.config.model import Index
    from crane_core.errors import PortTaken
    from crane_core.secret import Secret

DEFAULT_PORT = 9999
DESCRIPTION = """\
Serves indexes on a local URL, for any tool, until Ctrl-C.

Without --token every process of yours may use the served indexes, and on systems other than
Linux those of other users on this machine too. With --token the printed URL carries a secret.
"""


EXAMPLES = """
crane serve                      all indexes, at http://127.0.0.1:9999/NAME/simple/
crane serve firm --token -p 0    one of them, with a secret, at a free port
crane serve --offline            from the cache only
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    summary = "serve indexes on a local URL"
    parser = command(commands, "serve", run, summary, EXAMPLES, description=DESCRIPTION)
    parser.add_argument("index", metavar="INDEX", nargs="*", help="names or URLs; all if left out")
    parser.add_argument("-p", "--port", type=int, default=DEFAULT_PORT, help="9999 if left out")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--token", action="store_true", help="ask callers for a secret")
    parser.add_argument(
        "--offline", action="store_true", help="answer from the cache only (CRANE_OFFLINE=1)"
    )
    parser.add_argument(
        "--log-format", choices=FORMATS, default="text", help="of the lines about requests"
    )


def run(args: argparse.Namespace, here: Context) -> Result:
    """Serve until Ctrl-C or SIGTERM."""
    from crane_core.config.model import none_registered
    from crane_core.errors import UsageError
    from crane_core.gateway.server import run as run_loop
    from crane_core.urls import is_loopback

    configuration = here.config.load()
    indexes = [configuration.find(name) for name in args.index] or list(configuration)
    if not indexes:
        raise none_registered()
    if not is_loopback(args.host) and not args.token:
        raise UsageError(
            f"{args.host} can be reached from other machines", hint="add --token, or leave it out"
        )
    if not 0 <= args.port <= 65_535:
        raise UsageError(f"{args.port} is no port", hint="choose one from 1024 to 65535")
    unique = list({index.name: index for index in indexes}.values())
    return Result(exit_code=run_loop(_serve(args, here, unique)))


async def _serve(args: argparse.Namespace, here: Context, indexes: list[Index]) -> int:
    from crane_cli.context import ensure_login
    from crane_cli.gateway import is_offline
    from crane_core.errors import PortTaken
    from crane_core.gateway.server import bind

    try:
        listener = bind(args.host, args.port)
    except PortTaken as error:
        raise await _who_has_it(error, args.host, args.port) from error
    with contextlib.closing(listener):
        # Bound, so that nobody takes the port meanwhile; not yet listening, so that no tool
        # hangs for as long as the login takes.
        if not (args.offline or is_offline(here)):
            for index in indexes:
                await ensure_login(here, index)
        return await _serve_on(listener, args, here, indexes)


async def _serve_on(
    listener: socket, args: argparse.Namespace, here: Context, indexes: list[Index]
) -> int:
    from crane_cli.gateway import my_uids, new_secret, running
    from crane_core.gateway.guard import Guard, loopback_hosts
    from crane_core.urls import is_loopback

    local = is_loopback(args.host)
    port = listener.getsockname()[1]
    secret = new_secret() if args.token else None
    hosts = loopback_hosts(args.host, port) if local else None
    guard = Guard(hosts, secret, my_uids() if local else None)
    stop = _stop_event()
    listener.listen(2048)
    configuration = here.config.load()
    with logging_events(args.log_format) as observe:
        async with running(
            here, configuration, indexes, listener, guard, observe, offline=args.offline
        ) as gateway:
            _announce(args.host, port, indexes, secret)
            waiting = asyncio.create_task(stop.wait())
            await asyncio.wait({waiting, gateway.task}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
    return 0


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    if sys.platform == "win32":
        # No loop signals there; the handler runs in the main thread, between two callbacks.
        # SIGBREAK is Ctrl-Break, and a console whose window is closed (C runtime, `signal`).
        for number in (signal.SIGINT, signal.SIGBREAK):
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    else:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop.set)
    return stop


def _announce(host: str, port: int, indexes: list[Index], secret: Secret | None) -> None:
    shown = f"[{host}]" if ":" in host else host
    # Shown once, where the user asked for it with --token.
    login = f"crane:{secret.reveal()}@" if secret else ""
    base = f"http://{login}{shown}:{port}"
    print(f"Serving index proxy on: {base}", flush=True)
    print(f"  {base}/-/  status", flush=True)
    for index in indexes:
        print(f"  {base}/{index.name}/simple/  {index.url}", flush=True)


async def _who_has_it(error: PortTaken, host: str, port: int) -> PortTaken:
    """Say whether it is crane that has the port."""
    from crane_core.auth.endpoint import get_json
    from crane_core.errors import CraneError, PortTaken
    from crane_core.http import TimeLimits, new_client

    shown = f"[{host}]" if ":" in host else host
    async with new_client(limits=TimeLimits(connect=1, read=1, write=1, pool=1)) as client:
        try:
            answer = await get_json(client, f"http://{shown}:{port}/-/health")
        except CraneError:
            return error
    if answer.payload.get("service") != "crane":
        return error
    return PortTaken(
        f"crane serves on port {port} already", hint="use that one, or choose another with --port"
    )
