"""What an event changes in the ledger's tables, as a pure function of the event alone: `project`.
Every change sets values and none counts, so that repeating events in their order ends in the same rows.

Unknown types change nothing (the event itself is kept); a missing field leaves its column as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from protocol.ledger.headers import kept_headers
from protocol.ledger.mining.columns import series_values
from protocol.ledger.mining.doses import dose_rows
from protocol.ledger.tables import NAME
from protocol.states import ArrivalState, AssociationState, DeliveryState
from protocol.wire.messages import Envelope


class Change(NamedTuple):
    """Values to set in the row with this key of a table; the row is made, with `first` too, if it is not there."""

    table: str
    key: dict[str, Any]
    values: dict[str, Any]
    first: dict[str, Any] | None = None


Rule = Callable[[Envelope], list[Change]]
RULES: dict[str, Rule] = {}
EVENT_ONLY = frozenset(
    {
        "actor.recovered",
        "actor.started",
        "actor.stopped",
        "alert.silenced",
        "alert.unsilenced",
        "arrival.kept",
        "association.rejected",
        "audit.head",
        "command.answered",
        "command.asked",
        "commitment.answered",
        "commitment.report.failed",
        "commitment.reported",
        "commitment.requested",
        "config.changed",
        "config.damaged",
        "confirmation.answered",
        "confirmation.asked",
        "delivery.begun_anew",
        "image.rejected",
        "letter.given_up",
        "letter.sent",
        "node.drain.begun",
        "node.drain.ended",
        "outbox.trimmed",
        "quarantine.deleted",
        "rule.failed",
        "spool.epoch.begun",
        "study.decided",
        "target.breaker.closed",
        "target.breaker.opened",
        "target.paused",
        "target.resumed",
    }
)
"""Types whose whole history is the event itself."""
OUTCOMES = {"route": ArrivalState.IN_DELIVERY, "hold": ArrivalState.HELD, "discard": ArrivalState.DISCARDED,
            "wait": ArrivalState.WAITING}  # fmt: skip
_AGAINST = {state.value: state for state in (ArrivalState.WAITING, ArrivalState.IN_DELIVERY)}
"""States that a decision may name since its outcome does not say them."""


def project(envelope: Envelope) -> list[Change]:
    """The changes of one event. Raises KeyError if it lacks its object's id, TypeError or ValueError for odd forms."""
    rule = RULES.get(envelope.type)
    return rule(envelope) if rule else []


