"""Users, sessions and the setup link over accounts.sqlite3. It must not know HTTP, nor keep a secret in clear.

Every change is one transaction together with its audit entry. Passwords are hashed before the transaction starts.
Session and setup tokens are 256 random bits; the file holds their SHA-256 only, so a copied file opens no session.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from pathlib import Path

from protocol.accounts import audit
from protocol.accounts.database import Database
from protocol.accounts.passwords import Passwords, check_name
from protocol.accounts.records import AuditEntry, Role, Session, User
from protocol.clock import Clock, SystemClock
from protocol.errors import AccessDenied, AccountError

SESSION_IDLE_S = 12 * 3600.0
"""A session ends this long after the last page it asked for: a shift that only watches the live page stays in."""

SESSION_MAX_S = 7 * 86400.0
"""A session ends this long after the log-in, whatever it does."""

SETUP_VALID_S = 86400.0
"""The setup link works for a day; `scanpost up` shows a new one."""

_SEEN_STEP_S = 60.0
"""`last_seen` is written at most this often: reading a page must not cost a disk sync each time."""


class Accounts:
    """All accounts of one node. Safe to use from several threads."""

    def __init__(self, path: Path, clock: Clock | None = None, passwords: Passwords | None = None) -> None:
        """Opens (creates, migrates) the file. Raises AccountError if it cannot be used."""
        self._clock = clock or SystemClock()
        self._passwords = passwords or Passwords()
        self._database = Database(path)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # Users

    def add_user(self, name: str, role: Role | str, password: str, *, by: str = "cli", address: str = "") -> User:
        """Add a user. Raises AccountError for a bad name, role or password, or if the name is taken."""
        check_name(name)
        user = User(name, _role(role), False, self._clock.now())
        encoded = self._passwords.hash(password)
        with self._database.transaction() as db:
            self._insert_user(db, user, encoded)
            self._note(db, by, address, "user add", name, None, {"role": user.role})
        return user

    def list_users(self) -> list[User]:
        """All users by name."""
        return [_user(row) for row in self._database.rows("SELECT * FROM user ORDER BY name")]

    def set_password(self, name: str, password: str, *, by: str = "cli", address: str = "") -> None:
        """Change a password and end all sessions of that user. Raises AccountError."""
        encoded = self._passwords.hash(password)
        with self._database.transaction() as db:
            if not db.execute("UPDATE user SET password = ? WHERE name = ?", (encoded, name)).rowcount:
                raise AccountError(f"there is no user {name!r}")
            db.execute("DELETE FROM session WHERE user = ?", (name,))
            self._note(db, by, address, "user passwd", name)

    def disable(self, name: str, *, by: str = "cli", address: str = "") -> None:
        """Shut a user out and end all their sessions. Raises AccountError, also for the last admin left."""
        with self._database.transaction() as db:
            user = _find(db, name)
            others = db.execute(
                "SELECT count(*) FROM user WHERE role = 'admin' AND NOT disabled AND name <> ?", (name,)
            ).fetchone()[0]
            if user.role is Role.ADMIN and not user.disabled and not others:
                raise AccountError(f"{name!r} is the last admin: add another one first")
            db.execute("UPDATE user SET disabled = 1 WHERE name = ?", (name,))
            db.execute("DELETE FROM session WHERE user = ?", (name,))
            self._note(db, by, address, "user disable", name, {"disabled": user.disabled}, {"disabled": True})

    def enable(self, name: str, *, by: str = "cli", address: str = "") -> None:
        """Let a disabled user in again. Raises AccountError."""
        with self._database.transaction() as db:
            user = _find(db, name)
            db.execute("UPDATE user SET disabled = 0 WHERE name = ?", (name,))
            self._note(db, by, address, "user enable", name, {"disabled": user.disabled}, {"disabled": False})

    def authenticate(self, name: str, password: str, *, address: str = "") -> User:
        """The user, if name and password fit. Raises AccessDenied without saying which of them was wrong."""
        rows = self._database.rows("SELECT * FROM user WHERE name = ?", name)
        encoded = rows[0]["password"] if rows else None
        fits = self._passwords.verify(encoded, password)
        if not fits or not rows or rows[0]["disabled"]:
            # People type passwords into the name field: only names that exist are written down.
            with self._database.transaction() as db:
                self._note(db, name if rows else "(unknown)", address, "login refused", "session")
            raise AccessDenied("name or password is wrong")
        if encoded is not None and self._passwords.is_outdated(encoded):
            renewed = self._passwords.hash(password)
            with self._database.transaction() as db:
                db.execute("UPDATE user SET password = ? WHERE name = ? AND password = ?", (renewed, name, encoded))
        return _user(rows[0])

    # Sessions

    def open_session(self, name: str, address: str = "") -> str:
        """Start a session for an authenticated user and give its token. Raises AccessDenied if meanwhile disabled."""
        token, now = secrets.token_urlsafe(32), self._clock.now()
        with self._database.transaction() as db:
            if _find(db, name).disabled:
                raise AccessDenied(f"{name!r} is disabled")
            db.execute("DELETE FROM session WHERE expires <= ? OR last_seen <= ?", (now, now - SESSION_IDLE_S))
            db.execute(
                "INSERT INTO session (digest, user, created, last_seen, expires, address) VALUES (?,?,?,?,?,?)",
                (_digest(token), name, now, now, now + SESSION_MAX_S, address),
            )
            self._note(db, name, address, "login", "session")
        return token

    def find_session(self, token: str, *, touch: bool = True) -> Session | None:
        """The living session of a token, or None. `touch` counts as use; the live feed's re-check does not."""
        rows = self._database.rows(
            "SELECT user.*, session.created AS opened, last_seen, expires, address"
            " FROM session JOIN user ON user.name = session.user WHERE digest = ?",
            _digest(token),
        )
        now = self._clock.now()
        if not rows or rows[0]["disabled"] or now >= min(rows[0]["expires"], rows[0]["last_seen"] + SESSION_IDLE_S):
            return None
        row = rows[0]
        if touch and now - row["last_seen"] >= _SEEN_STEP_S:
            with self._database.transaction() as db:
                db.execute("UPDATE session SET last_seen = ? WHERE digest = ?", (now, _digest(token)))
        return Session(_user(row), row["opened"], row["last_seen"], row["expires"], row["address"])

    def close_session(self, token: str, address: str = "") -> None:
        """End a session; an unknown token is no error."""
        with self._database.transaction() as db:
            gone = db.execute("DELETE FROM session WHERE digest = ? RETURNING user", (_digest(token),)).fetchall()
            for row in gone:
                self._note(db, row["user"], address, "logout", "session")

    # The setup link of the first run

    def needs_setup(self) -> bool:
        """Whether there is no admin yet."""
        return not self._database.rows("SELECT 1 FROM user WHERE role = 'admin' LIMIT 1")

    def setup_token(self) -> str | None:
        """A new one-time token for /setup?token=...; it replaces the former one. None once an admin exists."""
        token = secrets.token_urlsafe(32)
        with self._database.transaction() as db:
            if _has_admin(db):
                return None
            db.execute(
                "INSERT OR REPLACE INTO setup (only, digest, expires) VALUES (1, ?, ?)",
                (_digest(token), self._clock.now() + SETUP_VALID_S),
            )
        return token

    def is_setup_token(self, token: str) -> bool:
        """Whether `use_setup_token` would take this token now."""
        rows = self._database.rows("SELECT * FROM setup")
        return bool(rows) and self._fits_setup(rows[0], token) and self.needs_setup()

    def use_setup_token(self, token: str, name: str, password: str, *, address: str = "") -> User:
        """Make the first admin; the token is used up. Raises AccessDenied (bad token) or AccountError (bad input)."""
        if not self.is_setup_token(token):
            raise AccessDenied("this setup link is not valid (any more)")
        check_name(name)
        user = User(name, Role.ADMIN, False, self._clock.now())
        encoded = self._passwords.hash(password)
        with self._database.transaction() as db:
            row = db.execute("SELECT * FROM setup").fetchone()
            if row is None or not self._fits_setup(row, token) or _has_admin(db):
                raise AccessDenied("this setup link is not valid (any more)")
            db.execute("DELETE FROM setup")
            self._insert_user(db, user, encoded)
            self._note(db, name, address, "setup", name, None, {"role": user.role})
        return user

    def _fits_setup(self, row: sqlite3.Row, token: str) -> bool:
        return secrets.compare_digest(row["digest"], _digest(token)) and self._clock.now() < row["expires"]

    # Audit

    def record(
        self, who: str, address: str, action: str, object: str, before: object = None, after: object = None
    ) -> None:
        """Add an audit entry for something that happened elsewhere; values are JSON, without secrets."""
        with self._database.transaction() as db:
            self._note(db, who, address, action, object, before, after)

    def audit_trail(self, limit: int = 100, before: int | None = None) -> list[AuditEntry]:
        """The newest entries, or those before entry number `before`, newest first."""
        top = before if before is not None else 2**62
        rows = self._database.rows("SELECT * FROM audit WHERE number < ? ORDER BY number DESC LIMIT ?", top, limit)
        return [audit.entry(row) for row in rows]

    def verify_audit(self) -> int | None:
        """The number of the first entry that was tampered with; None if the chain holds."""
        return audit.first_broken(self._database.rows("SELECT * FROM audit ORDER BY number"))

    def _note(self, db: sqlite3.Connection, who: str, address: str, action: str, object: str, *change: object) -> None:
        audit.append(db, self._clock.now(), who, address, action, object, *change)

    @staticmethod
    def _insert_user(db: sqlite3.Connection, user: User, encoded: str) -> None:
        if db.execute("SELECT 1 FROM user WHERE name = ?", (user.name,)).fetchone():
            raise AccountError(f"there is a user {user.name!r} already")
        db.execute(
            "INSERT INTO user (name, role, password, disabled, created) VALUES (?,?,?,0,?)",
            (user.name, user.role, encoded, user.created),
        )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _role(role: Role | str) -> Role:
    try:
        return Role(role)
    except ValueError as exc:
        raise AccountError(f"{role!r} is no role: admin or viewer") from exc


def _user(row: sqlite3.Row) -> User:
    return User(row["name"], Role(row["role"]), bool(row["disabled"]), row["created"])


def _find(db: sqlite3.Connection, name: str) -> User:
    row = db.execute("SELECT * FROM user WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise AccountError(f"there is no user {name!r}")
    return _user(row)


def _has_admin(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM user WHERE role = 'admin'").fetchone() is not None
