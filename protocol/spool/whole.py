"""What belongs to a node besides its spool, copied into a backup and put back: configuration, accounts, a ledger in SQLite.
It must not touch the spool (`maintenance` does), nor replace anything while an actor runs.
"""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from protocol.errors import SpoolDamaged, SpoolError
from protocol.fsops import RealFs
from protocol.spool.copies import copy_database
from protocol.spool.database import publish, remove_attempt
from protocol.spool.maintenance import refuse_running
from protocol.spool.places import Places

CONFIG, ACCOUNTS, LEDGER = "config", "accounts.sqlite3", "ledger.sqlite3"
_SQLITE = "sqlite:///"


def ledger_file(url: str) -> Path | None:
    """The file of a ledger; None: a server has it."""
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None


def copy_ledger(url: str, folder: Path) -> list[Path]:
    """Before the spool is copied: what the copy lacks then stands in the copy of the outbox."""
    file = ledger_file(url)
    return _copied(file, folder / LEDGER) if file is not None else []


def copy_rest(home: Path, folder: Path) -> list[Path]:
    """The accounts with the audit, after the spool: they may know more than that, never less; and the configuration."""
    copied, config = _copied(home / ACCOUNTS, folder / ACCOUNTS), Places(home).config
    if config.exists():
        shutil.copytree(config, folder / CONFIG, ignore=shutil.ignore_patterns(".*"))
        copied.append(folder / CONFIG)
    return copied


def _copied(source: Path, target: Path) -> list[Path]:
    if not source.exists():
        return []
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise SpoolError(f"{target} exists; name an empty folder")
    copy_database(source, target)
    return [target]


def put_back_config(home: Path, folder: Path) -> bool:
    """First of all: what else is put back may depend on it. A node that has a configuration keeps its own: False."""
    refuse_running(home, RealFs())
    config, source = Places(home).config, folder / CONFIG
    if not source.exists():
        return False
    if config.exists() and any(one.is_file() for one in config.rglob("*")):
        return False
    shutil.copytree(source, config, dirs_exist_ok=True)
    return True


def put_back_rest(home: Path, folder: Path, url: str, now: float) -> list[Path]:
    """Accounts and ledger of a backup, as far as it has them; what was there is kept beside them. Raises SpoolDamaged."""
    refuse_running(home, RealFs())
    back = []
    for source, target in ((folder / ACCOUNTS, home / ACCOUNTS), (folder / LEDGER, ledger_file(url))):
        if target is not None and source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = target.with_name(f"{target.name}.restoring")
            remove_attempt(fresh)
            shutil.copyfile(source, fresh)
            _must_be_sound(fresh, source)
            publish(fresh, target, now)
            back.append(target)
    return back


def _must_be_sound(fresh: Path, source: Path) -> None:
    connection = sqlite3.connect(fresh, isolation_level=None)
    try:
        sound = connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
    except sqlite3.DatabaseError:
        sound = False
    finally:
        connection.close()
    if not sound:
        fresh.unlink()
        raise SpoolDamaged(f"{source} is damaged; take it out of the backup to restore without it")
