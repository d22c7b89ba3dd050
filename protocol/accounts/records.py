"""What accounts hand out: frozen records without secrets. It must not touch the database.

Times are seconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """What a user may do."""

    ADMIN = "admin"
    """Sees and changes everything."""

    VIEWER = "viewer"
    """Sees, changes nothing."""


@dataclass(frozen=True, slots=True)
class User:
    """A person (or wall screen) that may log in."""

    name: str
    role: Role
    disabled: bool
    created: float


@dataclass(frozen=True, slots=True)
class Session:
    """One log-in of one browser; `expires` is the absolute end, the idle end comes earlier."""

    user: User
    created: float
    last_seen: float
    expires: float
    address: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what from where; `before` and `after` are JSON values without secrets, or None."""

    number: int
    time: float
    who: str
    address: str
    action: str
    object: str
    before: Any
    after: Any
