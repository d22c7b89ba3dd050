"""What the API of the dashboard answers, as models. It must not make answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class StatusAnswer(BaseModel):
    """The document of `scanpost status --json`."""

    ready: bool
    serving: bool
    draining: Any = None
    node: str
    time: float = Field(description="seconds since 1970 UTC")
    revision: int
    actors: dict[str, dict[str, Any]]
    images: dict[str, int]
    sent: int
    arrivals: dict[str, int]
    deliveries: dict[str, int]
    oldest_waiting_s: float | None
    targets: dict[str, dict[str, Any]]
    disk: dict[str, Any] | None = None
    outbox: dict[str, Any] | None = None
    problems: list[str]


class ChartPoint(BaseModel):
    """Images and bytes per second in and out, and how many deliveries wait, by target."""

    incoming: float = Field(0.0, alias="in")
    out: float = 0.0
    bin: float = 0.0
    bout: float = 0.0
    q: dict[str, int | float] = {}


class MarkAnswer(BaseModel):
    """A configuration that came into force."""

    at: float
    label: str


class ChartAnswer(BaseModel):
    """Points by the second (since 1970 UTC) at which they begin."""

    range: str
    span_s: int
    width_s: int
    rows: dict[str, ChartPoint]
    marks: list[MarkAnswer]


class DashboardAnswer(BaseModel):
    """What the dashboard shows, as the live feed sends it, and the flows from sources over rules to targets."""

    at: float
    topics: dict[str, dict[str, Any]]
    flows: list[dict[str, Any]]
    marks: list[dict[str, Any]]
