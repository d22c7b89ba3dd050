"""What accounts hand out: frozen records without secrets. It must not touch the database.

Times are seconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """What a user may do."""

    ADMIN = "admin"
    """Sees and changes everything."""

    OPERATOR = "operator"
    """Sees everything; retries, holds, pauses, acknowledges; configures nothing. Sites with two roles need none."""

    VIEWER = "viewer"
    """Sees, changes nothing."""


RANK: Mapping[Role, int] = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMIN: 2}
"""A role may do what those of a lower rank may."""


class Scope(StrEnum):
    """What a token may do for its owner; never more than the owner."""

    READ = "read"
    """Look."""

    OPERATE = "operate"
    """Look, and what operators do."""

    ADMIN = "admin"
    """Everything that its owner may."""

    PHI = "phi"
    """See patient data, too; without it they are masked."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """How a user wants pages. `theme` is system, light or dark; an empty `time_zone` is the node's; `columns` names those
    shown in a list, by list."""

    theme: str = "system"
    time_zone: str = ""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class User:
    """A person (or wall screen) that may log in. `failed` counts refused log-ins since the last good one; without a password
    (`has_password`) only a link lets the user in."""

    name: str
    role: Role
    disabled: bool
    created: float
    last_login: float | None = None
    failed: int = 0
    has_password: bool = True
    preferences: Preferences = Preferences()


@dataclass(frozen=True, slots=True)
class Session:
    """One log-in of one browser, or one request with a token (`token` is its name, "" for a browser).

    `expires` is the absolute end, the idle end comes earlier. The role of `user` is what this session may: with a token
    perhaps less than its owner's. `id` tells sessions apart and opens none.
    """

    user: User
    created: float
    last_seen: float
    expires: float
    address: str
    id: str = ""
    agent: str = ""
    token: str = ""
    phi: bool = True
    owner: Role = Role.VIEWER
    """The user's own role, whatever a token leaves of it."""

    @property
    def who(self) -> str:
        """The name for the audit: of the user, and of the token if there is one."""
        return f"{self.user.name} (token {self.token})" if self.token else self.user.name


@dataclass(frozen=True, slots=True)
class Token:
    """A key for programs, without its secret; `expires` None: never."""

    id: int
    user: str
    name: str
    scopes: tuple[Scope, ...]
    created: float
    expires: float | None
    last_used: float | None
    last_address: str


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
