"""What hundreds of tests make anew each time, made once in each process: empty spools and ledgers, compiled templates.
The program's own code makes it, so it cannot differ; this file must not know a table or a page.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from functools import cache
from threading import Lock
from types import CodeType
from typing import Any, ClassVar

import jinja2
import pytest
from sqlalchemy import event

CHANGES = "CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE"


class Spools:
    """Stands for `lay_out` of protocol/spool/database.py."""

    def __init__(self, database: Any) -> None:
        self._database, self._lay_out, self._mutex = database, database.lay_out, Lock()
        self._made: dict[str, sqlite3.Connection] = {}

    def __call__(self, connection: sqlite3.Connection) -> None:
        schema = self._database
        key = repr((schema.SCHEMA_VERSION, schema.TABLES, schema.MIGRATIONS))  # tests of the steps exchange them
        with self._mutex:
            if key not in self._made:
                made = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
                self._lay_out(made)
                self._made[key] = made
            self._made[key].backup(connection)


class Ledgers:
    """Stands for `take_steps` of protocol/ledger/migrate.py: on an empty database it repeats what the first one was told."""

    def __init__(self, migrate: Any) -> None:
        self._migrate, self._take_steps = migrate, migrate.take_steps
        self._told: dict[str, list[str]] = {}

    def __call__(self, connection: Any, to: str) -> None:
        kind = connection.dialect.name
        if to != "head" or self._migrate.revision(connection) is not None:
            self._take_steps(connection, to)
        elif kind not in self._told:
            self._told[kind] = self._recorded(connection, to)
        elif kind == "postgresql":
            connection.exec_driver_sql(";".join(self._told[kind]))
        else:
            for statement in self._told[kind]:
                connection.exec_driver_sql(statement)

    def _recorded(self, connection: Any, to: str) -> list[str]:
        told: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            if statement.lstrip().upper().startswith(CHANGES):
                assert not parameters, "what depends on the moment cannot be repeated"
                told.append(statement)

        event.listen(connection, "before_cursor_execute", note)
        try:
            self._take_steps(connection, to)
        finally:
            event.remove(connection, "before_cursor_execute", note)
        return told


class Templates(jinja2.FileSystemLoader):
    """Each template is compiled once, for every application with the same options."""

    _compiled: ClassVar[dict[tuple[str, ...], CodeType]] = {}

    def load(
        self, environment: jinja2.Environment, name: str, globals: MutableMapping[str, Any] | None = None
    ) -> jinja2.Template:
        key = (*self.searchpath, name)
        if key not in self._compiled:
            source, filename, _ = self.get_source(environment, name)
            self._compiled[key] = environment.compile(source, name, filename)
        return environment.template_class.from_code(environment, self._compiled[key], globals or {})


@contextmanager
def ready_made() -> Iterator[None]:
    """Copies instead of making, for whatever the tests have imported."""
    with pytest.MonkeyPatch.context() as patch:
        if database := sys.modules.get("protocol.spool.database"):
            patch.setattr(database, "lay_out", Spools(database))
        if migrate := sys.modules.get("protocol.ledger.migrate"):
            patch.setattr(migrate, "take_steps", Ledgers(migrate))
        if "webgui.app" in sys.modules:
            patch.setattr(jinja2, "FileSystemLoader", Templates)
            assets = sys.modules["webgui.assets"]
            patch.setattr(assets, "_load", cache(assets._load))
        yield
