"""The archive: everything gathered, then redacted, then packed."""

from __future__ import annotations

import io
import itertools
import json
import traceback
import zipfile
from typing import TYPE_CHECKING, Any

from crane_cli.support import known, sections
from crane_cli.support.sections import Lines
from crane_core.config.model import Configuration
from crane_core.errors import CraneError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from crane_cli.context import Context
    from crane_core.redaction import Redactor

FOLDER = "crane-support"
README = """\
What `crane support-bundle` wrote, for whoever looks into a report about crane.

{names}
Tokens, passwords, names of people and accounts, and what stands behind a ? in an address are taken
out and written as ***. The names of indexes, hosts, projects and groups are not: look at all of it
before you send it, and send it to nobody whom they are not for.
"""
ABOUT = {
    "versions.json": "crane, Python, the system, and what crane stands on",
    "configuration.json": "folders, registered indexes, and whether somebody is logged in",
    "environment.json": "variables that matter; values only where they can hold no secret",
    "cache.json": "how much is cached",
    "doctor.txt": "what crane doctor says",
    "logs/": "the ends of the agents' logs",
}


def gather(here: Context, *, network: bool) -> dict[str, str]:
    """Return the files of a bundle, redacted, by name.

    What cannot be found out says why: a bundle is made when something is wrong.
    """
    configured, problem = _configured(here)
    found = {
        "versions.json": _tried(sections.versions, here),
        "configuration.json": problem or _tried(sections.configuration, here, configured),
        "environment.json": _tried(sections.environment, here),
        "cache.json": _tried(sections.cache, here),
        "doctor.txt": _tried(_doctor, here, configured, network),
        **{f"logs/{name}": lines for name, lines in sections.logs(here)},
    }
    # Last: the checks may have renewed a token.
    redact = known.redactor(here, configured)
    files = {name: _shown(value, redact) for name, value in found.items()}
    return {"README.txt": README.format(names="".join(_listed(files))), **files}


def _shown(value: Any, redact: Redactor) -> str:
    if isinstance(value, str):
        return f"{redact(value)}\n"
    if isinstance(value, Lines):
        return "".join(f"{text}\n" for text in _log(value, redact))
    return json.dumps(redact.data(value), indent=1, ensure_ascii=False) + "\n"


def _log(lines: Lines, redact: Redactor) -> Iterator[str]:
    """Yield a log's records, and what Python writes there, which may take several lines."""
    for is_record, group in itertools.groupby(lines, key=_is_record):
        if is_record:
            yield from (json.dumps(redact.data(json.loads(line))) for line in group)
        else:
            yield redact("\n".join(group))


def _is_record(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _listed(found: dict[str, str]) -> Iterator[str]:
    for name, about in ABOUT.items():
        if any(one.startswith(name) for one in found):
            yield f"{name:20}{about}\n"


def packed(files: dict[str, str]) -> bytes:
    """Return a zip archive of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(f"{FOLDER}/{name}", text)
    return out.getvalue()


def _configured(here: Context) -> tuple[Configuration, str]:
    """Return the configuration, and why it cannot be read if so."""
    try:
        return here.config.load(), ""
    except CraneError as error:
        return Configuration(), error.line


def _doctor(here: Context, configured: Configuration, network: bool) -> str:
    from crane_cli.checkup.walk import look, shown

    text = shown(look(here, configured if network else ()))
    return text if network else f"{text}\n\nindexes were not asked (--no-network)"


def _tried(section: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return section(*arguments)
    except CraneError as error:
        return error.line
    except Exception:  # noqa: BLE001 - what nobody has thought of is what a report is about
        return traceback.format_exc()
