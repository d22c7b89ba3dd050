"""A PostgreSQL server of its own for benches, with its durability as shipped. It measures nothing.

As root the server runs as user `postgres`, since it refuses root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.peers import Absent

SETTINGS = """
listen_addresses = ''
shared_buffers = 256MB
maintenance_work_mem = 256MB
max_wal_size = 4GB
wal_level = minimal
max_wal_senders = 0
"""


def binaries() -> Path:
    """Folder of the programs of the newest server here. Raises Absent."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[4].split(".")[0]))
    on_path = shutil.which("pg_ctl")
    if not found and on_path is None:
        raise Absent("PostgreSQL")
    return found[-1].parent if found else Path(str(on_path)).resolve().parent


@contextmanager
def server(parent: Path | None = None, kept: Path | None = None) -> Iterator[str]:
    """URL of an empty database; the server ends with the `with`, and its folder goes. Raises Absent.

    `kept`: a folder that stays, and with it the database, for the next run.
    """
    programs = binaries()
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
    # A socket's path is short, and root's own folders are closed to the server.
    place = kept or Path(tempfile.mkdtemp(prefix="scanpost-pg", dir=parent or "/tmp"))
    whose: dict[str, Any] = {}
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(place, owner.pw_uid, owner.pw_gid)
        whose = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}

    def run(program: str, *arguments: str) -> None:
        subprocess.run([programs / program, "-D", place / "data", *arguments], cwd="/", check=True, timeout=300,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **whose)  # fmt: skip

    try:
        if not (place / "data" / "PG_VERSION").exists():
            run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C")
            with (place / "data" / "postgresql.conf").open("a") as config:
                config.write(SETTINGS + f"unix_socket_directories = '{place}'\n")
        run("pg_ctl", "-w", "-t", "60", "-l", str(place / "log"), "start")
        try:
            yield f"postgresql://postgres@/postgres?host={place}"
        finally:
            run("pg_ctl", "-w", "-m", "fast", "stop")
    finally:
        if kept is None:
            shutil.rmtree(place, ignore_errors=True)
