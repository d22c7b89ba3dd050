"""A finding: something in a valid configuration that is surely or probably not what its author meant.

It must not judge anything; `checks` does.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from protocol.errors import Fault
from protocol.records import record
from protocol.routing.faults import one_line, place_text
from protocol.routing.misfits import Place


@record
class Finding:
    """`level` error: must not become current; warning: worth a look. Place, message and cure as in a Fault."""

    level: Literal["error", "warning"]
    place: str
    message: str
    cure: str

    @property
    def fault(self) -> Fault:
        """What is told when it stops a publication."""
        return Fault(self.place, self.message, self.cure)

    def line(self, file: str = "") -> str:
        """As one line for people."""
        said = self.fault.line(file)
        return said if self.level == "error" else f"warning: {said}"

    def to_data(self) -> dict[str, str]:
        """As JSON data."""
        return asdict(self)


def error(place: Place, message: str, cure: str) -> Finding:
    """Something that must not become current."""
    return _finding("error", place, message, cure)


def warning(place: Place, message: str, cure: str) -> Finding:
    """Something worth a look."""
    return _finding("warning", place, message, cure)


def of_fault(fault: Fault) -> Finding:
    """A fault as a finding."""
    return Finding("error", fault.place, fault.message, fault.cure)


def _finding(level: Literal["error", "warning"], place: Place, message: str, cure: str) -> Finding:
    return Finding(level, place_text(place), one_line(message), one_line(cure[:1].upper() + cure[1:]))
