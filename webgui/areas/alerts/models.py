"""What forms and programs send about alerts. It must not carry anything out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Word = Annotated[str, StringConstraints(strip_whitespace=True)]


class Acknowledge(BaseModel):
    """Somebody takes care of an alert."""

    model_config = ConfigDict(extra="ignore")
    alert: Word = Field(min_length=1, max_length=300, description="Key of the alert")
    note: Word = Field("", max_length=500, description="What is done about it; shown to everybody who wonders")


class NewSilence(BaseModel):
    """Nobody is told of what matches."""

    model_config = ConfigDict(extra="ignore")
    pattern: Word = Field(
        min_length=1, max_length=300, description="Key of an alert, or target/NAME, source/AE; * and ? allowed"
    )
    hours: float = Field(4, gt=0, le=8760, description="For how long")
    reason: Word = Field(min_length=1, max_length=500, description="Shown to everybody who wonders")


class OldSilence(BaseModel):
    """One that ends now."""

    model_config = ConfigDict(extra="ignore")
    silence: int = Field(ge=1, le=2**53, description="Number of the silence")


class Channel(BaseModel):
    """By which way to send a test."""

    model_config = ConfigDict(extra="ignore")
    channel: Literal["mail", "webhook"] = Field(description="As the settings have it")


class PageQuery(BaseModel):
    """What the page shows beside the alerts."""

    model_config = ConfigDict(extra="ignore")
    test: int | None = Field(None, ge=1, le=2**53, description="Number of the act that tested a channel")
