"""Whom a rule has told about what it did, and in which words. It must not send anything, nor fill in values.

A text has placeholders in braces. They come from a closed list; those about the patient are filled in only where the
settings of the node allow it (`alerts.patient_names`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from protocol import recipients
from protocol.routing import shapes
from protocol.routing.fields import Frozen, Text

FIELDS = ("node", "rule", "on", "arrival", "source", "target", "images", "modality", "study_uid", "series_uid", "cause")
PATIENT_FIELDS = ("PatientName", "PatientID", "AccessionNumber", "StudyDescription", "SeriesDescription")
_SHAPE = shapes.Shape(
    pattern=rf"^([^{{}}]|\{{({'|'.join(FIELDS + PATIENT_FIELDS)})\}})*$",
    examples=["series {arrival} of {source} could not be sent to {target}"],
)
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def _recipient(text: str) -> str:
    if fault := recipients.fault(text):
        raise ValueError(fault)
    return text


def _template(text: str) -> str:
    rest = _PLACEHOLDER.sub("", text)
    if "{" in rest or "}" in rest:
        raise ValueError("braces of a text hold one field each")
    for name in _PLACEHOLDER.findall(text):
        if name not in FIELDS + PATIENT_FIELDS:
            raise ValueError(f"'{name}' is no field of a notification; there are {', '.join(FIELDS + PATIENT_FIELDS)}")
    return text


class Notify(Frozen):
    """Whom to tell about arrivals that the rule applied to.

    received: decided; completed: delivered to all targets; failed: a delivery to one of the rule's targets is parked;
    held, discarded: that was decided. What happens within a minute is told together. `text` is one line for each.
    """

    on: Annotated[tuple[Literal["received", "completed", "failed", "held", "discarded"], ...], Field(min_length=1)]
    to: Annotated[
        Text,
        StringConstraints(pattern=r"^(mail|webhook):\S+\Z", max_length=500),
        AfterValidator(_recipient),
        shapes.RECIPIENT,
    ]
    text: Annotated[Text, StringConstraints(max_length=500), AfterValidator(_template), _SHAPE] = ""


def fields_of(text: str) -> frozenset[str]:
    """The fields that a valid text has."""
    return frozenset(_PLACEHOLDER.findall(text))


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its fields filled in, each once: a value is never read as a placeholder. A missing one is empty."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], ""), text)
