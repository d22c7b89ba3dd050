"""Answers of the API that several areas give, as models: the description of the API is made of them. It must not make answers.

Areas have theirs in `shapes.py`; a test holds what handlers really answer against them.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class Nothing(BaseModel):
    """No body: 204."""


class ActAnswer(BaseModel):
    """An act of a person: done (200), not carried out yet (202), or refused (409)."""

    act: int = Field(description="its number, for /api/v1/acts/{id}")
    state: Literal["new", "done", "failed"]
    answer: str = Field(description="what came of it, in words")
    matched: int | None = Field(None, description="of an act on all that match: how many did when it began")
    done: int | None = Field(None, description="and to how many it was done so far")


class ChangedField(BaseModel):
    """One setting that differs."""

    field: str
    old: Any = None
    new: Any = None


class ChangeAnswer(BaseModel):
    """A target, group, source or rule that differs between two versions; of rules with their places."""

    section: Literal["targets", "groups", "sources", "rules"]
    name: str
    kind: str = Field(description="added, removed, changed, moved, renamed")
    fields: list[ChangedField]
    before: int | None = None
    after: int | None = None


class FindingAnswer(BaseModel):
    """Something odd about a configuration."""

    level: str = Field(description="error, warning or note")
    place: str
    message: str
    cure: str


class MadeAnswer(BaseModel):
    """The version that came of a change; the present one if nothing changed."""

    version: int
    changes: list[ChangeAnswer]
    findings: list[FindingAnswer]


class StartedAnswer(BaseModel):
    """A job that was begun."""

    id: str


class JobAnswer(BaseModel):
    """How far a job is, and its result."""

    id: str
    state: str = Field(description="running, done or failed")
    done: int
    total: int
    result: dict[str, Any] | None
    error: str
