"""Deliveries as lines of the queue, and failures as groups, for pages, CSV and programs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from protocol.acts import CAN
from protocol.causes import hint
from protocol.records import record
from protocol.spool.looking import Trouble
from protocol.spool.targets import TargetState
from webgui.areas.queue import words
from webgui.holdups import Holdup, holdup

Row = Mapping[str, Any]
PRIORITY_WORDS = ("urgent", "normal", "off-peak")


@record
class Line:
    """One delivery of the list. `description` and `patient` are patient data."""

    id: int
    arrival: int
    target: str
    group: str
    priority: str
    state: str
    modality: str
    source: str
    description: str
    patient: str
    sent: int
    images: int
    bytes: int
    attempts: int
    created: float
    holdup: Holdup
    cause: str
    means: str
    first: str
    error: str

    @property
    def chip(self) -> tuple[str, str]:
        """Level and word of its state."""
        return words.STATES.get(self.state, ("warn", self.state))

    def masked(self, mask: str) -> Line:
        """The same for who may not see who the patient is."""
        return replace(self, patient=mask) if self.patient else self

    def can(self, act: str) -> bool:
        """Whether it is in a state for this act."""
        return self.state in CAN[f"queue.{act}"]

    def plain(self) -> dict[str, Any]:
        """For programs."""
        return {
            "id": self.id, "series": self.arrival, "target": self.target, "group": self.group, "priority": self.priority,
            "state": self.state, "modality": self.modality, "source": self.source, "series_description": self.description,
            "patient_name": self.patient, "sent": self.sent, "images": self.images, "bytes": self.bytes,
            "attempts": self.attempts, "created": self.created, "due": self.holdup.due, "cause": self.cause, "means": self.means,
            "do_first": self.first, "error": self.error,
        }  # fmt: skip


COLUMNS = ("id", "series", "target", "priority", "state", "source", "modality", "series description", "patient name", "sent",
           "images", "bytes", "attempts", "created", "next try", "cause", "error", "paused")  # fmt: skip


def cells(line: Line, when: Any) -> Sequence[Any]:
    """For CSV, as COLUMNS says."""
    return (line.id, line.arrival, line.target, line.priority, line.state, line.source, line.modality, line.description,
            line.patient, line.sent, line.images, line.bytes, line.attempts, when(line.created), when(line.holdup.due), line.cause,
            line.error, line.holdup.paused)  # fmt: skip


def line(row: Row, about: Row, target: TargetState | None, now: float) -> Line:
    """Out of a row of `spool.deliveries.select`, what people call its series, and how its target stands."""
    name = str(about.get("PatientName", "")).split("=")[0].split("^")
    why = hint(row["cause"]) if row["cause"] else None
    priority = PRIORITY_WORDS[row["priority"]] if 0 <= row["priority"] < 3 else str(row["priority"])
    return Line(
        row["id"], row["arrival"], row["target"], row["target_group"] if row["target_group"] != row["target"] else "",
        priority, row["state"], row["modality"], row["calling_ae"], str(about.get("SeriesDescription", "")),
        ", ".join(part for part in name[:2] if part), row["sent"], row["images"], row["bytes"], row["attempts"],
        row["created"], holdup(row["state"], row["due"], target, now), row["cause"], why.means if why else "",
        why.first if why else "", row["error"] if row["state"] not in ("delivered", "cancelled") else "",
    )  # fmt: skip


@record
class Failure:
    """Deliveries to one target that do not get on for one cause. `retry`, `release`: how many of them can be."""

    target: str
    cause: str
    means: str
    first: str
    count: int
    oldest: float
    retry: int
    release: int
    states: tuple[str, ...]

    @property
    def level(self) -> str:
        """How bad it is."""
        return "bad" if "parked" in self.states else "held" if self.states == ("held",) else "warn"

    @property
    def address(self) -> str:
        """The list of them."""
        return f"/queue?{urlencode({'target': self.target, 'cause': self.cause})}"

    def plain(self) -> dict[str, Any]:
        """For programs."""
        return {"target": self.target, "cause": self.cause, "means": self.means, "do_first": self.first, "count": self.count,
                "oldest": self.oldest, "states": list(self.states)}  # fmt: skip


def failures(troubles: Iterable[Trouble]) -> list[Failure]:
    """Troubles of all states by target and cause, the most first."""
    groups: dict[tuple[str, str], list[Trouble]] = {}
    for one in troubles:
        groups.setdefault((one.target, one.cause), []).append(one)
    made = []
    for (target, cause), group in groups.items():

        def of(act: str, group: list[Trouble] = group) -> int:
            return sum(one.count for one in group if one.state in CAN[f"queue.{act}"])

        why = hint(cause)
        made.append(Failure(target, cause, why.means, why.first, sum(one.count for one in group),
                            min(one.oldest for one in group), of("retry"), of("release"),
                            tuple(sorted(one.state for one in group))))  # fmt: skip
    return sorted(made, key=lambda one: (-one.count, one.target, one.cause))
