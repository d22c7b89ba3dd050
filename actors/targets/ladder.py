"""The way to a target, step by step, for a person who wonders why nothing arrives. It sends no image.
It must not know any type: each says its steps itself (`Target.rungs`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from actors.targets.interface import Rung
from actors.targets.registry import make_target
from protocol.errors import ScanpostError
from protocol.routing.targets import Target as TargetSettings


@dataclass(frozen=True)
class Step:
    """One rung: its name, whether it held, seconds it took, and what was seen."""

    name: str
    ok: bool
    seconds: float
    text: str


def climb(settings: TargetSettings) -> list[Step]:
    """Try the steps of a target until one fails."""
    return list(climbing(settings))


def climbing(settings: TargetSettings) -> Iterator[Step]:
    """The same, one step after the other, for who watches."""
    begun = time.monotonic()
    try:
        target = make_target(settings)
    except ScanpostError as exc:
        yield Step("settings", False, time.monotonic() - begun, str(exc))
        return
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
    return Step(rung.name, ok, time.monotonic() - begun, text)
