"""What is asked of the audit, and what the API answers. It must not read anything."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

Word = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]


class Filters(BaseModel):
    """Which entries. Days are those of whoever asks, both included."""

    who: Word = Field("", description="exactly this user")
    action: Word = Field("", description="exactly this action", examples=["user role"])
    object: Word = Field("", description="text in the object's name")
    since: date | None = Field(None, description="from this day on")
    until: date | None = Field(None, description="up to this day")
    after: Annotated[int, Field(ge=1, lt=2**63)] | None = Field(
        None, description="those older than the entry of this number"
    )
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    format: Literal["", "csv", "json"] = Field("", description="as a file to keep: csv or json (one object per line)")

    def as_query(self) -> dict[str, str]:
        """The filters that are set, for links."""
        told = {name: getattr(self, name) for name in ("who", "action", "object", "since", "until")}
        return {name: str(value) for name, value in told.items() if value}


class Entry(BaseModel):
    """Who did what, when (seconds since 1970-01-01 UTC), from where; values before and after are JSON, without secrets."""

    number: int
    time: float
    who: str
    address: str
    action: str
    object: str
    before: Any
    after: Any


class AuditAnswer(BaseModel):
    """A page of entries, the newest first; `next` is the `after` of the next page."""

    entries: list[Entry]
    next: int | None


class CheckAnswer(BaseModel):
    """Whether each entry fits the chain; `broken` is the number of the first that does not."""

    holds: bool
    entries: int
    broken: int | None
