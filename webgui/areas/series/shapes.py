"""What the API of series, studies and patients answers, as models. It must not make answers.

Times are seconds since 1970 UTC. Names and numbers of patients are masked for who may not see them.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class DeliveryShort(BaseModel):
    """A target that a series goes to."""

    target: str
    state: str
    cause: str


class SeriesFacts(BaseModel):
    """What is known of one series."""

    id: int
    time: float = Field(description="when its first image came")
    source: str = Field(description="AE title of the sender")
    modality: str
    series_description: str
    study_description: str
    patient_name: str
    patient_id: str
    accession_number: str
    images: int
    bytes: int
    state: str
    reason: str
    study_uid: str
    series_uid: str
    addendum_of: int = Field(description="the series that this one is a late part of; 0: of none")
    rules: list[str]


class SeriesRow(SeriesFacts):
    """One series of a list."""

    deliveries: list[DeliveryShort]


class SeriesAnswer(BaseModel):
    """Series, newest first; `next` asks for what comes behind them, `notes` say what people should know."""

    series: list[SeriesRow]
    next: str | None
    notes: list[str]


class RuleSaidAnswer(BaseModel):
    """What a rule came to."""

    rule: str
    result: str
    why: str


class StepAnswer(BaseModel):
    """One step of a timeline; `ahead`: it is still to come, `gap`: how long after the one before."""

    time: float
    level: str
    title: str
    lines: list[str]
    gap: str
    help: str
    ahead: bool
    rules: list[RuleSaidAnswer]


class KindAnswer(BaseModel):
    """Images of one SOP class and transfer syntax."""

    sop_class_uid: str
    transfer_syntax_uid: str
    images: int
    bytes: int


class SeriesShown(SeriesFacts):
    """One series with all that happened. `in_spool`: its files and rows are here; else the ledger tells."""

    in_spool: bool
    kept_until: float | None
    timeline: list[StepAnswer]
    decisions: list[dict[str, Any]] = Field(description="outcome, version, reason and explanation of each")
    deliveries: list[dict[str, Any]]
    attempts: list[dict[str, Any]]
    kinds: list[KindAnswer]
    notes: list[str]


class ImageAnswer(BaseModel):
    """One image; `answers` of targets that were other than plain success."""

    receipt: str
    position: int
    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    bytes: int
    stored: float
    superseded: str | bool | int | None
    answers: list[dict[str, Any]]


class ImagesAnswer(BaseModel):
    """Images in the order in which they came; `next` is the position to go on behind."""

    images: list[ImageAnswer]
    next: int | None


class TagAnswer(BaseModel):
    """A value of the first image, and those of others that differ."""

    tag: str
    keyword: str
    name: str
    vr: str
    value: str
    other: list[str]


class HeaderAnswer(BaseModel):
    """Header values; `images` were looked at."""

    images: int
    tags: list[TagAnswer]


class EventsAnswer(BaseModel):
    """Events as the ledger has them (docs/events.md), without patient data."""

    events: list[dict[str, Any]]
    next: str | None


class StudyAnswer(BaseModel):
    """One study."""

    uid: str
    first: float
    description: str
    accession: str
    modalities: list[str]
    series: int
    images: int
    bytes: int
    sources: list[str]


class StudyShown(BaseModel):
    """A study and its series."""

    study: StudyAnswer
    series: list[SeriesRow]
    notes: list[str]


class PatientShown(BaseModel):
    """The studies under one patient ID."""

    patient_id: str
    studies: list[StudyAnswer]
    notes: list[str]


class CanAnswer(BaseModel):
    """Acts, each with the states in which it can be done."""

    route: list[str]
    reroute: list[str]
    hold: list[str]
    release: list[str]
    discard: list[str]
    keep: list[str]
