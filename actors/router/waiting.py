"""When a study rule is asked: a pure judgement of what was seen of a study, on the monotonic clock for its quiet.
It must not read the spool or any clock, nor know what the rule says.

Quiet: no series of the study came, closed or was decided for `quiet_s`, and none is open. The longest wait runs on the wall
clock from the first series, so that it survives restarts; what it ends in is decided or held, never discarded unasked. A clock
that was ahead at the first series does not prolong it: it ends as long after the router first saw the study, at the latest.
"""

from __future__ import annotations

from protocol.records import record
from protocol.routing.terms import StudyTerms
from protocol.spool.studies import StudyWait

QUIET, COMPLETE, LATE, GONE = "quiet", "complete", "late", "gone"


@record
class Seen:
    """What a study looked like when it last changed, and when the router saw that (monotonic seconds).

    `first`: when the router saw the study at all.
    `checked`: its condition for being complete was asked and not true; `refused`: it was quiet, the rule wants it, and that
    condition is not true yet.
    """

    changed: float
    undecided: int
    since: float
    first: float
    checked: bool = False
    refused: bool = False


@record
class Ask:
    """Ask the rule now; `why` goes into the record."""

    why: str


@record
class Wait:
    """Not before this moment (monotonic seconds), if nothing changes."""

    until: float


def look(wait: StudyWait, before: Seen | None, now: float) -> Seen:
    """What is remembered of a study after looking at it now. A router that starts begins every quiet anew."""
    if before is not None and (before.changed, before.undecided) == (wait.changed, wait.undecided):
        return before
    return Seen(wait.changed, wait.undecided, now, now if before is None else before.first)


def judge(wait: StudyWait, seen: Seen, now: float, wall: float, terms: StudyTerms, usual_quiet_s: float) -> Ask | Wait:
    """Ask, or wait until when. `now` is monotonic, `wall` in seconds UTC."""
    end = min(now + (wait.opened - wall), seen.first) + terms.max_wait_s
    if now >= end:
        return Ask(LATE)
    if terms.complete is not None and not seen.checked:
        return Ask(COMPLETE)
    if wait.undecided or seen.refused:
        return Wait(end)
    quiet_until = seen.since + (usual_quiet_s if terms.quiet_s is None else terms.quiet_s)
    return Ask(QUIET) if now >= quiet_until else Wait(min(quiet_until, end))
