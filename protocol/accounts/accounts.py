"""Users over accounts.sqlite3, and the way to sessions, tokens, links and the audit. It must not know HTTP, nor keep a
secret in clear.

Every change is one transaction together with its audit entry. Passwords are hashed before the transaction starts.
Tokens of any kind are 256 random bits; the file holds their SHA-256 only, so a copied file opens nothing.
"""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, replace
from pathlib import Path

from protocol.accounts import preferences as prefer
from protocol.accounts.chain import Chain
from protocol.accounts.database import Database
from protocol.accounts.links import VALID_S as SETUP_VALID_S
from protocol.accounts.links import Links, insert_user
from protocol.accounts.passwords import Passwords, check_name
from protocol.accounts.records import AuditEntry, Preferences, Role, Session, User
from protocol.accounts.sessions import IDLE_S as SESSION_IDLE_S
from protocol.accounts.sessions import MAX_S as SESSION_MAX_S
from protocol.accounts.sessions import Sessions
from protocol.accounts.store import Store, find_user, to_user
from protocol.accounts.tokens import Tokens
from protocol.accounts.trail import Trail
from protocol.clock import Clock, SystemClock
from protocol.errors import AccessDenied, AccountError

__all__ = ["SESSION_IDLE_S", "SESSION_MAX_S", "SETUP_VALID_S", "Accounts"]


