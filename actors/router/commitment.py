"""Whether an image that a scanner asked us to commit to is committed: a pure judgement of what stands in the spool.
It must not read the spool or a clock, and never says yes to what could still be lost.
"""

from __future__ import annotations

from collections.abc import Collection

from protocol.routing.commitment import SourceCommitment
from protocol.spool.commitments import Standing, Way

COMMITTED = 0
# Failure reasons, PS3.3 section C.14.1.1
PROCESSING_FAILURE, NO_SUCH_INSTANCE, CLASS_CONFLICT, CLASS_NOT_SUPPORTED = 0x0110, 0x0112, 0x0119, 0x0122

_DECIDED = ("in_delivery", "delivered", "deleted")


def judge(
    sop_class_uid: str,
    storable: bool,
    standing: Standing | None,
    quarantined: bool,
    settings: SourceCommitment,
    confirming: Collection[str],
    age_s: float,
) -> int | None:
    """COMMITTED, a failure reason, or None: not known yet.

    Args:
        sop_class_uid: as the scanner named it; `storable` whether it is one of images at all.
        standing: the image here, None if it is not known; `quarantined` if it was set aside as unreadable.
        confirming: targets that are asked to commit themselves: their C-STORE success is not enough.
        age_s: seconds since the request.
    """
    if not storable:
        return CLASS_NOT_SUPPORTED
    if standing is None:
        if quarantined:
            return PROCESSING_FAILURE
        return NO_SUCH_INSTANCE if age_s >= min(settings.unknown_s, settings.wait_s) else None
    if standing.sop_class_uid != sop_class_uid:
        return CLASS_CONFLICT
    if settings.policy == "spool" and standing.state != "deleted":
        return COMMITTED
    verdict = _at_targets(standing, settings, confirming)
    if verdict is None and standing.state == "deleted":
        return NO_SUCH_INSTANCE
    return PROCESSING_FAILURE if verdict is None and age_s >= settings.wait_s else verdict


def _at_targets(standing: Standing, settings: SourceCommitment, confirming: Collection[str]) -> int | None:
    if standing.state == "discarded":
        return PROCESSING_FAILURE
    if settings.target is not None:
        ways = [way for way in standing.ways if settings.target in (way.target, way.group)]
        found = _one_target(ways, confirming) if ways else PROCESSING_FAILURE
        if found == COMMITTED:
            return found  # wherever else its arrival still has to go
        return found if standing.state in _DECIDED else None
    if standing.state not in _DECIDED or not standing.ways:
        return None
    found_at = [
        _one_target([way for way in standing.ways if way.target == name], confirming)
        for name in {way.target for way in standing.ways}
    ]
    if PROCESSING_FAILURE in found_at:
        return PROCESSING_FAILURE
    return None if None in found_at else COMMITTED


def _one_target(ways: list[Way], confirming: Collection[str]) -> int | None:
    """All deliveries of an arrival to one target: has it the image, may it still get it?"""
    if any(way.delivered or (way.sent and not way.ended and way.target not in confirming) for way in ways):
        return COMMITTED
    return PROCESSING_FAILURE if all(way.ended for way in ways) else None  # cancelled


def next_look_s(age_s: float) -> float:
    """How long a request that is not answered is left alone: young ones are looked at each time, old ones seldom."""
    return min(30.0, age_s / 20)
