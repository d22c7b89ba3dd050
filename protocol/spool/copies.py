"""Copies of a database that is in use, and the statistics' way back out of a backup.
It must not open the spool's database in this process, nor replace anything while an actor runs (`maintenance` sees to that).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

from protocol.errors import SpoolDamaged, SpoolError
from protocol.fsops import SECRET_MODE, RealFs
from protocol.spool.database import publish, remove_attempt
from protocol.spool.places import Places

# Its own process: closing a copy of the file here would drop the locks that our live connection holds (POSIX).
_CODE = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=60); c.execute('VACUUM INTO ?', (sys.argv[2],)); c.close()"


def copy_database(source: Path, target: Path) -> None:
    """A copy of a SQLite database, synced, under its name only when it is whole, and closed to whom it is. Raises SpoolError."""
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    _make_empty(part, stat.S_IMODE(source.stat().st_mode))
    done = subprocess.run(
        [sys.executable, "-c", _CODE, str(source), str(part)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        part.unlink(missing_ok=True)
        said = done.stderr.strip().splitlines()
        raise SpoolError(f"the backup failed: {said[-1] if said else 'unknown'}")
    fs = RealFs()
    fs.sync_file(part)  # VACUUM INTO does not sync
    fs.rename(part, target)
    fs.sync_dir(target.parent)


def _make_empty(path: Path, mode: int) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))


def ready_copy(source: Path, target: Path) -> Path:
    """What a backup has for `target`, beside it and synced, to be published."""
    fresh = target.with_name(f"{target.name}.restoring")
    remove_attempt(fresh)
    _make_empty(fresh, SECRET_MODE)
    shutil.copyfile(source, fresh)
    RealFs().sync_file(fresh)
    return fresh


def is_sound(database: Path) -> bool:
    """SQLite's own quick check of a file that nobody has open."""
    connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
    try:
        return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.DatabaseError:
        return False
    finally:
        connection.close()


def put_back_figures(home: Path, folder: Path, now: float) -> None:
    """The statistics of a backup in place of those that are there, which are kept beside them; a backup without leaves them.

    They go on where the restored outbox does, so that each event counts once. Raises SpoolDamaged.
    """
    places = Places(home)
    source = folder / places.figures.name
    if not source.exists():
        return
    fresh = places.figures.with_name(f"{places.figures.name}.restoring")
    remove_attempt(fresh)
    shutil.copyfile(source, fresh)
    if not is_sound(fresh):
        raise SpoolDamaged(
            f"the statistics of the backup, {source}, are damaged; remove that file to restore without them"
        )
    RealFs().sync_file(fresh)
    publish(fresh, places.figures, now)
