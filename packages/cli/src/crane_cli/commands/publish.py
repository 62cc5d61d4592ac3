"""`crane publish DIST…`: upload wheels and sdists, for whoever has no tool that does."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crane_cli.commands.options import add_json, command
from crane_cli.result import Result
from crane_core.errors import CraneError, Interrupted, NotPublished, NotRegistered, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from crane_cli.context import Context
    from crane_core.clients.in_process import InProcess, Way
    from crane_core.clients.legacy_form import Form
    from crane_core.config.model import Index

DESCRIPTION = """\
Uploads wheels and sdists to a registered index. Every file is checked before any is sent. A file
that the index has already is no error if it is the same.
"""


EXAMPLES = """
crane publish dist/*
crane publish --index firm --skip-existing dist
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    summary = "upload wheels and sdists to an index"
    parser = command(commands, "publish", run, summary, EXAMPLES, description=DESCRIPTION)
    parser.add_argument(
        "files",
        metavar="DIST",
        nargs="+",
        help="a wheel, an sdist, or a folder with them; `.attestation` files go with theirs",
    )
    parser.add_argument("--index", metavar="INDEX", help="name or URL of the index")
    parser.add_argument(
        "--skip-existing",
        action="store_true",
        help="let a file be that the index has under that name with other content",
    )
    parser.add_argument(
        "--index-pages",
        metavar="DIR",
        type=Path,
        help="write each project's page with hashes and metadata there, for a static index",
    )
    add_json(parser)


def run(args: argparse.Namespace, here: Context) -> Result:
    """Publish the files, in their order; the first that fails ends it."""
    from crane_core.clients.in_process import InProcess, Needs

    index = _index(here, args.index)
    forms = _forms([Path(name) for name in args.files], here.prompt.notice)
    if args.index_pages is not None:
        from crane_core.clients.index_pages import require_writable

        require_writable(args.index_pages, {form.distribution.project for form in forms})
    in_process = InProcess(here.paths, here.environ, here.prompt.notice)
    told: list[dict[str, Any]] = []
    with contextlib.closing(in_process):
        way = in_process.way(Needs((index.name,)))
        _ensure_login(here, in_process, way, index)
        with _accounting(told, forms):
            for line in _sent(args, here, way, index, forms):
                told.append(line)  # noqa: PERF402 - an error must find those before it
    lines = [line["text"] for line in told]
    if args.index_pages is not None:
        with _accounting(told, forms):
            lines += _write_pages(args, here, index, _published(told))
    return Result("\n".join(lines), told)


def _index(here: Context, wanted: str | None) -> Index:
    configuration = here.config.load()
    try:
        return configuration.chosen(wanted)
    except NotRegistered as error:
        if not wanted and configuration.indexes:
            # The usual hint is of pip's options.
            error.hint = "name one: --index NAME, or choose: crane index set NAME --default"
        raise


def _published(told: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in told if line["status"] == "published"]


@contextlib.contextmanager
def _accounting(told: Sequence[dict[str, Any]], forms: Sequence[Form]) -> Iterator[None]:
    """Add to any error which files are published all the same, and which were not sent.

    To an interruption, too: a job that is cancelled ends with SIGTERM, a person's with Ctrl-C.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except CraneError as error:
        # An error's answer has no data, with --json neither: its hint has to say it.
        error.hint = _account(told, forms, error.hint)
        raise
    except KeyboardInterrupt:
        under_way = "".join(f" while {form.path.name} was sent" for form in forms[len(told) :][:1])
        hint = "run the command again: what is there already is let be"
        raise Interrupted(f"interrupted{under_way}", hint=_account(told, forms, hint)) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _account(told: Sequence[dict[str, Any]], forms: Sequence[Form], hint: str) -> str:
    said = {
        "published": [line["file"] for line in _published(told)],
        "not sent": [form.path.name for form in forms[len(told) + 1 :]],
    }
    lists = [f"{what}: {', '.join(names)}" for what, names in said.items() if names]
    return "; ".join([hint, *lists] if hint else lists)


def _write_pages(
    args: argparse.Namespace, here: Context, index: Index, told: Sequence[dict[str, Any]]
) -> list[str]:
    import asyncio

    from crane_cli.index_pages import write_pages

    uploaded: dict[str, dict[str, str]] = {}
    for line in told:
        uploaded.setdefault(line["project"], {})[line["file"]] = line["sha256"]
    paths = asyncio.run(write_pages(here, index, uploaded, args.index_pages))
    return [f"wrote {path}" for path in paths]


def _sent(
    args: argparse.Namespace, here: Context, way: Way, index: Index, forms: Sequence[Form]
) -> Iterator[dict[str, Any]]:
    from crane_cli.progress import bytes_sent
    from crane_core.clients.uploader import Uploader

    uploader = Uploader(way, index.upload_url or f"{index.token_prefix}/")
    with contextlib.closing(uploader):
        for form in forms:
            with bytes_sent(form.path.name, form.length) as advance:
                told = uploader.send(form, advance)
            if told.is_other and not args.skip_existing:
                hint = "publish a new version, or let it be: --skip-existing"
                raise NotPublished(told.text, hint=hint)
            if len(forms) > 1 and not args.json:
                here.prompt.notice(told.text)
            what = "skipped" if told.is_other else "published"
            yield {
                "file": form.path.name,
                "project": form.distribution.project,
                "sha256": form.sha256,
                "status": what,
                "text": told.text,
            }


def _forms(paths: Sequence[Path], notice: Callable[[str], None]) -> list[Form]:
    """Read all files, so that a broken one is found before the first is sent."""
    from crane_core.clients.legacy_form import ATTESTATION, form_of

    files = [file for path in paths for file in _files_in(path)]
    attestations = [file for file in files if file.name.endswith(ATTESTATION)]
    found, unused = [], set(attestations)
    for file in files:
        if file not in attestations:
            own = [a for a in attestations if a.name.startswith(f"{file.name}.")]
            unused.difference_update(own)
            found.append(form_of(file, own))
    if not found:
        raise UsageError("no wheel and no sdist is given", hint="run: crane publish dist/*")
    for path in sorted(unused):
        notice(f"{path} is not sent: the file that it attests is not given")
    return found


def _files_in(path: Path) -> list[Path]:
    try:
        if path.is_dir():
            inside = sorted(path.iterdir())
            return [p for p in inside if p.name.endswith((".whl", ".tar.gz", ".attestation"))]
        if not path.exists():
            raise UsageError(f"there is no file {path}", hint="build it first, as with: uv build")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", hint="check the path"
        ) from None
    return [path]


def _ensure_login(here: Context, in_process: InProcess, way: Way, index: Index) -> None:
    if index.name not in in_process.logins_needed(way):
        return
    import asyncio

    from crane_cli.context import ensure_login

    asyncio.run(ensure_login(here, index))
