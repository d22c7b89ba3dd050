"""What the API of the quarantine answers, as models. It must not make answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class ObjectAnswer(BaseModel):
    """An object that could not be read or placed. `stored` is seconds since 1970 UTC."""

    receipt: str
    association: str | None
    calling_ae: str
    sop_uid: str
    bytes: int
    reason: str
    stored: float
    state: str


class ObjectsAnswer(BaseModel):
    """Objects, newest first."""

    objects: list[ObjectAnswer]
    next: str | None


class ObjectShown(ObjectAnswer):
    """One object, where its bytes are, and what its file meta information says."""

    file: str
    meta: dict[str, Any] | None = Field(None)
