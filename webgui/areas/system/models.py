"""What forms and programs send about the system. It must not carry anything out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from protocol.following import ACTOR, MOST
from protocol.programs import SLOTS

Reason = Annotated[str, StringConstraints(strip_whitespace=True)]


class ProgramAct(BaseModel):
    """What to do with one program."""

    model_config = ConfigDict(extra="ignore")
    program: str = Field(
        min_length=1, max_length=100, description="As the list of programs names it, such as router:router"
    )
    act: Literal["start", "stop", "restart"] = Field(description="A stopped one stays stopped until it is started")


class Dispatchers(BaseModel):
    """How many dispatchers run."""

    model_config = ConfigDict(extra="ignore")
    number: int = Field(ge=1, le=SLOTS, description="Kept over restarts")


class Drain(BaseModel):
    """Letting nothing more in, or images again."""

    model_config = ConfigDict(extra="ignore")
    on: bool = Field(description="Whether new images are refused")
    reason: Reason = Field("", max_length=500, description="Shown to everybody who wonders")


class Debug(BaseModel):
    """Debug lines of an actor, for 15 minutes; or of the receiver's next associations."""

    model_config = ConfigDict(extra="ignore")
    actor: Literal["receiver", "router", "dispatcher"] = Field(description="All processes of this kind")
    on: bool = Field(True, description="false: end them now")
    what: Literal["", "steps", "associations", "both"] = Field(
        "", description="Which of the two; empty: what `associations` says, and both where they are ended"
    )
    associations: int | None = Field(
        None, ge=1, le=MOST, description="Of the receiver: of so many associations that open next, within a day"
    )

    @model_validator(mode="after")
    def _of_the_receiver(self) -> Debug:
        if self.associations is not None and (self.actor != ACTOR or not self.on):
            raise ValueError(f"associations are the {ACTOR}'s, and begin with on = true")
        if self.what in ("associations", "both") and (self.actor != ACTOR or (self.on and self.associations is None)):
            raise ValueError(f"associations are the {ACTOR}'s: say how many")
        if self.what == "steps" and self.associations is not None:
            raise ValueError("steps are logged for 15 minutes, whatever the number of associations")
        return self

    @property
    def steps(self) -> bool:
        """Whether it is about the actor's steps for 15 minutes."""
        return self.what in ("steps", "both") or (not self.what and self.associations is None)

    @property
    def calls(self) -> bool:
        """Whether it is about the receiver's next associations."""
        ends = not self.what and not self.on and self.actor == ACTOR
        return self.what in ("associations", "both") or self.associations is not None or ends


class SelfTest(BaseModel):
    """A self-test."""

    model_config = ConfigDict(extra="ignore")
    target: str = Field(
        "", max_length=64, description="Deliver it there; empty: to a built-in sink, and no real target"
    )


class Clean(BaseModel):
    """Cleaning now, whatever the window; retention counts all the same."""

    model_config = ConfigDict(extra="ignore")
    reason: Reason = Field(min_length=1, max_length=500, description="Kept with the record")