def _on(*types: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        for name in types:
            RULES[name] = rule
        return rule

    return register


def _take(data: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: data[name] for name in names if name in data}


def _arrival(envelope: Envelope, state: ArrivalState | None = None, **values: Any) -> Change:
    if state is not None:
        values = {"reason": envelope.data.get("reason"), **values, "state": state.value, "since": envelope.time}
    # Lists go by the time of opening: an arrival whose beginning the ledger never saw must not fall out of them.
    return Change("arrival", {"arrival": envelope.data["arrival"]}, values, {"opened": envelope.time})


def _delivery(envelope: Envelope, state: DeliveryState, **values: Any) -> Change:
    values = {**_take(envelope.data, "arrival", "target"), **values, "state": state.value}
    first = {"created": envelope.time, "wanted": envelope.data.get("target")}
    return Change("delivery", {"delivery": envelope.data["delivery"]}, values, first)


def _rules(envelope: Envelope) -> list[Change]:
    """A row for each rule that decided; a name that is none changes nothing (its list is kept with the arrival)."""
    number = envelope.data["arrival"]
    names = [name for name in envelope.data.get("rules") or () if isinstance(name, str) and 0 < len(name) <= NAME]
    return [Change("arrival_rule", {"arrival": number, "rule": name}, {"time": envelope.time}) for name in names]


def _image(envelope: Envelope, *names: str, **values: Any) -> Change:
    return Change("image", {"receipt": envelope.data["receipt"]}, {**_take(envelope.data, *names), **values})


# ---- associations and images ------------------------------------------------------------------------------------
@_on("association.opened")
def _association_opened(event: Envelope) -> list[Change]:
    values = _take(event.data, "calling_ae", "called_ae", "address")
    values |= {"opened": event.time, "state": AssociationState.OPEN.value}
    return [Change("association", {"association": event.data["association"]}, values)]


@_on("association.closed")
def _association_closed(event: Envelope) -> list[Change]:
    values = _take(event.data, "calling_ae", "images", "bytes")
    values |= {"closed": event.time, "state": event.data.get("how")}
    return [Change("association", {"association": event.data["association"]}, values)]


_DUPLICATE = 0x0111  # duplicate SOP instance, PS3.7 section 9.1.1.1.9
_IMAGE = ("arrival", "association", "sop_uid", "sop_class_uid", "transfer_syntax_uid", "bytes", "digest", "why")


@_on("image.received")
def _image_received(event: Envelope) -> list[Change]:
    return [_image(event, *_IMAGE, received=event.time)]


@_on("image.duplicate")
def _image_duplicate(event: Envelope) -> list[Change]:
    return [_image(event, "arrival", "association", "sop_uid", "twin", received=event.time, mark="duplicate")]


@_on("image.superseded")
def _image_superseded(event: Envelope) -> list[Change]:
    return [_image(event, "arrival", "sop_uid", twin=event.data.get("newer"), mark="superseded")]


@_on("image.quarantined")
def _image_quarantined(event: Envelope) -> list[Change]:
    values = _take(event.data, "association", "calling_ae", "bytes", "reason") | {"received": event.time}
    return [Change("quarantine", {"receipt": event.data["receipt"]}, values)]


# ---- arrivals ---------------------------------------------------------------------------------------------------
@_on("arrival.opened")
def _arrival_opened(event: Envelope) -> list[Change]:
    names = ("calling_ae", "called_ae", "study_uid", "series_uid", "addendum_of")
    return [_arrival(event, ArrivalState.OPEN, **_take(event.data, *names), opened=event.time)]


_CAME, _COUNTED = ("received", "completed"), {"images", "bytes"}


@_on("arrival.completed")
def _arrival_completed(event: Envelope) -> list[Change]:
    names = ("calling_ae", "study_uid", "series_uid", "images", "bytes", "why", "modality")
    values = _take(event.data, *names) | _headers(event.phi)
    closed = _arrival(event, ArrivalState.CLOSED, **values, completed=event.time)
    key, kept = {"arrival": event.data["arrival"]}, kept_headers(event)
    mined = series_values(event)
    doses = [Change(*row) for row in dose_rows(event, mined["scanner"], mined["received"])]
    # A series that came again out of its files may have its row already (see again.py): when it came stays as it was, and
    # of a rebuilt spool, whose event says nothing of the images, all else as well.
    first = {name: mined.pop(name) for name in (_CAME if event.phi else mined.keys() - _COUNTED)}
    if not event.phi:
        first["modality"] = values.get("modality") or None
    changes = [closed, Change("series", key, mined, first), *doses]
    return changes if kept is None else [*changes, Change("header", key, kept)]


def _headers(phi: Mapping[str, Any] | None) -> dict[str, Any]:
    """The header values of the series, whole, and those that people search by."""
    if not phi:
        return {}
    name = _header(phi, "PatientName")
    return {
        "headers": phi.get("header", phi),
        "patient_id": _header(phi, "PatientID"),
        "patient_folded": None if name is None else name.casefold(),
        "accession": _header(phi, "AccessionNumber"),
    }


def _header(phi: Mapping[str, Any], keyword: str) -> str | None:
    """One header value as text, whether the values stand in `phi` itself or one level below."""
    for level in (phi, *(value for value in phi.values() if isinstance(value, Mapping))):
        found = level.get(keyword)
        if found is not None:
            return "\\".join(map(str, found)) if isinstance(found, list | tuple) else str(found)
    return None


@_on("arrival.decided")
def _arrival_decided(event: Envelope) -> list[Change]:
    state = _AGAINST.get(event.data.get("state", ""), OUTCOMES.get(event.data.get("outcome", "")))
    names = ("decision", "revision", "outcome", "targets", "rules", "command")
    return [_arrival(event, state, **_take(event.data, *names), decided=event.time), *_rules(event)]


@_on("arrival.images.routed")
def _images_routed(event: Envelope) -> list[Change]:
    return _rules(event)


@_on("arrival.discarded")
def _arrival_discarded(event: Envelope) -> list[Change]:
    return [_arrival(event, ArrivalState.DISCARDED)]


@_on("arrival.held")
def _arrival_held(event: Envelope) -> list[Change]:
    return [_arrival(event, ArrivalState.HELD)]


@_on("arrival.released")
def _arrival_released(event: Envelope) -> list[Change]:
    return [_arrival(event, ArrivalState.CLOSED, **_take(event.data, "command"))]


@_on("arrival.delivered")
def _arrival_delivered(event: Envelope) -> list[Change]:
    return [_arrival(event, ArrivalState.DELIVERED, delivered=event.time)]


@_on("arrival.deleted")
def _arrival_deleted(event: Envelope) -> list[Change]:
    return [_arrival(event, ArrivalState.DELETED, reason=event.data.get("policy"), deleted=event.time)]


_CLEAR = {"error": None, "cause": None}


# ---- deliveries -------------------------------------------------------------------------------------------------
@_on("delivery.created")
def _delivery_created(event: Envelope) -> list[Change]:
    names = ("priority", "images", "bytes")
    values = {**_take(event.data, *names), "wanted": event.data.get("target"), "created": event.time}
    return [_delivery(event, DeliveryState.WAITING, **values)]


@_on("delivery.claimed")
def _delivery_claimed(event: Envelope) -> list[Change]:
    values = {"owner": event.data.get("owner"), "attempts": event.data.get("attempt"), "claimed": event.time}
    return [_delivery(event, DeliveryState.SENDING, **values, retry_at=None)]


@_on("delivery.images.sent")
def _images_sent(event: Envelope) -> list[Change]:
    number, common = event.data["delivery"], _take(event.data, "arrival", "target")
    return [
        Change("delivery_image", {"delivery": number, "receipt": receipt},
               {**common, "status": status, "time": event.time})
        for receipt, status in event.data["images"]
    ]  # fmt: skip


@_on("delivery.images.skipped")
def _images_skipped(event: Envelope) -> list[Change]:
    number, common = event.data["delivery"], _take(event.data, "arrival", "target")
    return [
        Change("delivery_image", {"delivery": number, "receipt": receipt},
               {**common, "status": _DUPLICATE, "time": event.time})
        for receipt, _ in event.data["images"]
    ]  # fmt: skip


def _failed(event: Envelope, error: str, cause: str | None = None) -> dict[str, Any]:
    """The error and its cause; events of earlier versions have none."""
    return {"error": event.data.get(error), "cause": event.data.get("cause") or cause}


@_on("delivery.attempt.failed")
def _attempt_failed(event: Envelope) -> list[Change]:
    values = {"attempts": event.data.get("attempt"), **_failed(event, "error"), "owner": None}
    return [_delivery(event, DeliveryState.RETRYING, **values, retry_at=event.data.get("retry_at") or None)]


@_on("delivery.attempt.interrupted")
def _attempt_interrupted(event: Envelope) -> list[Change]:
    return [_delivery(event, DeliveryState.WAITING, **_CLEAR, owner=None, retry_at=None)]


@_on("delivery.completed")
def _delivery_completed(event: Envelope) -> list[Change]:
    values = _take(event.data, "images", "bytes", "seconds", "warnings")
    return [
        _delivery(event, DeliveryState.DELIVERED, **values, **_CLEAR, owner=None, retry_at=None, finished=event.time)
    ]


@_on("delivery.confirming")
def _delivery_confirming(event: Envelope) -> list[Change]:
    return [_delivery(event, DeliveryState.CONFIRMING, **_CLEAR, owner=None, retry_at=None)]


@_on("delivery.parked")
def _delivery_parked(event: Envelope) -> list[Change]:
    values = {**_take(event.data, "attempts"), **_failed(event, "error")}
    return [_delivery(event, DeliveryState.PARKED, **values, owner=None, retry_at=None)]


@_on("delivery.held")
def _delivery_held(event: Envelope) -> list[Change]:
    return [_delivery(event, DeliveryState.HELD, **_failed(event, "reason"), owner=None, retry_at=None)]


@_on("delivery.unbound")
def _delivery_unbound(event: Envelope) -> list[Change]:
    """Its target is the group again."""
    return [_delivery(event, DeliveryState.WAITING, owner=None, retry_at=None)]


@_on("delivery.redirected")
def _delivery_redirected(event: Envelope) -> list[Change]:
    """It begins anew, for another target or group."""
    values = {**_take(event.data, "command"), "wanted": event.data.get("target"), "attempts": 0, "finished": None}
    return [_delivery(event, DeliveryState.WAITING, **values, **_CLEAR, owner=None, retry_at=None)]


@_on("delivery.prioritised")
def _delivery_prioritised(event: Envelope) -> list[Change]:
    return [Change("delivery", {"delivery": event.data["delivery"]}, _take(event.data, "priority", "command"))]


@_on("delivery.retried")
def _delivery_retried(event: Envelope) -> list[Change]:
    """Its arrival is unfinished again, which no event of its own says."""
    values = {**_take(event.data, "command"), **_CLEAR, "retry_at": None, "finished": None, "attempts": 0}
    changes = [_delivery(event, DeliveryState.WAITING, **values)]
    if "arrival" in event.data and not event.data.get("undecided"):
        changes.append(_arrival(event, ArrivalState.IN_DELIVERY))
    return changes


@_on("delivery.cancelled")
def _delivery_cancelled(event: Envelope) -> list[Change]:
    values = {**_take(event.data, "command"), "owner": None, "retry_at": None, "finished": event.time}
    return [_delivery(event, DeliveryState.CANCELLED, **values)]


# ---- alerts -----------------------------------------------------------------------------------------------------
def _alert(event: Envelope, raised: float | None, **values: Any) -> list[Change]:
    """How the alert stands, and the same of this time that it was raised."""
    values = {**_take(event.data, "text", "severity", "about", "count"), **values}
    changes = [Change("alert", {"alert": event.data["alert"]}, values)]
    if raised:  # events of earlier versions do not say it
        changes.append(Change("alert_episode", {"alert": event.data["alert"], "raised": raised}, values))
    return changes


@_on("alert.raised")
def _alert_raised(event: Envelope) -> list[Change]:
    alert, episode = _alert(event, event.time, cleared=None, acknowledged=None, by=None, note=None)
    return [Change(alert.table, alert.key, {**alert.values, "raised": event.time}), episode]


@_on("alert.updated")
def _alert_updated(event: Envelope) -> list[Change]:
    return _alert(event, event.data.get("raised"))


@_on("alert.acknowledged")
def _alert_acknowledged(event: Envelope) -> list[Change]:
    return _alert(event, event.data.get("raised"), acknowledged=event.time, **_take(event.data, "by", "note"))


@_on("alert.cleared")
def _alert_cleared(event: Envelope) -> list[Change]:
    return _alert(event, event.data.get("raised"), cleared=event.time)


@_on("ledger.down")
def _ledger_down(event: Envelope) -> list[Change]:
    values = {"text": event.data.get("error"), "raised": event.time, "cleared": None}
    return [Change("alert", {"alert": "ledger.down"}, values)]


@_on("ledger.up")
def _ledger_up(event: Envelope) -> list[Change]:
    return [Change("alert", {"alert": "ledger.down"}, {"cleared": event.time})]
