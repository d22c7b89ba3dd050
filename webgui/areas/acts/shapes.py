"""What the API of acts answers, as models. It must not make answers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class Skipped(BaseModel):
    """Why an act was not done to some of what matched."""

    reason: str
    count: int
    example: int = Field(description="number of the first of them")


class ProgressAnswer(BaseModel):
    """How far an act on many is."""

    total: int
    done: int
    skipped: list[Skipped]


class ActShown(BaseModel):
    """What somebody asked for. Times are seconds since 1970 UTC."""

    id: int
    kind: str
    by: str
    executor: str
    arguments: dict[str, Any]
    state: Literal["new", "done", "failed"]
    answer: str
    asked: float
    answered: float | None
    can_undo: bool
    progress: ProgressAnswer | None


class ActsAnswer(BaseModel):
    """Acts, newest first; `next` asks for older ones."""

    acts: list[ActShown]
    next: int | None
