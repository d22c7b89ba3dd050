"""What the API of the queue answers, as models. It must not make answers."""

from __future__ import annotations

from pydantic import BaseModel, Field


class DeliveryAnswer(BaseModel):
    """One delivery. Times are seconds since 1970 UTC."""

    id: int
    series: int
    target: str
    group: str = Field(description="the group that it was made for, if it was one")
    priority: str
    state: str
    modality: str
    source: str
    series_description: str
    patient_name: str
    sent: int
    images: int
    bytes: int
    attempts: int
    created: float
    due: float | None = Field(description="the next try, or the next probe of a target that is away")
    cause: str = Field(description="a word of a closed set")
    means: str = Field(description="the cause in words")
    do_first: str
    error: str = Field(description="what the target or the network said")


class GroupCount(BaseModel):
    """How many belong to one name."""

    name: str
    count: int


class QueueAnswer(BaseModel):
    """Deliveries, newest first; `counted_all` false: the counts are of the newest alone."""

    deliveries: list[DeliveryAnswer]
    next: int | None
    counts: dict[str, int]
    counted_all: bool
    groups: list[GroupCount]


class FailureAnswer(BaseModel):
    """Deliveries to one target that do not get on for one cause."""

    target: str
    cause: str
    means: str
    do_first: str
    count: int
    oldest: float
    states: list[str]


class CausesAnswer(BaseModel):
    """Why deliveries do not get on."""

    causes: list[FailureAnswer]
