"""What the API of rules answers, as models. It must not make answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class RuleListed(BaseModel):
    """A rule in force, without its test cases, and how often it came to what in the days asked for."""

    name: str
    when: str
    action: str
    targets: list[str]
    trigger: str
    priority: str
    mode: str
    english: str
    tests: int
    counts: dict[str, int]


class RulesAnswer(BaseModel):
    """The rules of a version in their order."""

    revision: int
    days: int
    rules: list[RuleListed]


class RuleShown(BaseModel):
    """One rule: its settings (`GET /api/v1/routing/schema`), test results, counters and warnings."""

    revision: int
    rule: dict[str, Any]
    tests: list[dict[str, Any]]
    place: int
    english: str
    today: int
    total: int
    last: str | float | None
    errors: int
    warnings: list[dict[str, Any]]


class TriedAnswer(BaseModel):
    """What rules come to, each with its explanation, and what would be decided."""

    revision: int
    notes: list[str]
    images: int
    rules: list[dict[str, Any]]
    decision: dict[str, Any]


class LintError(BaseModel):
    """Why a condition cannot be read, and where."""

    message: str
    cure: str = ""
    position: int | None = None


class LintAnswer(BaseModel):
    """What the compiler says: English, rows of a builder if it has that form, names that are read, or the fault."""

    text: str
    english: str
    rows: dict[str, Any] | None
    names: list[str]
    error: LintError | None


class NameAnswer(BaseModel):
    """A name that a condition may read, or a function; `seen`: in so many series of this site in 30 days."""

    name: str
    insert: str
    vr: str
    title: str
    seen: int
    values: list[str] = Field([], description="the most frequent values")
    tag: str = Field("", description="gggg,eeee")
    help: str = Field("", description="in one line: meaning, tag, value representation, values seen here in 30 days")


class ValueAnswer(BaseModel):
    """A value that was seen here."""

    value: str
    arrivals: int


class CompletionAnswer(BaseModel):
    """What may be written next: names, or values of the one name asked for."""

    names: list[NameAnswer] = Field([], description="of `about` the one name, or none if it is unknown")
    values: list[ValueAnswer] = []


class SchemaAnswer(BaseModel):
    """A JSON Schema."""

    title: str
    properties: dict[str, Any]
