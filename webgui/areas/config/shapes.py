"""What the API of configuration versions answers, as models. It must not make answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from webgui.shapes import ChangeAnswer, FindingAnswer, MadeAnswer


class VersionRow(BaseModel):
    """A version of the routing configuration; `time` is seconds since 1970 UTC."""

    number: int
    time: float
    author: str
    reason: str
    parent: int
    current: bool
    changes: str


class ProblemAnswer(BaseModel):
    """The file of a version that cannot be used."""

    number: int
    message: str


class VersionsAnswer(BaseModel):
    """Versions, newest first; `after` asks for older ones, `problems` are files that cannot be used."""

    versions: list[VersionRow]
    after: int | None
    problems: list[ProblemAnswer]


class VersionShown(BaseModel):
    """One version, what it changed, and the whole of it (docs/routing.md; GET /api/v1/routing/schema)."""

    number: int
    time: float
    author: str
    reason: str
    parent: int
    changes: list[ChangeAnswer]
    configuration: dict[str, Any]


class DiffAnswer(BaseModel):
    """What differs between versions `a` and `b`."""

    a: int
    b: int
    changes: list[ChangeAnswer]


class BlameRow(BaseModel):
    """Who gave a setting its value; of an empty `field` all others: they are as the part was added."""

    section: str
    name: str
    field: str
    value: Any
    version: int
    time: float
    author: str
    reason: str


class BlameAnswer(BaseModel):
    """The settings of one part, the newest change first."""

    blame: list[BlameRow]


class ImportAnswer(MadeAnswer):
    """What an import would change, or changed; `ok`: only looked at, and it could be made current."""

    ok: bool | None = None
    note: str
    changes: list[ChangeAnswer]
    findings: list[FindingAnswer]
