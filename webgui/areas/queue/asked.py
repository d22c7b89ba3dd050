"""What can be asked of the queue: filters of lists out of addresses, fields of acts. It must not look anything up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field

from protocol.selection import Selection, read_selection

Text = Annotated[str, Field(max_length=255)]
Reason = Annotated[str, Field(max_length=500)]
Ids = Annotated[list[Annotated[int, Field(gt=0, lt=2**63)]], Field(max_length=500)]
Tab = Literal["", "waiting", "sending", "retrying", "parked", "held", "done", "confirming", "delivered", "cancelled"]
ActName = Literal["retry", "hold", "release", "cancel", "priority", "redirect"]
Level = Literal["urgent", "normal", "offpeak"]
PAGE = 50

UNFINISHED = ("waiting", "sending", "retrying", "confirming", "parked", "held")
TABS: Mapping[str, tuple[str, ...]] = {
    "": UNFINISHED, "waiting": ("waiting",), "sending": ("sending", "confirming"), "retrying": ("retrying",),
    "parked": ("parked",), "held": ("held",), "done": ("delivered", "cancelled"),
}  # fmt: skip
FILTERS = ("target", "rule", "source", "cause", "study", "modality")


class QueueQuery(BaseModel):
    """Filters of the queue."""

    state: Tab = Field(default="", description="A state, or `done`; without it all that are unfinished.")
    target: Text = ""
    rule: Text = Field(default="", description="A rule that routed the series.")
    source: Text = Field(default="", description="AE title of the sender.")
    cause: Text = Field(default="", description="One of `GET /api/v1/queue/causes`.")
    study: Text = Field(default="", description="Study Instance UID.")
    modality: Text = ""
    group: Literal["", "target", "rule", "study", "source"] = ""
    after: Annotated[int, Field(ge=0, lt=2**63, description="The `next` of the page before.")] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = PAGE
    format: Literal["", "csv"] = ""

    def selection(self, states: tuple[str, ...] | None = None) -> Selection:
        """As the spool is asked; with other states than those of the tab."""
        given = {name: getattr(self, name) for name in FILTERS if getattr(self, name)}
        wanted = TABS.get(self.state, (self.state,)) if states is None else states
        return read_selection({**given, "states": list(wanted)}, "delivery")

    def filters(self) -> dict[str, str]:
        """What narrows the list, without its state."""
        return {name: getattr(self, name) for name in FILTERS if getattr(self, name)}

    def address(self, **changes: str) -> str:
        """The list with these filters, and some of them otherwise; without the place in it."""
        wanted = {"state": self.state, **self.filters(), "group": self.group, **changes}
        given = {name: value for name, value in wanted.items() if value}
        return f"/queue?{urlencode(given)}" if given else "/queue"


class QueueAct(QueueQuery):
    """A form that acts: on `ids`, or with `scope` match on all that match the filters. `typed`: their number, if they are many."""

    act: ActName
    scope: Literal["ids", "match"] = "ids"
    ids: Ids = []
    reason: Reason = ""
    priority: Level = "normal"
    to: Text = ""
    confirmed: bool = False
    typed: Text = ""
    count: Text = ""

    def more(self) -> dict[str, Any]:
        """Arguments that some acts need."""
        if self.act == "priority":
            return {"priority": self.priority}
        return {"to": self.to} if self.act == "redirect" else {}

    def fields(self) -> list[tuple[str, str]]:
        """Everything again as fields of a form that asks once more."""
        plain = {
            "act": self.act,
            "scope": self.scope,
            "state": self.state,
            **self.filters(),
            "priority": self.priority,
            "to": self.to,
        }
        return [(name, value) for name, value in plain.items() if value] + [("ids", str(id)) for id in self.ids]


class QueueActs(BaseModel):
    """An act on deliveries: by their numbers, or on all that match."""

    model_config = ConfigDict(extra="forbid")  # a misspelled priority would be the usual one

    ids: Ids = []
    where: Annotated[
        dict[str, object] | None, Field(description="Filters: states, target, cause, rule, source, ...")
    ] = None
    reason: Reason = ""
    priority: Annotated[Level, Field(description="For `priority`.")] = "normal"
    to: Annotated[Text, Field(description="Target or group, for `redirect`.")] = ""
