"""What an upload answers, as models. It must not make answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class UploadAnswer(BaseModel):
    """What became of the files of an upload: how many by outcome; those that were not taken come first."""

    counts: dict[str, int]
    series: list[int] = Field(description="numbers of the series that they came into")
    bytes: int
    files: list[dict[str, Any]]
    total: int
