"""The configuration file: TOML that a person may edit, rewritten with their comments kept."""

from __future__ import annotations

import contextlib
import os
import tomllib
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from crane_core import platform
from crane_core.config.model import Configuration, Index
from crane_core.errors import (
    ConfigBroken,
    CraneError,
    StorageBusy,
    UnsafePermissions,
    UsageError,
)
from crane_core.files import PRIVATE_FILE, private_folder, storage_errors, write_private
from crane_core.sharing import patiently

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOCK_SECONDS = 10.0
HEADER = """\
# What crane knows of your package indexes. Made by `crane index register`; yours to edit.
"""
_DEFAULTS = {f.name: f.default for f in fields(Index)}
_KEYS = {name.replace("_", "-"): name for name in _DEFAULTS if name != "name"}
_LIST_KEYS = {key for key, name in _KEYS.items() if isinstance(_DEFAULTS[name], tuple)}
_BOOL_KEYS = {key for key, name in _KEYS.items() if isinstance(_DEFAULTS[name], bool)}


class ConfigStore:
    """Reads and writes one configuration file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Configuration:
        """Return what is registered; nothing if there is no file.

        Raises `ConfigBroken` with file, line and reason, or `NotWritable` if unreadable.
        """
        return self._parse(self._text())

    def save(self, index: Index, *, replacing: str | None = None) -> None:
        """Add or replace one index, and leave every other line as the user wrote it.

        `replacing` names the entry that this one takes the place of, if its name changes. Raises
        `ConfigBroken` rather than overwrite what it cannot read.
        """
        with self._locked():
            text = self._text()
            configuration = self._parse(text)
            gone = None if replacing == index.name else replacing
            if gone is not None:
                configuration = configuration.without(gone)
            taken = configuration.indexes.get(index.name)
            if taken is not None and index.name != replacing and taken.url != index.url:
                raise UsageError(
                    f"{index.name} names {taken.url} already", hint="choose another --name"
                )
            wanted = configuration.with_index(index)

            def change(tables: Any) -> None:
                if gone is not None:
                    tables.pop(gone, None)
                for other in wanted:
                    if other != configuration.indexes.get(other.name):
                        _update(tables, other, configuration.indexes.get(other.name))

            self._write(text, wanted, change)

    def remove(self, name: str) -> None:
        """Take one index out."""
        with self._locked():
            text = self._text()
            wanted = self._parse(text).without(name)
            self._write(text, wanted, lambda tables: tables.pop(name, None))

    def _write(self, text: str, wanted: Configuration, change: Callable[[Any], object]) -> None:
        changed = _changed(text, change)
        try:
            faithful = changed is not None and self._parse(changed) == wanted
        except ConfigBroken:
            faithful = False
        # A linked file, as from a folder of dotfiles, stays linked.
        content = changed if faithful and changed is not None else _anew(wanted)
        write_private(self.path.resolve(), content.encode())

    def _text(self) -> str:
        with storage_errors(self.path):
            try:
                file = patiently(lambda: self.path.open("rb"))
            except FileNotFoundError:
                return ""
            with file:
                status, content = os.fstat(file.fileno()), file.read()
        # Who writes here decides where the next login goes.
        if not platform.owned_by_me_or_root(status):
            raise UnsafePermissions(
                f"{self.path} belongs to another user",
                hint="remove it, or set CRANE_HOME elsewhere",
            )
        if platform.writable_by_others(status):
            raise UnsafePermissions(
                f"{self.path} can be changed by other users", hint=f"run: chmod go-w '{self.path}'"
            )
        try:
            return content.decode("utf-8-sig")  # editors on Windows may put a mark before it
        except UnicodeDecodeError as error:
            raise self._broken(f"not UTF-8 at byte {error.start}") from None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other crane processes from writing between our reading and writing."""
        from filelock import FileLock, Timeout

        with storage_errors(self.path):
            private_folder(self.path.parent)
            try:
                lock = FileLock(f"{self.path}.lock", timeout=LOCK_SECONDS, mode=PRIVATE_FILE)
                lock.acquire()
            except Timeout:
                raise StorageBusy(
                    f"another crane process keeps {self.path} locked", hint="end it, then try again"
                ) from None
        try:
            yield
        finally:
            lock.release()

    def _parse(self, text: str) -> Configuration:
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise self._broken(str(error)) from None
        tables = data.get("index", {})
        if not isinstance(tables, dict):
            raise self._broken("[index] is not a table of indexes")
        indexes = {name: self._index(text, name, table) for name, table in tables.items()}
        return Configuration(indexes)

    def _index(self, text: str, name: str, table: Any) -> Index:
        line = _line_of(text, name)
        if not isinstance(table, dict) or "url" not in table:
            raise self._broken(f"index {name!r} has no url", line)
        for key, value in table.items():
            if problem := _problem(key, value):
                raise self._broken(f"index {name!r}: {problem}", line)
        values = {_KEYS[key]: value for key, value in table.items()}
        values["private"] = tuple(values.get("private", ()))
        try:
            index = Index(name=name, **values)
        except CraneError as error:
            raise self._broken(f"index {name!r}: {error.message}", line) from error
        if index.issuer is None and None in {
            index.token_endpoint,
            index.device_authorization_endpoint,
        }:
            raise self._broken(f"index {name!r} has no issuer, nor both endpoints", line)
        return index

    def _broken(self, reason: str, line: int | None = None) -> ConfigBroken:
        where = f"{self.path}:{line}" if line else str(self.path)
        return ConfigBroken(
            f"{where}: {reason}", hint="correct the file, then run the command again"
        )


def _problem(key: str, value: Any) -> str | None:
    if key not in _KEYS:
        return f"unknown key {key!r}"
    if key in _LIST_KEYS:
        good = isinstance(value, list) and all(isinstance(item, str) for item in value)
        return None if good else f"{key} is not a list of strings"
    if key in _BOOL_KEYS:
        return None if isinstance(value, bool) else f"{key} is not true or false"
    return None if isinstance(value, str) and value else f"{key} is not a string"


def _line_of(text: str, name: str) -> int | None:
    headers = (f"[index.{name}]", f'[index."{name}"]', f"[index.'{name}']")
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip().startswith(headers):
            return number
    return None


def _changed(text: str, change: Callable[[Any], object]) -> str | None:
    """Return the text with its tables changed in place, None for the rare forms that cannot be.

    Those are inline tables and dotted keys; they are written anew.
    """
    from tomlkit.exceptions import TOMLKitError

    try:
        document, tables = _document(text)
        change(tables)
        return str(document.as_string())
    except (TOMLKitError, ValueError, TypeError, KeyError):
        return None


def _document(text: str) -> tuple[Any, Any]:
    import tomlkit

    document = tomlkit.parse(text or HEADER)
    if "index" not in document:
        document["index"] = tomlkit.table(is_super_table=True)
    return document, document["index"]


def _update(tables: Any, index: Index, before: Index | None) -> None:
    """Change a table where the index differs from what the file said before."""
    import tomlkit

    if before is None:
        tables[index.name] = tomlkit.table()
    table = tables[index.name]
    for key, attribute in _KEYS.items():
        value, default = getattr(index, attribute), _DEFAULTS[attribute]
        if value == (getattr(before, attribute) if before else default):
            continue
        if value == default:
            # A default is not written, so that a later default reaches everybody.
            table.pop(key, None)
        else:
            table[key] = list(value) if isinstance(value, tuple) else value


def _anew(configuration: Configuration) -> str:
    document, tables = _document("")
    for index in configuration:
        _update(tables, index, None)
    return str(document.as_string())
