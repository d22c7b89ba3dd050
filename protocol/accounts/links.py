"""One-time links: the first admin's, and those by which a user sets a password. It must not know addresses of pages.

An admin makes a link and hands it over; nobody but the user ever knows the password.
"""

from __future__ import annotations

import secrets
import sqlite3

from protocol.accounts.passwords import Passwords, check_name
from protocol.accounts.records import Role, User
from protocol.accounts.store import Store, day_time, digest, find_user
from protocol.errors import AccessDenied, AccountError

VALID_S = 86400.0
"""A link works for a day."""

_NOT_VALID = "this link is not valid (any more)"


class Links:
    """Links of users that exist, and the one that makes the first."""

    def __init__(self, store: Store, passwords: Passwords) -> None:
        self._store, self._passwords = store, passwords

    def make(self, user: str, *, by: str = "cli", address: str = "") -> str:
        """A new link's token for this user; it replaces the former one. The password works on until it is used.

        Raises AccountError, also for a disabled user.
        """
        token, expires = secrets.token_urlsafe(32), self._store.clock.now() + VALID_S
        with self._store.database.transaction() as db:
            if find_user(db, user).disabled:
                raise AccountError(f"{user!r} is disabled: enable the user first")
            db.execute(
                "INSERT OR REPLACE INTO link (user, digest, expires) VALUES (?,?,?)", (user, digest(token), expires)
            )
            self._store.note(db, by, address, "user link", user, None, {"expires": day_time(expires)})
        return token

    def user_of(self, token: str) -> str | None:
        """Whose link this is, if it works now."""
        rows = self._store.database.rows(
            "SELECT link.user FROM link JOIN user ON user.name = link.user"
            " WHERE digest = ? AND expires > ? AND NOT disabled",
            digest(token), self._store.clock.now(),
        )  # fmt: skip
        return str(rows[0]["user"]) if rows else None

    def use(self, token: str, password: str, *, address: str = "") -> User:
        """Set the password; the link is used up and all sessions end. Raises AccessDenied (bad link), AccountError."""
        name = self.user_of(token)
        if name is None:
            raise AccessDenied(_NOT_VALID)
        encoded = self._passwords.hash(password, name)
        with self._store.database.transaction() as db:
            now = self._store.clock.now()
            gone = db.execute("DELETE FROM link WHERE digest = ? AND expires > ? RETURNING user", (digest(token), now))
            user = find_user(db, name)
            if gone.fetchone() is None or user.disabled:
                raise AccessDenied(_NOT_VALID)
            db.execute("UPDATE user SET password = ?, failed = 0 WHERE name = ?", (encoded, name))
            db.execute("DELETE FROM session WHERE user = ?", (name,))
            self._store.note(db, name, address, "user passwd", name, None, {"by": "link"})
        return user

    # The first run

    def needs_setup(self) -> bool:
        """Whether there is no admin yet."""
        return not self._store.database.rows("SELECT 1 FROM user WHERE role = 'admin' LIMIT 1")

    def setup(self) -> str | None:
        """A new one-time token that makes the first admin; it replaces the former one. None once an admin exists."""
        token = secrets.token_urlsafe(32)
        with self._store.database.transaction() as db:
            if _has_admin(db):
                return None
            db.execute(
                "INSERT OR REPLACE INTO setup (only, digest, expires) VALUES (1, ?, ?)",
                (digest(token), self._store.clock.now() + VALID_S),
            )
        return token

    def is_setup(self, token: str) -> bool:
        """Whether `use_setup` would take this token now."""
        rows = self._store.database.rows("SELECT * FROM setup")
        return bool(rows) and self._fits_setup(rows[0], token) and self.needs_setup()

    def use_setup(self, token: str, name: str, password: str, *, address: str = "") -> User:
        """Make the first admin; the token is used up. Raises AccessDenied (bad token) or AccountError (bad input)."""
        if not self.is_setup(token):
            raise AccessDenied("this setup link is not valid (any more)")
        check_name(name)
        encoded = self._passwords.hash(password, name)
        with self._store.database.transaction() as db:
            row = db.execute("SELECT * FROM setup").fetchone()
            if row is None or not self._fits_setup(row, token) or _has_admin(db):
                raise AccessDenied("this setup link is not valid (any more)")
            db.execute("DELETE FROM setup")
            user = insert_user(db, User(name, Role.ADMIN, False, self._store.clock.now()), encoded)
            self._store.note(db, name, address, "setup", name, None, {"role": user.role})
        return user

    def _fits_setup(self, row: sqlite3.Row, token: str) -> bool:
        return secrets.compare_digest(row["digest"], digest(token)) and self._store.clock.now() < row["expires"]


def insert_user(db: sqlite3.Connection, user: User, encoded: str | None) -> User:
    """Add the row; the user itself. Raises AccountError if the name is taken."""
    if db.execute("SELECT 1 FROM user WHERE name = ?", (user.name,)).fetchone():
        raise AccountError(f"there is a user {user.name!r} already")
    db.execute(
        "INSERT INTO user (name, role, password, disabled, created) VALUES (?,?,?,0,?)",
        (user.name, user.role, encoded, user.created),
    )
    return user


def _has_admin(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM user WHERE role = 'admin'").fetchone() is not None
