"""Copies of a database that is in use, and the statistics' way back out of a backup.
It must not open the spool's database in this process, nor replace anything while an actor runs (`maintenance` sees to that).
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

from protocol.errors import SpoolDamaged, SpoolError
from protocol.fsops import RealFs
from protocol.spool.database import publish, remove_attempt
from protocol.spool.places import Places

# Its own process: closing a copy of the file here would drop the locks that our live connection holds (POSIX).
_CODE = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=60); c.execute('VACUUM INTO ?', (sys.argv[2],)); c.close()"


def copy_database(source: Path, target: Path) -> None:
    """A copy of a SQLite database, synced, under its name only when it is whole. Raises SpoolError."""
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
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
    connection = sqlite3.connect(fresh, isolation_level=None)
    try:
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise SpoolDamaged(
                f"the statistics of the backup, {source}, are damaged; remove that file to restore without them"
            )
    except sqlite3.DatabaseError as exc:
        raise SpoolDamaged(
            f"the statistics of the backup, {source}, are damaged; remove that file to restore without them"
        ) from exc
    finally:
        connection.close()
    publish(fresh, places.figures, now)
