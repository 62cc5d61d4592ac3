"""`crane doctor`: the way to an index step by step, or whether a tool's requests come to crane."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import add_json, command
from crane_cli.findings import Finding
from crane_cli.result import Result
from crane_core.errors import CraneError, ToolNotServed, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from crane_cli.context import Context
    from crane_core.clients.probes import Probe
    from crane_core.config.model import Configuration, Index
    from crane_core.gateway.trail import Trail

DESCRIPTION = """\
Says what works and what does not, one line each with what to do: ✓ good, ! could be better, ✗ bad.

With the name or URL of a registered index, or with nothing for all of them: this machine, the
network, TLS, the clock, the identity provider, the login, and what the index gives. Nobody is asked
to log in, and no token is shown.

With a tool: it asks a registered index for one page, as `crane run` would let it. crane knows pip,
uv, Poetry, PDM, curl and wget; give any other tool the arguments with which it asks your index:
crane doctor -- TOOL ARGUMENT …
"""
EXAMPLES = """
crane doctor                    every registered index
crane doctor firm --json        one of them
crane doctor poetry             whether a tool comes to crane
crane doctor -- npm view left-pad
"""
LIMIT = 120.0  # seconds for the tool
INDEX_ROUTE = "run: crane serve {index}, and give the tool the URL that it prints"


def add_parser(commands: Any) -> None:
    """Add the command; what follows a tool's name is its own."""
    summary = "find out why an index or a tool does not work"
    parser = command(commands, "doctor", run, summary, EXAMPLES, description=DESCRIPTION)
    parser.add_argument("--index", metavar="INDEX", help="the index for a tool; else the first one")
    add_json(parser)
    parser.add_argument("what", metavar="INDEX|TOOL", nargs="?", help="an index, or a tool")
    parser.add_argument("arguments", metavar="ARGUMENT", nargs="*", help="of the tool, behind --")


def run(args: argparse.Namespace, here: Context) -> Result:
    """Look at indexes, or at a tool; the exit code is that of the first line that is bad."""
    from crane_core.config.model import none_registered

    try:
        configuration = here.config.load()
    except CraneError:
        if args.what is not None:
            raise
        return _look_at_indexes(here, ())  # the machine's first line says what is wrong
    if not configuration.indexes:
        raise none_registered()
    if args.what is None or (_is_index(configuration, args.what) and not args.arguments):
        name = args.what or args.index
        return _look_at_indexes(here, [configuration.find(name)] if name else configuration)
    return _look_at_tool(args, here, configuration)


def _is_index(configuration: Configuration, what: str) -> bool:
    return what in configuration.indexes or "://" in what


def _look_at_indexes(here: Context, indexes: Iterable[Index]) -> Result:
    from crane_cli.checkup.walk import look, shown

    sections = look(here, indexes)
    everything = [finding for _, found in sections for finding in found]
    code = next((f.exit_code for f in everything if f.state == "bad"), 0)
    data = {
        "sections": [
            {"about": title, "findings": [finding.to_json() for finding in found]}
            for title, found in sections
        ]
    }
    return Result(shown(sections), data, code)


def _look_at_tool(args: argparse.Namespace, here: Context, configuration: Configuration) -> Result:
    """Let the tool ask, and look how far it came."""
    from crane_core.clients.handover import find_command
    from crane_core.clients.probes import Probe, known_tools, probe_of

    tool = args.what
    index = configuration.find(args.index) if args.index else next(iter(configuration))
    probe = Probe(tuple(args.arguments)) if args.arguments else probe_of(tool, index.url)
    if probe is None:
        raise UsageError(
            f"no index is named {tool}, and what a tool of that name could ask is not known",
            hint=f"it is for {', '.join(known_tools())}; for others run: "
            f"crane doctor -- {tool} ARGUMENT … with {index.url}",
        )
    program = find_command(tool, here.environ)
    in_place = bool(args.arguments)
    trail, said = _ask(here, configuration, index, program, probe, in_place=in_place)
    findings = list(findings_of(tool, index, trail, said))
    good = all(finding.state != "bad" for finding in findings)
    data = {
        "index": index.name,
        "tool": tool,
        "program": program,
        "findings": [finding.to_json() for finding in findings],
    }
    text = "\n".join(finding.line for finding in findings)
    return Result(text, data, 0 if good else ToolNotServed.exit_code)


def _ask(
    here: Context,
    configuration: Configuration,
    index: Index,
    program: str,
    probe: Probe,
    *,
    in_place: bool,
) -> tuple[Trail, str]:
    """Let the tool ask in a view of its own; return what came of it, and the tool's last line."""
    from crane_cli.commands.run import ensure_logins, prepared
    from crane_core.gateway.views import Wish

    with prepared(here, Wish(indexes=(index.name,), owner=os.getpid())) as ready:
        ensure_logins(here, configuration, ready, [index], [index])
        environ = {**ready.environ, **probe.variables}
        with tempfile.TemporaryDirectory(prefix="crane-doctor-") as folder:
            for name, content in probe.files.items():
                Path(folder, name).write_text(content, encoding="utf-8")
            place = None if in_place else folder
            said = _run([program, *probe.arguments], environ, place)
        return ready.agent.trail(ready.view.opened.name), said


def _run(arguments: Sequence[str], environ: Mapping[str, str], folder: str | None) -> str:
    """Run the tool and return the last line that it said, whatever came of it."""
    try:
        done = subprocess.run(
            arguments, env=dict(environ), cwd=folder, check=False, timeout=LIMIT, text=True,
            errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"it did not end within {LIMIT:.0f} seconds"
    except OSError as error:
        return error.strerror or str(error)
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {done.returncode}"


def findings_of(tool: str, index: Index, trail: Trail, said: str) -> Iterator[Finding]:
    """Yield what a trail says of a tool; `said` is the tool's last line."""
    from crane_core.text import visible

    route = INDEX_ROUTE.format(index=index.name)
    heard = f"{tool} said: {visible(said)[:300]}"
    if not trail.tunnels and not trail.requests:
        yield Finding(
            "bad",
            f"{tool} did not come to crane for {index.url}: it reads no HTTPS_PROXY, or its own "
            "settings name another proxy, other indexes or an exception for this host",
            f"take these out of its settings, or {route}",
        )
        yield Finding("warning", heard)
        return
    yield Finding("good", f"{tool} comes to crane for {index.url}")
    if not trail.requests:
        reason = f" ({trail.no_tls})" if trail.no_tls else ""
        yield Finding(
            "bad",
            f"{tool} does not trust crane's certificate{reason}: it reads no SSL_CERT_FILE, has a "
            "store of certificates of its own, or knows the server's certificate beforehand",
            f"let its own setting name the file of SSL_CERT_FILE, or {route}",
        )
        yield Finding("warning", heard)
        return
    yield Finding("good", f"{tool} trusts crane's certificate")
    count = f"{trail.requests} request" + ("s" if trail.requests > 1 else "")
    yield Finding("good", f"{tool} asked {index.name}: {count}, with your login added by crane")
    if trail.no_tls:
        yield Finding(
            "warning",
            f"one of its connections did not trust crane's certificate ({trail.no_tls})",
            f"if {tool} fails, {route}",
        )
