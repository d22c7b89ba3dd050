"""What the API of targets answers, as models. It must not make answers. Times are seconds since 1970 UTC."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class TargetAnswer(BaseModel):
    """A target, how it does, and its figures of 24 hours."""

    name: str
    type: str
    kind: str
    address: str
    comment: str
    state: str
    level: str
    word: str
    reason: str
    queue: int
    waiting: int
    sending: int
    parked: int
    held: int
    oldest_s: float | None
    fails: int
    last_success: float | None
    last_error: str
    last_error_time: float | None
    images: int | float
    bytes: int | float
    success: float | None = Field(description="part of the attempts that succeeded, in percent")
    sending_p95_s: float | None = Field(description="95 % of the sendings of a delivery took no longer, in seconds")
    paused_by: str
    until: float | None
    certificate: float | None = Field(description="when the first of its certificates ends")
    certificate_level: str
    rules: list[str]
    used: dict[str, Any]
    breaker: dict[str, Any]


class TargetsAnswer(BaseModel):
    """All targets, and the groups with their settings."""

    revision: int
    targets: list[TargetAnswer]
    groups: dict[str, Any]


class TargetShown(TargetAnswer):
    """One target with its settings; secrets are references."""

    settings: dict[str, Any] | None = Field(description="null: it is configured no more, and has work left")


class GroupShown(BaseModel):
    """One group with its settings."""

    revision: int
    name: str
    settings: dict[str, Any]


class TestAnswer(BaseModel):
    """How far a test of a target is. `ok` is null while it runs."""

    id: str
    running: bool
    ok: bool | None
    steps: list[dict[str, Any]] = Field(
        description="name, title, ok, seconds, text; `contexts` of a DICOM target: for each SOP class its UID, name, whether"
        " the target got it `lately`, names of the transfer syntaxes `accepted` and `rejected`, and `why`"
    )
    error: str | None = None
