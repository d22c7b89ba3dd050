"""What can be asked of series: filters of lists out of addresses, fields of acts. It must not look anything up."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, field_validator

from protocol.selection import Selection
from protocol.states import ArrivalState

Text = Annotated[str, Field(max_length=255)]
States = Literal["", "open", "closed", "waiting", "held", "in_delivery", "delivered", "discarded", "deleted"]
PAGE = 50
FILTERS = ("source", "modality", "rule", "target", "state", "study", "since", "until")
RETENTION = "retention"
_ADDRESS = {*FILTERS, "s", "limit"}


class SeriesQuery(BaseModel):
    """Filters of the list of series. `s` is the id of a search, as POST /series/search gives it."""

    s: Text = ""
    source: Text = Field(default="", description="AE title of the sender.")
    modality: Text = ""
    rule: Text = Field(default="", description="A rule that routed it.")
    target: Text = Field(default="", description="With a delivery to it.")
    state: States = ""
    study: Text = Field(default="", description="Study Instance UID.")
    since: Text = Field(default="", description="A day (2026-01-31) or an ISO 8601 time: not older.")
    until: Text = Field(default="", description="The same: that day and what came before it.")
    after: Text = Field(default="", description="The `next` of the page before.")
    limit: Annotated[int, Field(ge=1, le=1000)] = PAGE
    format: Literal["", "csv"] = ""

    @field_validator("since", "until")
    @classmethod
    def _a_time(cls, text: str) -> str:
        if text:
            moment(text)
        return text

    def times(self) -> tuple[float | None, float | None]:
        """Not older than the first, older than the second; seconds UTC."""
        since = moment(self.since) if self.since else None
        until = moment(self.until, end=True) if self.until else None
        return since, until

    def selection(self) -> Selection:
        """As the spool is asked."""
        since, until = self.times()
        return Selection(
            states=(ArrivalState(self.state),) if self.state else (), target=self.target or None, source=self.source or None,
            rule=self.rule or None, study=self.study or None, modality=self.modality or None, since=since, until=until,
        )  # fmt: skip

    def address(self, path: str = "/series", **changes: str) -> str:
        """The list with these filters, and some of them otherwise; without the place in it."""
        given = {name: str(value) for name, value in self.model_dump(include=_ADDRESS).items()
                 if value not in ("", PAGE)}  # fmt: skip
        wanted = {name: value for name, value in {**given, **changes}.items() if value}
        return f"{path}?{urlencode(wanted)}" if wanted else path

    @property
    def narrowed(self) -> bool:
        """Whether anything is asked for at all."""
        return self.model_copy(update={"after": "", "format": "", "limit": PAGE}) != SeriesQuery()


def moment(text: str, *, end: bool = False) -> float:
    """Seconds UTC of a day or time as people write it, by the clock of this machine; `end`: of a day its end.

    Raises ValueError.
    """
    try:
        found = datetime.fromisoformat(text)
        if end and len(text) == 10:
            found += timedelta(days=1)
        return found.timestamp()
    except (ValueError, OverflowError) as exc:
        raise ValueError("write a day such as 2026-01-31") from exc


class Shown(BaseModel):
    """Which lines of a study or patient: those behind the first `skip`."""

    skip: Annotated[int, Field(ge=0, le=100_000)] = 0


class ImagesQuery(BaseModel):
    """Which images of a series."""

    at: Text = Field(default="0", description="The `next` of the page before.")


class EventsQuery(BaseModel):
    """Which events of a series."""

    after: Text = Field(default="", description="The `next` of the page before.")


class Search(BaseModel):
    """What stands in the search box, and the filters beside it."""

    q: Text = ""
    source: Text = ""
    modality: Text = ""
    rule: Text = ""
    target: Text = ""
    state: States = ""
    since: Text = ""
    until: Text = ""


class SearchSeries(SeriesQuery):
    """The same filters and a text, for programs: POST, because a text may be a patient's name."""

    model_config = ConfigDict(extra="forbid")  # a misspelled filter would find everything

    q: Text = Field(
        "", description="Accession number, patient's id or name, UID, AE title, or the number of an arrival."
    )


class Wanted(BaseModel):
    """What the acts on series need."""

    reason: Annotated[str, Field(max_length=500)] = ""
    targets: Annotated[list[Text], Field(max_length=100, description="Where to, for `route`.")] = []
    priority: Literal["urgent", "normal", "offpeak"] = "normal"
    keep_until: Annotated[Text, Field(description="For `keep`: a day (its end), an ISO 8601 time, or `retention`.")] = (
        ""
    )

    @field_validator("keep_until")
    @classmethod
    def _a_time(cls, text: str) -> str:
        if text not in ("", RETENTION):
            moment(text, end=True)
        return text

    def kept(self) -> float | None:
        """For `keep`, seconds UTC; None: no longer than retention says. Raises ValueError if nothing is said."""
        if not self.keep_until:
            raise ValueError(f"name a day such as 2026-12-31, or {RETENTION}: no longer than that says")
        return None if self.keep_until == RETENTION else moment(self.keep_until, end=True)


class SeriesAct(Wanted):
    """An act on one series."""

    confirmed: bool = False


class SeriesActs(Wanted):
    """An act on several series: by their numbers, or on all that match."""

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[Annotated[int, Field(gt=0)]], Field(max_length=500)] = []
    where: Annotated[dict[str, object] | None, Field(description="Filters: states, target, source, rule, ...")] = None


class SeriesForm(SeriesQuery, Wanted):
    """A form that acts on `ids`, or with `scope` match on all that the filters find. `typed`: their number, if they are many."""

    act: Literal["route", "reroute", "hold", "release", "discard", "keep"]
    scope: Literal["ids", "match"] = "ids"
    ids: Annotated[list[Annotated[int, Field(gt=0, lt=2**63)]], Field(max_length=500)] = []
    no_longer: bool = False
    confirmed: bool = False
    typed: Text = ""
    count: Text = ""

    def filters(self) -> dict[str, str]:
        """What narrows the list."""
        return {name: getattr(self, name) for name in FILTERS if getattr(self, name)}

    def fields(self) -> list[tuple[str, str]]:
        """Which series and which act, as fields of a form that asks once more."""
        plain = {"act": self.act, "scope": self.scope, "s": self.s, **self.filters()}
        return [(name, value) for name, value in plain.items() if value] + [("ids", str(id)) for id in self.ids]
