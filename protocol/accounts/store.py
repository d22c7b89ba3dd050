"""What all parts of the accounts share: the file, the clock, the audit, rows as records. It must not decide who may what."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from datetime import UTC, datetime

from protocol.accounts import audit
from protocol.accounts.database import Database
from protocol.accounts.records import Preferences, Role, User
from protocol.clock import Clock
from protocol.errors import AccountError
from protocol.records import record

MAX_AGENT = 200  # characters of what a browser calls itself


@record
class Store:
    """The open file with the clock."""

    database: Database
    clock: Clock

    def note(
        self, db: sqlite3.Connection, who: str, address: str, action: str, object: str,
        before: object = None, after: object = None,
    ) -> None:  # fmt: skip
        """An audit entry within the caller's transaction."""
        audit.append(db, self.clock.now(), who, address, action, object, before, after)


def day_time(seconds: float | None) -> str | None:
    """A moment as it stands in the audit: people read it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def digest(token: str) -> bytes:
    """What the file keeps of a token: 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def to_user(row: sqlite3.Row) -> User:
    """A row of `user`, or of a join that has its columns."""
    return User(
        row["name"], Role(row["role"]), bool(row["disabled"]), row["created"], row["last_login"], row["failed"],
        row["password"] is not None, to_preferences(row["preferences"]),
    )  # fmt: skip


def find_user(db: sqlite3.Connection, name: str) -> User:
    """Raises AccountError if there is none."""
    row = db.execute("SELECT * FROM user WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise AccountError(f"there is no user {name[:80]!r}")
    return to_user(row)


def to_preferences(text: str) -> Preferences:
    """As they are kept; what an older or newer version kept otherwise is left out."""
    kept = json.loads(text)
    columns = kept.get("columns", {})
    return Preferences(
        kept.get("theme", "system"), kept.get("time_zone", ""), {key: tuple(value) for key, value in columns.items()}
    )
