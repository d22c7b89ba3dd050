"""The way to a target, step by step, for a person who wonders why nothing arrives. It sends no image.
It must not know any type: each says its steps itself (`Target.rungs`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import field
from typing import Any

from actors.targets.interface import Proposing, Rung
from actors.targets.registry import make_target
from protocol.errors import ScanpostError
from protocol.records import record
from protocol.routing.targets import Target as TargetSettings


@record
class Step:
    """One rung: its name, whether it held, seconds it took, and what was seen."""

    name: str
    ok: bool
    seconds: float
    text: str
    contexts: list[dict[str, Any]] = field(default_factory=list)
    """Of the step `contexts` of DICOM: one row a SOP class, see `dicom_contexts.answered`."""


def climb(settings: TargetSettings, lately: Sequence[tuple[str, str]] = ()) -> list[Step]:
    """Try the steps of a target until one fails. `lately`: (SOP class UID, transfer syntax UID) that it got lately."""
    return list(climbing(settings, lately))


def climbing(settings: TargetSettings, lately: Sequence[tuple[str, str]] = ()) -> Iterator[Step]:
    """The same, one step after the other, for who watches."""
    begun = time.monotonic()
    try:
        target = make_target(settings)
    except ScanpostError as exc:
        yield Step("settings", False, time.monotonic() - begun, str(exc))
        return
    if isinstance(target, Proposing):
        target.lately = lately
    with closing(target.rungs()) as rungs:
        for rung in rungs:
            step = _step(rung)
            yield step
            if not step.ok:
                return


def _step(rung: Rung) -> Step:
    begun = time.monotonic()
    try:
        text, ok = rung.climb(), True
    except (OSError, ScanpostError) as exc:
        text, ok = str(exc), False
    return Step(rung.name, ok, time.monotonic() - begun, text, rung.contexts)
