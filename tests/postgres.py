"""A real PostgreSQL server in a folder of its own, for tests: no TCP port, only a socket, nothing left behind.

As root the server runs as user `postgres` (it refuses root), in a folder that this user can reach.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg2
import pytest

from protocol.ledger.record import lock_key

_SETTINGS = """
listen_addresses = ''
shared_buffers = 16MB
max_connections = 40
fsync = off
autovacuum = off
log_min_messages = fatal
"""  # the page cache survives every way in which a test stops the server


def binaries():
    """Folder of initdb and pg_ctl of the newest PostgreSQL here, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[4].split(".")[0]))
    if found:
        return found[-1].parent
    on_path = shutil.which("pg_ctl")
    return Path(on_path).resolve().parent if on_path else None


def session_ended(url, node):
    """Wait until no session has the lock of this node's bookkeeper: a session ends a moment after who had it is gone.

    Does nothing for SQLite and for a server that is away.
    """
    if not url.startswith("postgresql"):
        return
    try:
        connection = psycopg2.connect(url)
    except psycopg2.OperationalError:
        return
    end = time.monotonic() + 60
    try:
        with connection.cursor() as cursor:
            while True:
                cursor.execute("SELECT pg_try_advisory_lock(%s)", [lock_key(node)])
                if cursor.fetchone()[0]:
                    cursor.execute("SELECT pg_advisory_unlock_all()")
                    return
                assert time.monotonic() < end, f"another session has the lock of {node}"
                time.sleep(0.02)
    finally:
        connection.close()


def require_postgres():
    """Skip the test on a desk without PostgreSQL; in CI (CI=true) that is a failure."""
    if binaries() is None:
        reason = "no PostgreSQL server is installed (apt install postgresql)"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)


class PostgresServer:
    """`folder` keeps its log; data and socket stand in a folder with a short name that `close` removes."""

    def __init__(self, folder):
        require_postgres()
        self._bin = binaries()
        self._log = Path(folder) / "postgres.log"
        self._place = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
        self._as = {}
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self._place, owner.pw_uid, owner.pw_gid)
            self._as = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        self._run("initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C")
        with (self._place / "data" / "postgresql.conf").open("a") as config:
            config.write(_SETTINGS + f"unix_socket_directories = '{self._place}'\n")
        self._databases, self._shared = 0, None
        self.start()

    @property
    def url(self):
        """The server's first database, in the form that people write into scanpost.toml."""
        return f"postgresql://postgres@/postgres?host={self._place}"

    def database(self, options=""):
        """URL of a new, empty database, made with these options."""
        self._databases += 1
        name = f"test{self._databases}"
        self.execute(f"CREATE DATABASE {name} {options}")
        return f"postgresql://postgres@/{name}?host={self._place}"

    def emptied(self):
        """URL of one database for many tests, emptied each time: much cheaper than a new one.

        Waits until the sessions of the test before have ended: their locks go with them.
        """
        if self._shared is None:
            self._shared = self.database()
        self.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
            self._shared,
        )
        self.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public", self._shared)
        return self._shared

    def execute(self, statement, url=None):
        """Run one statement as superuser."""
        connection = psycopg2.connect(url or self.url)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()

    def start(self):
        """Return when it answers."""
        self._run("pg_ctl", "-w", "-t", "60", "-l", str(self._place / "log"), "start")

    def stop(self, mode="immediate"):
        """`immediate` is a crash: connections are cut, the next start recovers. Does nothing if it is stopped."""
        if (self._place / "data" / "postmaster.pid").exists():
            self._run("pg_ctl", "-w", "-m", mode, "stop")

    def close(self):
        """Stop it and remove everything but the log."""
        self.stop()
        if (self._place / "log").exists():
            shutil.copyfile(self._place / "log", self._log)
        shutil.rmtree(self._place, ignore_errors=True)

    def _run(self, program, *arguments):
        done = subprocess.run(
            [self._bin / program, "-D", self._place / "data", *arguments], cwd="/", stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            timeout=120, **self._as,
        )  # fmt: skip
        assert done.returncode == 0, f"{program} failed: {done.stderr or self._place / 'log'}"
