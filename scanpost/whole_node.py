"""What belongs to a node besides its spool, copied into a backup and put back: configuration, accounts, a ledger in SQLite.
It must not touch the spool (`maintenance` does), nor replace anything while an actor runs.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from protocol.errors import SpoolDamaged, SpoolError
from protocol.fsops import FOLDER_MODE, RealFs
from protocol.spool.copies import copy_database, is_sound, ready_copy
from protocol.spool.database import publish, remove_attempt
from protocol.spool.maintenance import refuse_running
from protocol.spool.places import Places

CONFIG, ACCOUNTS, LEDGER = "config", "accounts.sqlite3", "ledger.sqlite3"
_SQLITE = "sqlite:///"
_UNFINISHED = ".restoring"
"""In a configuration that is being put back: without it a part would be taken for the node's own."""


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
        part = folder / f"{CONFIG}.part"
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(config, part, ignore=shutil.ignore_patterns(".*"))
        _sync(part)
        part.rename(folder / CONFIG)
        RealFs().sync_dir(folder)
        copied.append(folder / CONFIG)
    return copied


def _sync(folder: Path) -> None:
    fs = RealFs()
    for one in (*folder.rglob("*"), folder):
        if one.is_dir():
            fs.sync_dir(one)
        elif one.is_file():
            fs.sync_file(one)


def _copied(source: Path, target: Path) -> list[Path]:
    if not source.exists():
        return []
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise SpoolError(f"{target} exists; name an empty folder")
    copy_database(source, target)
    return [target]


def must_be_sound(folder: Path) -> None:
    """Before anything is put back. Raises SpoolDamaged for the first database of a backup that is damaged."""
    for name in ("spool.sqlite3", "figures.sqlite3", ACCOUNTS, LEDGER):
        if (folder / name).exists() and not is_sound(folder / name):
            without = "" if name == "spool.sqlite3" else "; take it out of the backup to restore without it"
            raise SpoolDamaged(f"{folder / name} is damaged{without}")


def put_back_config(home: Path, folder: Path) -> bool:
    """First of all: what else is put back may depend on it. A node that has a configuration keeps its own: False."""
    refuse_running(home, RealFs())
    config, source = Places(home).config, folder / CONFIG
    if not source.exists():
        return False
    unfinished = config / _UNFINISHED
    if not unfinished.exists() and any(one.is_file() for one in config.rglob("*")):
        return False
    config.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    unfinished.touch()
    RealFs().sync_dir(config)  # a power cut must not leave some of the rest without it
    shutil.copytree(source, config, dirs_exist_ok=True)
    _sync(config)
    unfinished.unlink()
    RealFs().sync_dir(config)
    return True


def put_back_rest(home: Path, folder: Path, url: str, now: float) -> list[Path]:
    """Accounts and ledger of a backup, as far as it has them; what was there is kept beside them. Neither is replaced before both
    are there.
    """
    refuse_running(home, RealFs())
    ready: dict[Path, Path] = {}
    try:
        for source, target in ((folder / ACCOUNTS, home / ACCOUNTS), (folder / LEDGER, ledger_file(url))):
            if target is not None and source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                ready[target] = ready_copy(source, target)
    except OSError:
        for fresh in ready.values():
            remove_attempt(fresh)
        raise
    for target, fresh in ready.items():
        publish(fresh, target, now)
    return list(ready)


def lacking(folder: Path, url: str) -> list[str]:
    """What a whole backup would have and this one does not."""
    names = (CONFIG, ACCOUNTS, *((LEDGER,) if ledger_file(url) is not None else ()))
    return [name for name in names if not (folder / name).exists()]
