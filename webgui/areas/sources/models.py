"""What the source pages and their API are asked with. It must not judge beyond shapes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

Reason = Annotated[str, Field(max_length=500)]


class Listing(BaseModel):
    """Which senders; strangers and late parts of so many days."""

    q: str = ""
    days: Annotated[float, Field(gt=0, le=365)] = 30.0
    format: Literal["html", "csv"] = "html"


class Opening(BaseModel):
    """What a new source is recognised by."""

    calling_ae: Annotated[str, Field(max_length=64)] = ""
    address: Annotated[str, Field(max_length=64)] = ""
    certificate: Annotated[str, Field(max_length=1000)] = ""
    name: Annotated[str, Field(max_length=64)] = ""


class Why(BaseModel):
    """Why something is done."""

    reason: Reason = ""


class Put(BaseModel):
    """Settings of a source, as they stand in routing.json."""

    settings: dict[str, Any]
    reason: Reason = ""