class Accounts:
    """All accounts of one node. Safe to use from several threads."""

    def __init__(self, path: Path, clock: Clock | None = None, passwords: Passwords | None = None) -> None:
        """Opens (creates, migrates) the file. Raises AccountError if it cannot be used."""
        self._clock = clock or SystemClock()
        self._passwords = passwords or Passwords()
        self._database = Database(path)
        self._store = Store(self._database, self._clock)
        self.sessions = Sessions(self._store)
        self.tokens = Tokens(self._store)
        self.links = Links(self._store, self._passwords)
        self.trail = Trail(self._store)
        self.chain = Chain(self._store)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def now(self) -> float:
        """Seconds since 1970-01-01 UTC, by the clock that ends of sessions, tokens and links follow."""
        return self._clock.now()

    # Users

    def add_user(
        self, name: str, role: Role | str, password: str | None, *, by: str = "cli", address: str = ""
    ) -> User:
        """Add a user; without a password only a link (`links.make`) lets the user in.

        Raises AccountError for a bad name, role or password, or if the name is taken.
        """
        check_name(name)
        user = User(name, _role(role), False, self._clock.now(), has_password=password is not None)
        encoded = None if password is None else self._passwords.hash(password, name)
        with self._database.transaction() as db:
            insert_user(db, user, encoded)
            self._store.note(db, by, address, "user add", name, None, {"role": user.role})
        return user

    def list_users(self) -> list[User]:
        """All users by name."""
        return [to_user(row) for row in self._database.rows("SELECT * FROM user ORDER BY name")]

    def find_user(self, name: str) -> User | None:
        """The user of that name."""
        rows = self._database.rows("SELECT * FROM user WHERE name = ?", name)
        return to_user(rows[0]) if rows else None

    def set_password(self, name: str, password: str, *, by: str = "cli", address: str = "") -> None:
        """Change a password and end all sessions of that user. Raises AccountError."""
        encoded = self._passwords.hash(password, name)
        with self._database.transaction() as db:
            if not db.execute("UPDATE user SET password = ?, failed = 0 WHERE name = ?", (encoded, name)).rowcount:
                raise AccountError(f"there is no user {name!r}")
            db.execute("DELETE FROM session WHERE user = ?", (name,))
            db.execute("DELETE FROM link WHERE user = ?", (name,))
            self._store.note(db, by, address, "user passwd", name)

    def set_role(self, name: str, role: Role | str, *, by: str = "cli", address: str = "") -> None:
        """Change what a user may do; sessions and tokens follow at once. Raises AccountError, also for the last admin."""
        wanted = _role(role)
        with self._database.transaction() as db:
            user = find_user(db, name)
            if user.role is wanted:
                return
            _refuse_last_admin(db, user)
            db.execute("UPDATE user SET role = ? WHERE name = ?", (wanted, name))
            self._store.note(db, by, address, "user role", name, {"role": user.role}, {"role": wanted})

    def disable(self, name: str, *, by: str = "cli", address: str = "") -> None:
        """Shut a user out and end all their sessions. Raises AccountError, also for the last admin left."""
        with self._database.transaction() as db:
            user = find_user(db, name)
            _refuse_last_admin(db, user)
            db.execute("UPDATE user SET disabled = 1 WHERE name = ?", (name,))
            db.execute("DELETE FROM session WHERE user = ?", (name,))
            db.execute("DELETE FROM link WHERE user = ?", (name,))
            self._store.note(db, by, address, "user disable", name, {"disabled": user.disabled}, {"disabled": True})

    def enable(self, name: str, *, by: str = "cli", address: str = "") -> None:
        """Let a disabled user in again. Raises AccountError."""
        with self._database.transaction() as db:
            user = find_user(db, name)
            db.execute("UPDATE user SET disabled = 0, failed = 0 WHERE name = ?", (name,))
            self._store.note(db, by, address, "user enable", name, {"disabled": user.disabled}, {"disabled": False})

    def set_preferences(self, name: str, preferences: Preferences, *, address: str = "") -> None:
        """How a user wants pages; their own doing. Raises AccountError."""
        text = prefer.to_text(prefer.check_preferences(preferences))
        with self._database.transaction() as db:
            former = find_user(db, name).preferences
            if former == preferences:
                return
            db.execute("UPDATE user SET preferences = ? WHERE name = ?", (text, name))
            self._store.note(db, name, address, "user preferences", name, asdict(former), asdict(preferences))

    def set_columns(self, name: str, list_name: str, columns: tuple[str, ...], *, address: str = "") -> None:
        """Which columns of a list a user wants; none: the usual ones. Raises AccountError."""
        user = self.find_user(name)
        if user is None:
            raise AccountError(f"there is no user {name!r}")
        kept = {key: value for key, value in user.preferences.columns.items() if key != list_name}
        kept |= {list_name: columns} if columns else {}
        self.set_preferences(name, replace(user.preferences, columns=kept), address=address)

    def authenticate(self, name: str, password: str, *, address: str = "") -> User:
        """The user, if name and password fit. Raises AccessDenied without saying which of them was wrong."""
        rows = self._database.rows("SELECT * FROM user WHERE name = ?", name)
        encoded = rows[0]["password"] if rows else None
        fits = self._passwords.verify(encoded, password)
        if not fits or not rows or rows[0]["disabled"]:
            # People type passwords into the name field: only names that exist are written down.
            with self._database.transaction() as db:
                db.execute("UPDATE user SET failed = failed + 1 WHERE name = ?", (name,))
                self._store.note(db, name if rows else "(unknown)", address, "login refused", "session")
            raise AccessDenied("name or password is wrong")
        if encoded is not None and self._passwords.is_outdated(encoded):
            renewed = self._passwords.rehash(password)
            with self._database.transaction() as db:
                db.execute("UPDATE user SET password = ? WHERE name = ? AND password = ?", (renewed, name, encoded))
        return to_user(rows[0])

    # Sessions

    def open_session(self, name: str, address: str = "", agent: str = "") -> str:
        """See Sessions.open."""
        return self.sessions.open(name, address, agent)

    def find_session(self, token: str, *, touch: bool = True) -> Session | None:
        """See Sessions.find."""
        return self.sessions.find(token, touch=touch)

    def close_session(self, token: str, address: str = "") -> None:
        """See Sessions.close."""
        self.sessions.close(token, address)

    # The setup link of the first run

    def needs_setup(self) -> bool:
        """Whether there is no admin yet."""
        return self.links.needs_setup()

    def setup_token(self) -> str | None:
        """See Links.setup: for /setup?token=..."""
        return self.links.setup()

    def is_setup_token(self, token: str) -> bool:
        """See Links.is_setup."""
        return self.links.is_setup(token)

    def use_setup_token(self, token: str, name: str, password: str, *, address: str = "") -> User:
        """See Links.use_setup."""
        return self.links.use_setup(token, name, password, address=address)

    # Audit

    def record(
        self, who: str, address: str, action: str, object: str, before: object = None, after: object = None
    ) -> None:
        """Add an audit entry for something that happened elsewhere; values are JSON, without secrets."""
        with self._database.transaction() as db:
            self._store.note(db, who, address, action, object, before, after)

    def audit_trail(self, limit: int = 100, before: int | None = None) -> list[AuditEntry]:
        """The newest entries, or those before entry number `before`, newest first."""
        return self.trail.search(limit=limit, before=before)

    def verify_audit(self) -> int | None:
        """The number of the first entry that was tampered with; None if the chain holds."""
        return self.trail.check().broken


def _role(role: Role | str) -> Role:
    try:
        return Role(role)
    except ValueError as exc:
        raise AccountError(f"{role!r} is no role: admin, operator or viewer") from exc


def _refuse_last_admin(db: sqlite3.Connection, user: User) -> None:
    """Raises AccountError if without this user nobody could configure anything."""
    others = db.execute(
        "SELECT count(*) FROM user WHERE role = 'admin' AND NOT disabled AND name <> ?", (user.name,)
    ).fetchone()[0]
    if user.role is Role.ADMIN and not user.disabled and not others:
        raise AccountError(f"{user.name!r} is the last admin: add another one first")
