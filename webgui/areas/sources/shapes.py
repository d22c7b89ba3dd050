"""What the API of sources answers, as models. It must not make answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class StrangerAnswer(BaseModel):
    """A sender that no source describes. Times are seconds since 1970 UTC."""

    calling_ae: str
    address: str
    called_ae: str
    first_seen: float
    last_seen: float
    associations: int
    rejected: int
    reason: str


class SourcesAnswer(BaseModel):
    """Known sources by name, strangers, whose series come late, and images by sender."""

    revision: int
    unknown_sources: str
    sources: dict[str, dict[str, Any]]
    unknown: list[StrangerAnswer]
    late: list[dict[str, Any]]
    images: dict[str, int]


class SourceShown(BaseModel):
    """One known source with its settings."""

    revision: int
    name: str
    settings: dict[str, Any]
