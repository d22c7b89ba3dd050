"""What the rule pages and the API of rules are asked with. It must not judge beyond shapes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from protocol.routing.terms import Return

LEAST_DAYS, MOST_DAYS = 0.01, 366.0  # of a backtest
Reason = Annotated[str, Field(max_length=500)]


class Days(BaseModel):
    """Since when rules are counted."""

    days: float = Field(30, ge=1, le=400, description="The last so many days.")


class Listing(BaseModel):
    """Which rules: those that hold `q` in name, condition, targets or owner; of a mode; with warnings only."""

    q: str = ""
    mode: Literal["", "active", "shadow", "off"] = ""
    warn: bool = False
    format: Literal["html", "csv"] = "html"


class Opening(BaseModel):
    """What a new rule starts from: an arrival, or a copy of another rule."""

    from_: Annotated[int | None, Field(alias="from")] = None
    copy_: Annotated[str, Field(alias="copy")] = ""


class Editing(BaseModel):
    """Whether to open the draft, and which arrival to try."""

    draft: bool = False
    arrival: int | None = None


class Mode(BaseModel):
    """Switch a rule. With `off_until` (a day, or a time with its zone) it is off until then, and in that mode afterwards."""

    mode: Literal["active", "shadow", "off"]
    off_until: Annotated[Return | None, BeforeValidator(lambda given: given or None)] = None
    reason: Reason = ""

    @model_validator(mode="after")
    def _comes_back(self) -> Mode:
        if self.mode == "off" and self.off_until:
            raise ValueError("what is off stays off: say active or shadow, which it is to be afterwards")
        return self


class Move(BaseModel):
    """Up, down, or to a place from 1."""

    to: Annotated[str, Field(pattern=r"^(up|down|[1-9]\d{0,5})$")]
    reason: Reason = ""


class Order(BaseModel):
    """All names in their new order: a list, or a text with commas."""

    names: list[str]
    reason: Reason = ""


class Why(BaseModel):
    """Why something is done."""

    reason: Reason = ""


class Lint(BaseModel):
    """A condition as text, or as rows of the builder, which become text first."""

    when: Annotated[str, Field(max_length=20_000)] = ""
    builder: dict[str, Any] | None = None


class Completing(BaseModel):
    """What was typed so far of a name; `values_of`: whose values to tell instead; `about`: the one name to tell of."""

    prefix: Annotated[str, Field(max_length=64)] = ""
    values_of: Annotated[str, Field(max_length=128)] = ""
    about: Annotated[str, Field(max_length=512)] = ""


class Origin(BaseModel):
    """Who sent an image, as rules see it; what is left out is empty."""

    calling_ae: str = ""
    address: str = ""
    called_ae: str = ""
    source: str = ""


_DRAFT = "a whole configuration to ask instead of the one in force, as an object or as its JSON text"


class Asked(BaseModel):
    """Rules tried on a header or on an arrival (one of the two): those in force, those of `routing`, or one `rule` of its own."""

    header: str | dict[str, Any] | list[Any] = Field(
        "", description="DICOM JSON, an object of keywords, or a dump as text"
    )
    origin: Origin = Field(Origin(), description="of a header")
    arrival: int = Field(0, description="the number of an arrival")
    rule: str | dict[str, Any] = Field("", description='the name of one, or a rule of its own: {"when": ...}')
    routing: str | dict[str, Any] | None = Field(None, description=_DRAFT)


class Backtest(BaseModel):
    """What the rules, or those of `routing`, make of what came in the last days."""

    days: float = Field(30, ge=LEAST_DAYS, le=MOST_DAYS)
    routing: str | dict[str, Any] | None = Field(None, description=_DRAFT)


class Put(BaseModel):
    """A rule to add or to change. `base`: the version that it was read from; refused if the rule changed since."""

    rule: dict[str, Any]
    base: int | None = None
    place: Annotated[int | None, Field(ge=1)] = None
    reason: Reason = ""


class Trial(BaseModel):
    """Which backtest result to show, of which rule."""

    rule: str = ""
    format: Literal["html", "csv"] = "html"
