"""Target groups: targets that share load or stand in for one another.

It must not choose a member; the dispatcher's claim does.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from protocol.routing import shapes
from protocol.routing.fields import Frozen, Name, Seconds, Text


class Group(Frozen):
    """`failover` takes the first member that works, `balance` the least loaded, `sticky` the same one for a patient.

    Attributes:
        sticky_by: what belongs together in the mode sticky: all of a patient, or of a study.
        patience_s: how long a delivery that has begun waits for a member that fails, before it begins anew at another one.
    """

    mode: Literal["failover", "balance", "sticky"]
    members: Annotated[tuple[Name, ...], Field(min_length=1), shapes.EACH_ONCE]
    sticky_by: Literal["patient", "study"] = "patient"
    patience_s: Seconds = 60.0
    comment: Text = ""

    @field_validator("members")
    @classmethod
    def _each_once(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        for at, member in enumerate(members):
            if member in members[:at]:
                raise ValueError(f"'{member}' is there twice")
        return members
