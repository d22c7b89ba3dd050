"""Taking a patient out of recorded events: which values go, so that spool and ledger take out the same. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field
from typing import Any

from protocol.records import record

GONE = ("study_uid", "series_uid", "sop_uid")
"""Fields of events by which an archive finds the patient; emptied, so that every event keeps its form."""


@record
class Patient:
    """Whom a request is about: PatientID, its issuer ("": any), and one study ("": all)."""

    id: str
    issuer: str = ""
    study_uid: str = ""


@record
class Erased:
    """The arrivals that are erased, and the studies of which nothing else is kept."""

    arrivals: Collection[int]
    studies: Collection[str] = field(default_factory=frozenset)

    def concerns(self, data: Mapping[str, Any]) -> bool:
        """Whether an event with these fields is about it."""
        return data.get("arrival") in self.arrivals or data.get("study_uid") in self.studies


def redacted(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an event without those by which the patient is found."""
    return {name: "" if name in GONE and isinstance(value, str) else value for name, value in data.items()}


def redacted_subject(subject: str) -> str:
    """The subject of an event whose UID goes; the numbers of arrivals and deliveries stay."""
    kind, slash, _ = subject.partition("/")
    return f"{kind}/erased" if slash and kind == "image" else subject
