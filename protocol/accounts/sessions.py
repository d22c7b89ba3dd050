"""Sessions of browsers: opened, found, listed, ended. It must not know cookies, nor hand out a token twice.

The file holds the SHA-256 of a token only, so a copied file opens no session.
"""

from __future__ import annotations

import secrets
import sqlite3

from protocol.accounts.records import Session
from protocol.accounts.store import MAX_AGENT, Store, digest, find_user, to_user
from protocol.errors import AccessDenied, AccountError

IDLE_S = 12 * 3600.0
"""A session ends this long after the last page it asked for: a shift that only watches the live page stays in."""

MAX_S = 7 * 86400.0
"""A session ends this long after the log-in, whatever it does."""

SEEN_STEP_S = 60.0
"""`last_seen` is written at most this often: reading a page must not cost a disk sync each time."""

_SELECT = (
    "SELECT user.*, digest, session.created AS opened, last_seen, expires, address, agent"
    " FROM session JOIN user ON user.name = session.user"
)


class Sessions:
    """All sessions of all users."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def open(self, name: str, address: str = "", agent: str = "") -> str:
        """Start a session for an authenticated user and give its token. Raises AccessDenied if meanwhile disabled."""
        token, now = secrets.token_urlsafe(32), self._store.clock.now()
        with self._store.database.transaction() as db:
            if find_user(db, name).disabled:
                raise AccessDenied(f"{name!r} is disabled")
            db.execute("DELETE FROM session WHERE expires <= ? OR last_seen <= ?", (now, now - IDLE_S))
            db.execute(
                "INSERT INTO session (digest, user, created, last_seen, expires, address, agent) VALUES (?,?,?,?,?,?,?)",
                (digest(token), name, now, now, now + MAX_S, address, agent[:MAX_AGENT]),
            )
            db.execute("UPDATE user SET last_login = ?, failed = 0 WHERE name = ?", (now, name))
            self._store.note(db, name, address, "login", "session")
        return token

    def find(self, token: str, *, touch: bool = True) -> Session | None:
        """The living session of a token, or None. `touch` counts as use; the live feed's re-check does not."""
        rows = self._store.database.rows(f"{_SELECT} WHERE digest = ?", digest(token))
        if not rows or not self._lives(rows[0]):
            return None
        row, now = rows[0], self._store.clock.now()
        if touch and now - row["last_seen"] >= SEEN_STEP_S:
            with self._store.database.transaction() as db:
                db.execute("UPDATE session SET last_seen = ? WHERE digest = ?", (now, row["digest"]))
        return _session(row)

    def list(self, user: str | None = None) -> list[Session]:
        """Living sessions, of one user or of all, the one used last first."""
        where, values = ("", ()) if user is None else (" WHERE user = ?", (user,))
        rows = self._store.database.rows(f"{_SELECT}{where} ORDER BY last_seen DESC", *values)
        return [_session(row) for row in rows if self._lives(row)]

    def close(self, token: str, address: str = "") -> None:
        """End a session by its token; an unknown token is no error."""
        with self._store.database.transaction() as db:
            gone = db.execute("DELETE FROM session WHERE digest = ? RETURNING user", (digest(token),)).fetchall()
            for row in gone:
                self._store.note(db, row["user"], address, "logout", "session")

    def revoke(self, user: str, id: str, *, by: str = "cli", address: str = "") -> None:
        """End one session of a user. Raises AccountError if there is none of that id."""
        with self._store.database.transaction() as db:
            row = db.execute(
                "DELETE FROM session WHERE user = ? AND lower(substr(hex(digest), 1, 16)) = ? RETURNING address",
                (user, id),
            ).fetchone()
            if row is None:
                raise AccountError("there is no such session (any more)")
            self._store.note(db, by, address, "session revoke", user, {"address": row["address"]})

    def revoke_all(self, user: str, *, but: str = "", by: str = "cli", address: str = "") -> int:
        """End all sessions of a user, but for the one of that id; how many there were."""
        with self._store.database.transaction() as db:
            find_user(db, user)
            gone = db.execute(
                "DELETE FROM session WHERE user = ? AND lower(substr(hex(digest), 1, 16)) <> ? RETURNING user",
                (user, but),
            ).fetchall()
            if gone:
                self._store.note(db, by, address, "session revoke", user, {"sessions": len(gone)}, {"sessions": 0})
        return len(gone)

    def _lives(self, row: sqlite3.Row) -> bool:
        return not row["disabled"] and self._store.clock.now() < min(row["expires"], row["last_seen"] + IDLE_S)


def _session(row: sqlite3.Row) -> Session:
    user = to_user(row)
    return Session(
        user, row["opened"], row["last_seen"], row["expires"], row["address"], row["digest"].hex()[:16], row["agent"],
        owner=user.role,
    )  # fmt: skip
