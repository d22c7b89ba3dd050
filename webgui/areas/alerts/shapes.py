"""What the API of alerts answers, as models. It must not make answers. Times are seconds since 1970 UTC."""

from __future__ import annotations

from pydantic import BaseModel, Field


class SilenceAnswer(BaseModel):
    """What nobody is told of for a while."""

    id: int
    pattern: str
    made: float
    until: float
    by: str
    reason: str


class AlertAnswer(BaseModel):
    """An alert."""

    key: str
    about: str
    severity: str
    text: str
    count: int
    raised: float
    state: str = Field(description="open, acknowledged, silenced or cleared")
    over_since: float | None = Field(description="It is over since then and only waits to be cleared; null: it goes on")
    clears_at: float | None = Field(description="When it clears, if it does not come back until then")


class ChannelAnswer(BaseModel):
    """A way to tell people."""

    name: str
    set: bool
    where: str
    to: list[str]


class AlertsAnswer(BaseModel):
    """What stands, and what was cleared within a week."""

    alerts: list[AlertAnswer]
    silences: list[SilenceAnswer]
    channels: list[ChannelAnswer]


class MessageAnswer(BaseModel):
    """A message, without its text."""

    id: int
    to: str
    state: str
    created: float
    due: float
    attempts: int
    error: str
    ended: float | None
    subject: str
    items: int


class MessagesAnswer(BaseModel):
    """Messages, newest first."""

    messages: list[MessageAnswer]


class AcknowledgedAnswer(BaseModel):
    """An alert that somebody takes care of."""

    alert: str


class EndedAnswer(BaseModel):
    """A silence that was ended; false: it had ended by itself."""

    silence: int
    ended: bool
