"""Tokens for programs (RFC 6750): made, found, listed, revoked. It must not hand out a secret twice.

A token acts for its owner and may at most what the owner may at that moment; it dies with the owner's account.
"""

from __future__ import annotations

import re
import secrets
import sqlite3
from collections.abc import Iterable
from dataclasses import replace

from protocol.accounts.records import RANK, Role, Scope, Session, Token, User
from protocol.accounts.store import Store, day_time, digest, find_user, to_user
from protocol.errors import AccountError

PREFIX = "scp_"
"""How every token begins, so that people and scanners of secrets know what they see."""

SEEN_STEP_S = 60.0
MAX_PER_USER = 50
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,39}\Z")
_ROLE = {Scope.READ: Role.VIEWER, Scope.OPERATE: Role.OPERATOR, Scope.ADMIN: Role.ADMIN}
_FOREVER = 2.0**40


class Tokens:
    """All tokens of all users."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self, user: str, name: str, scopes: Iterable[str], *, expires: float | None = None, by: str = "cli",
        address: str = "",
    ) -> str:  # fmt: skip
        """Make a token and give its secret: this once. Raises AccountError for a bad name, scope or end, and too many."""
        wanted, now = check_scopes(scopes), self._store.clock.now()
        if not _NAME.match(name):
            raise AccountError(
                "a token's name has 1 to 40 of A-Z a-z 0-9 . _ @ - and space, beginning with letter or digit"
            )
        if expires is not None and expires <= now:
            raise AccountError("a token's end lies in the future")
        secret = PREFIX + secrets.token_urlsafe(32)
        with self._store.database.transaction() as db:
            self._check_room(db, user, name, wanted)
            db.execute(
                "INSERT INTO token (digest, user, name, scopes, created, expires) VALUES (?,?,?,?,?,?)",
                (digest(secret), user, name, " ".join(wanted), now, expires),
            )
            told = {"token": name, "scopes": list(wanted), "expires": day_time(expires)}
            self._store.note(db, by, address, "token create", user, None, told)
        return secret

    def list(self, user: str | None = None) -> list[Token]:
        """Tokens of one user or of all, expired ones too."""
        where, values = ("", ()) if user is None else (" WHERE user = ?", (user,))
        return [
            _token(row) for row in self._store.database.rows(f"SELECT * FROM token{where} ORDER BY user, id", *values)
        ]

    def revoke(self, user: str, token: int | str, *, by: str = "cli", address: str = "") -> None:
        """Remove a user's token by number or name. Raises AccountError if there is none."""
        column = "id" if isinstance(token, int) else "name"
        with self._store.database.transaction() as db:
            row = db.execute(f"DELETE FROM token WHERE user = ? AND {column} = ? RETURNING *", (user, token)).fetchone()
            if row is None:
                raise AccountError(f"{user[:80]!r} has no token {str(token)[:80]!r}")
            before = {"token": row["name"], "scopes": row["scopes"].split(), "expires": day_time(row["expires"])}
            self._store.note(db, by, address, "token revoke", user, before)

    def find(self, secret: str, address: str = "") -> Session | None:
        """What this secret opens, or None: a session whose user has the role that the token leaves of the owner's."""
        if not secret.startswith(PREFIX):
            return None
        rows = self._store.database.rows(
            "SELECT user.*, token.id AS token, token.name AS token_name, scopes, token.created AS made, expires, last_used"
            " FROM token JOIN user ON user.name = token.user WHERE digest = ?",
            digest(secret),
        )
        now = self._store.clock.now()
        if not rows or rows[0]["disabled"] or now >= (rows[0]["expires"] or _FOREVER):
            return None
        row = rows[0]
        if now - (row["last_used"] or 0.0) >= SEEN_STEP_S:
            with self._store.database.transaction() as db:
                db.execute(
                    "UPDATE token SET last_used = ?, last_address = ? WHERE id = ?", (now, address, row["token"])
                )
        owner, scopes = to_user(row), tuple(Scope(scope) for scope in row["scopes"].split())
        return Session(
            _limited(owner, scopes), row["made"], now, row["expires"] or _FOREVER, address,
            id=f"token-{row['token']}", token=row["token_name"], phi=Scope.PHI in scopes, owner=owner.role,
        )  # fmt: skip

    @staticmethod
    def _check_room(db: sqlite3.Connection, user: str, name: str, scopes: tuple[Scope, ...]) -> None:
        owner = find_user(db, user)
        if _limited(owner, scopes).role is not role_of(scopes):
            raise AccountError(f"{user!r} is {owner.role} and cannot give away {', '.join(scopes)}")
        names = [row["name"] for row in db.execute("SELECT name FROM token WHERE user = ?", (user,))]
        if name in names:
            raise AccountError(f"{user!r} has a token {name!r} already")
        if len(names) >= MAX_PER_USER:
            raise AccountError(f"{user!r} has {MAX_PER_USER} tokens: revoke some first")


def check_scopes(scopes: Iterable[str]) -> tuple[Scope, ...]:
    """In the order of `Scope`, each once; without one of read, operate, admin it reads. Raises AccountError."""
    try:
        found = {Scope(scope) for scope in scopes}
    except ValueError as exc:
        raise AccountError(f"{exc}: scopes are {', '.join(Scope)}") from exc
    if not found & set(_ROLE):
        found.add(Scope.READ)
    return tuple(scope for scope in Scope if scope in found)


def role_of(scopes: Iterable[Scope]) -> Role:
    """The role that scopes amount to."""
    return max((_ROLE[scope] for scope in scopes if scope in _ROLE), key=RANK.__getitem__, default=Role.VIEWER)


def _limited(owner: User, scopes: Iterable[Scope]) -> User:
    return replace(owner, role=min(owner.role, role_of(scopes), key=RANK.__getitem__))


def _token(row: sqlite3.Row) -> Token:
    scopes = tuple(Scope(scope) for scope in row["scopes"].split())
    return Token(
        row["id"],
        row["user"],
        row["name"],
        scopes,
        row["created"],
        row["expires"],
        row["last_used"],
        row["last_address"],
    )
