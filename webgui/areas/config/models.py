"""What the pages and the API of configuration versions are asked with. It must not judge beyond shapes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

Reason = Annotated[str, Field(max_length=500)]
Section = Literal["targets", "groups", "sources", "rules"]


class Listing(BaseModel):
    """Which versions: below number `after`; of which author; that changed what is named `part`."""

    after: int | None = None
    author: str = ""
    part: str = ""
    limit: Annotated[int, Field(ge=1, le=500)] = 50
    format: Literal["html", "csv"] = "html"


class Part(BaseModel):
    """The name of a rule, target, group or source."""

    name: Annotated[str, Field(min_length=1, max_length=64)]


class Sides(BaseModel):
    """Two versions; by default the current one and the one before it."""

    a: int | None = None
    b: int | None = None


class Back(BaseModel):
    """Why an earlier version is published again."""

    reason: Reason = ""


class Restore(BaseModel):
    """Take one part as it was in a version."""

    section: Section
    name: str
    reason: Reason = ""


class Undo(BaseModel):
    """Take a version back, if it is still in force."""

    version: int


class Imported(BaseModel):
    """A routing configuration as `scanpost routing export` writes it. `do`: check it, or make it the next version.

    `base`: the version it started from, where it does not say so itself.
    """

    routing: str | dict[str, Any] = ""
    only: list[Section] = []
    base: int | None = None
    reason: Reason = ""
    do: Literal["check", "activate"] = "check"
