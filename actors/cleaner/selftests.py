"""Clears a self-test away when it has ended: its images and what the built-in sink has of it. It must not touch another study.

Only a study that was announced as a self-test goes; its retention is that of nobody.
"""

from __future__ import annotations

import shutil

from protocol import selftest
from protocol.errors import StepRefused
from protocol.spool import Spool
from protocol.spool.commands import Command
from protocol.spool.retention import Retention
from protocol.states import CommandState

LOOKED_AT = 200
ANY_AGE = Retention(float("inf"), float("inf"))
POLICY = "self-test has ended"


def clear_away(spool: Spool, command: Command) -> None:
    """Delete the arrivals of the study that the command names, and answer it. Raises StepRefused."""
    study = selftest.study_of(command.arguments)
    begun = spool.commands.list(kind=selftest.BEGIN, state=CommandState.DONE, limit=LOOKED_AT)
    if not study or study not in (selftest.study_of(one.arguments) for one in begun):
        raise StepRefused("no self-test of this study was announced")
    shutil.rmtree(spool.places.run / selftest.SINK_FOLDER / study, ignore_errors=True)
    kept = []
    for arrival in spool.arrivals.list(study_uid=study):
        if spool.cleaning.mark(arrival["id"], ANY_AGE, POLICY) or arrival["state"] == "deleted":
            spool.cleaning.remove_files(arrival["id"])
        else:
            kept.append(f"arrival {arrival['id']} is {arrival['state']}")
    said = str(command.arguments.get("told", ""))[:200]
    if kept:
        raise StepRefused(f"{said}; not cleared away yet: {', '.join(kept)}".removeprefix("; "))
    spool.commands.finish(command.id, f"{said}; cleared away".removeprefix("; "))
