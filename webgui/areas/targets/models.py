"""What the target pages and their API are asked with. It must not judge beyond shapes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, ValidatorFunctionWrapHandler, field_validator

from protocol.routing.targets import TARGET_TYPES

Reason = Annotated[str, Field(max_length=500)]


class Listing(BaseModel):
    """Which targets."""

    q: str = ""
    state: Literal["", "up", "failing", "paused"] = ""
    format: Literal["html", "csv"] = "html"


class Opening(BaseModel):
    """Of which type a new one is, or what it is a copy of."""

    type: Annotated[str, Field(pattern=f"^({'|'.join(('', *TARGET_TYPES))})$")] = ""
    copy_: Annotated[str, Field(alias="copy")] = ""


class Showing(BaseModel):
    """Which test to show."""

    test: str = ""


class Pause(BaseModel):
    """Why, and for how many hours; none: until resumed."""

    reason: Reason = ""
    hours: Annotated[float | None, Field(gt=0, le=8760)] = None

    @field_validator("hours", mode="wrap")
    @classmethod
    def _in_words(cls, value: Any, judge: ValidatorFunctionWrapHandler) -> Any:
        try:
            return judge(value)
        except ValidationError as exc:
            raise ValueError("a number above 0 and up to 8760 (a year), or nothing: until it is resumed") from exc


class Redirect(BaseModel):
    """Where all that waits goes instead."""

    to: str
    reason: Reason = ""


class Why(BaseModel):
    """Why something is done."""

    reason: Reason = ""


class Put(BaseModel):
    """Settings of a target or a group, as they stand in routing.json."""

    settings: dict[str, Any]
    reason: Reason = ""
