"""What requests about people hold, and what the API answers. It must not judge beyond the shape: protocol/accounts does."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from protocol.accounts import Role, Scope
from protocol.accounts.passwords import PASSWORD_MAX

Password = Annotated[str, StringConstraints(max_length=PASSWORD_MAX)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=1, max_length=64)]
Word = Annotated[str, StringConstraints(max_length=100)]


class Body(BaseModel):
    """Something sent. Dialogs of pages add `confirmed` and `reason`; of programs nothing unknown is taken (webgui/strict.py)."""

    model_config = ConfigDict(extra="ignore")


class NewUser(Body):
    """A user to be added; a one-time link to set the password is answered."""

    name: Name = Field(description="a-z 0-9 . _ @ -", examples=["olga"])
    role: Role = Field(description="viewer, operator or admin", examples=["operator"])


class UserChange(Body):
    """What is to be changed about a user; what is left out stays."""

    role: Role | None = Field(None, description="viewer, operator or admin", examples=["viewer"])
    disabled: bool | None = Field(None, description="true shuts the user out and ends all sessions")


class OwnPassword(Body):
    """A new password of one's own."""

    current: Password
    password: Password
    again: Password


class LinkPassword(Body):
    """A password set by a one-time link."""

    token: Word
    password: Password
    again: Password


class OwnPreferences(Body):
    """How one wants pages."""

    theme: Literal["system", "light", "dark"] = "system"
    time_zone: Annotated[str, StringConstraints(max_length=60)] = Field("", examples=["Europe/Berlin"])


class TickedColumns(BaseModel):
    """The form of a list's columns: what is ticked, and where it stood."""

    name: Literal["series", "queue"]
    columns: list[str] = Field([], max_length=40)
    back: str = Field("/", max_length=2000)


class OwnColumns(Body):
    """The columns one wants in a list; none: the usual ones."""

    name: Annotated[str, StringConstraints(max_length=40)] = Field(description="of the list", examples=["queue"])
    columns: list[Annotated[str, StringConstraints(max_length=40)]] = Field([], max_length=40, examples=[["target"]])


class NewToken(Body):
    """A token to be made."""

    name: Word = Field(description="what it is for", examples=["nightly report"])
    scope: Scope = Field(Scope.READ, description="read, operate or admin")
    phi: bool = Field(False, description="whether it sees patient data, too")
    days: Annotated[int, Field(ge=0, le=3650)] = Field(90, description="how long it works; 0: no end")


class ById(Body):
    """One of several; "all": all others."""

    id: Word


class Reveal(Body):
    """The page on which patient data are to be shown."""

    path: Annotated[str, StringConstraints(max_length=400)]


# ---- answers ----------------------------------------------------------------------------------------------------
class UserAnswer(BaseModel):
    """A user. Times are seconds since 1970-01-01 UTC."""

    name: str
    role: Role
    disabled: bool
    has_password: bool
    created: float
    last_login: float | None
    failed: int = Field(description="refused log-ins since the last good one")
    sessions: int
    tokens: int


class UsersAnswer(BaseModel):
    """All users."""

    users: list[UserAnswer]


class LinkAnswer(BaseModel):
    """A one-time link; it is shown this once."""

    name: str
    link: str
    expires: float


class SessionAnswer(BaseModel):
    """A log-in of a browser."""

    id: str
    address: str
    agent: str
    created: float
    last_seen: float
    own: bool


class TokenAnswer(BaseModel):
    """A token without its secret."""

    id: int
    user: str
    name: str
    scopes: list[Scope]
    created: float
    expires: float | None
    last_used: float | None
    last_address: str


class SecretAnswer(BaseModel):
    """A new token; its secret is shown this once."""

    name: str
    token: str


class AccountAnswer(BaseModel):
    """Whoever asks."""

    name: str
    role: Role = Field(description="what this session or token may")
    token: str = Field(description="name of the token that asks; empty for a browser")
    sees_patients: bool
    theme: str
    time_zone: str
    columns: dict[str, list[str]]
    sessions: list[SessionAnswer]
    tokens: list[TokenAnswer]


class UserDetailAnswer(UserAnswer):
    """A user with sessions and tokens."""

    session_list: list[SessionAnswer]
    token_list: list[TokenAnswer]
