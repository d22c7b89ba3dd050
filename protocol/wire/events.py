"""Every event scanpost reports, as past facts; the dataclass is the documentation of its fields.
No field here may hold patient data or free text out of DICOM (that goes into the envelope's `phi`); UIDs and AE titles may.

Ids: `arrival` and `delivery` are the numbers people see, `receipt` and `association` 32 hexadecimal digits.
Units are in the names; times are seconds since 1970 UTC.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

from protocol.records import record
from protocol.wire.messages import DEBUG, ERROR, WARNING, Event, event


# ---- associations ---------------------------------------------------------------------------------------------
@event("association.opened", "association/{association}", shard="calling_ae")
@record
class AssociationOpened(Event):
    """A scanner connected and its association was accepted."""

    association: str
    calling_ae: str
    called_ae: str
    address: str


@event("association.rejected", "source/{calling_ae}", shard="calling_ae", severity=WARNING)
@record
class AssociationRejected(Event):
    """A scanner was turned away, or a peer sent bytes that are no DICOM."""

    calling_ae: str
    called_ae: str
    address: str
    reason: str


@event("association.closed", "association/{association}", shard="calling_ae")
@record
class AssociationClosed(Event):
    """An association ended; `how` is released or aborted (also: lost, or its worker died)."""

    association: str
    calling_ae: str
    how: str
    images: int
    bytes: int


# ---- images ---------------------------------------------------------------------------------------------------
@event("image.received", "image/{sop_uid}", shard="calling_ae", severity=DEBUG)
@record
class ImageReceived(Event):
    """An image is durable here. `why` is received, or adopted after a crash."""

    receipt: str
    association: str
    arrival: int
    calling_ae: str
    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    bytes: int
    digest: str
    why: str = "received"


@event("image.duplicate", "image/{sop_uid}", shard="calling_ae", severity=DEBUG)
@record
class ImageDuplicate(Event):
    """The same object came again, bit for bit; it was acknowledged and not kept."""

    receipt: str
    association: str
    arrival: int
    calling_ae: str
    sop_uid: str
    twin: str


@event("image.superseded", "image/{sop_uid}", shard="calling_ae", severity=WARNING)
@record
class ImageSuperseded(Event):
    """An object with the same SOP instance UID but other content came later; the newer one is sent."""

    receipt: str
    arrival: int
    calling_ae: str
    sop_uid: str
    newer: str


@event("image.rejected", "association/{association}", shard="calling_ae", severity=WARNING)
@record
class ImageRejected(Event):
    """An image was refused with a failure status; the sender keeps it. `status` as in PS3.7 Annex C."""

    association: str
    calling_ae: str
    sop_uid: str
    status: int
    reason: str


@event("image.quarantined", "quarantine/{receipt}", shard="calling_ae", severity=WARNING)
@record
class ImageQuarantined(Event):
    """Bytes that cannot be read or placed are kept apart, with the reason."""

    receipt: str
    association: str
    calling_ae: str
    bytes: int
    reason: str


@event("quarantine.deleted", "quarantine/{receipt}", shard="calling_ae")
@record
class QuarantineDeleted(Event):
    """A quarantined object is let go: its retention is over, or a person said so (`command`, else 0)."""

    receipt: str
    calling_ae: str
    bytes: int
    command: int


# ---- arrivals -------------------------------------------------------------------------------------------------
@event("arrival.opened", "arrival/{arrival}", shard="calling_ae")
@record
class ArrivalOpened(Event):
    """The first image of a series came in; `addendum_of` names the earlier arrival of a late image, or is 0."""

    arrival: int
    calling_ae: str
    called_ae: str
    study_uid: str
    series_uid: str
    addendum_of: int


@event("arrival.completed", "arrival/{arrival}", shard="calling_ae")
@record
class ArrivalCompleted(Event):
    """The series is complete; `why` is released, spread, idle, aborted, rebuilt or command. Header values travel in `phi`.

    `last_image`: when its last image was stored, 0: not known.
    """

    arrival: int
    calling_ae: str
    study_uid: str
    series_uid: str
    images: int
    bytes: int
    why: str
    modality: str = ""
    last_image: float = 0.0


@event("arrival.decided", "arrival/{arrival}", shard="calling_ae")
@record
class ArrivalDecided(Event):
    """The rules (or a person's command) decided; `outcome` is route, hold, discard, or wait (for its study).

    `counted`: what the counters of rules took, {rule: result}: of active rules true and error, of shadow rules all.
    `flows`: [rule, target or group] for each target that a rule named. `evaluation_s`: how long the rules took, 0: not measured.
    `state` of the series after it, where `outcome` does not say it: a person sent it, and it goes on waiting for its study; no
    rule wants it, but images or a person had it sent.
    """

    arrival: int
    calling_ae: str
    decision: int
    revision: int
    outcome: str
    targets: list[str]
    rules: list[str]
    reason: str = ""
    command: int = 0
    by: str = ""
    counted: dict[str, str] = field(default_factory=dict)
    flows: list[list[str]] = field(default_factory=list)
    evaluation_s: float = 0.0
    state: str = ""


@event("arrival.images.routed", "arrival/{arrival}", shard="calling_ae")
@record
class ArrivalImagesRouted(Event):
    """Rules with the trigger image sent single images of a series at once, before it is complete.

    `counted`: what the counters of rules took, [rule, result, how often].
    """

    arrival: int
    calling_ae: str
    revision: int
    rules: list[str]
    targets: list[str]
    images: int
    counted: list[list[Any]] = field(default_factory=list)


@event("study.decided", "study/{wait}", shard="calling_ae")
@record
class StudyDecided(Event):
    """A rule with the trigger study was asked; `why` is quiet, complete (its condition for that), late or gone.

    `result` is true, false, unknown or error; `outcome` is route, hold, discard, or none: then nothing follows from it.
    """

    wait: int
    study_uid: str
    calling_ae: str
    rule: str
    revision: int
    result: str
    outcome: str
    why: str
    arrivals: int


@event("arrival.discarded", "arrival/{arrival}", shard="calling_ae")
@record
class ArrivalDiscarded(Event):
    """No rule wanted it, or all its deliveries were cancelled; kept for its retention. `by`: a person gave it up."""

    arrival: int
    calling_ae: str
    reason: str
    command: int = 0
    by: str = ""


@event("arrival.held", "arrival/{arrival}", shard="calling_ae", severity=WARNING)
@record
class ArrivalHeld(Event):
    """Set aside whole until a person acts; `by` is the person who did it, if it was one."""

    arrival: int
    calling_ae: str
    reason: str
    command: int = 0
    by: str = ""


@event("arrival.released", "arrival/{arrival}", shard="calling_ae")
@record
class ArrivalReleased(Event):
    """A person released a held arrival; it is decided again."""

    arrival: int
    calling_ae: str
    command: int
    by: str = ""
    reason: str = ""


@event("arrival.kept", "arrival/{arrival}", shard="calling_ae")
@record
class ArrivalKept(Event):
    """A person wants it kept at least until then, in seconds UTC; 0: its retention alone counts again."""

    arrival: int
    calling_ae: str
    until: float
    command: int
    by: str = ""
    reason: str = ""


@event("arrival.delivered", "arrival/{arrival}", shard="calling_ae")
@record
class ArrivalDelivered(Event):
    """Every delivery is finished and at least one reached its target."""

    arrival: int
    calling_ae: str


@event("arrival.deleted", "arrival/{arrival}", shard="calling_ae")
@record
class ArrivalDeleted(Event):
    """Its files may go: delivered or discarded, and older than its retention."""

    arrival: int
    calling_ae: str
    images: int
    bytes: int
    policy: str


@event("rule.failed", "rule/{rule}", severity=ERROR)
@record
class RuleFailed(Event):
    """A rule could not be evaluated for this arrival; it does not apply."""

    rule: str
    arrival: int
    revision: int
    error: str


# ---- deliveries -----------------------------------------------------------------------------------------------
@event("delivery.created", "delivery/{delivery}", shard="target")
@record
class DeliveryCreated(Event):
    """An arrival is to go to a target."""

    delivery: int
    arrival: int
    target: str
    priority: str
    images: int
    bytes: int


@event("delivery.unbound", "delivery/{delivery}", shard="target", severity=WARNING)
@record
class DeliveryUnbound(Event):
    """A delivery to a group left its member, which cannot be used or did not take it, and waits for another one; `target` is
    the group.
    """

    delivery: int
    arrival: int
    target: str
    member: str


@event("delivery.begun_anew", "delivery/{delivery}", shard="target", severity=WARNING)
@record
class DeliveryBegunAnew(Event):
    """The settings of its target name another place than that where its images went until now: all are sent there."""

    delivery: int
    arrival: int
    target: str


@event("delivery.redirected", "delivery/{delivery}", shard="target", severity=WARNING)
@record
class DeliveryRedirected(Event):
    """A person had a delivery go elsewhere; `target` is where to, `before` where it was to go. It begins anew."""

    delivery: int
    arrival: int
    target: str
    before: str
    command: int
    by: str = ""
    reason: str = ""


@event("delivery.claimed", "delivery/{delivery}", shard="target", severity=DEBUG)
@record
class DeliveryClaimed(Event):
    """A dispatcher's slot took it; `attempt` counts from 1."""

    delivery: int
    arrival: int
    target: str
    owner: str
    attempt: int


@event("delivery.images.sent", "delivery/{delivery}", shard="target", severity=DEBUG)
@record
class ImagesSent(Event):
    """The target answered for these images: list of [receipt, DIMSE status]; several a message, each image once.

    `taken` images it has now, `bytes` are theirs (data sets as stored, no headers of files).
    """

    delivery: int
    arrival: int
    target: str
    images: list[list[Any]]
    taken: int = 0
    bytes: int = 0


@event("delivery.images.skipped", "delivery/{delivery}", shard="target")
@record
class ImagesSkipped(Event):
    """The target has these images in the very same version, so they were not sent: list of [receipt, delivery that sent it]."""

    delivery: int
    arrival: int
    target: str
    images: list[list[Any]]


@event("delivery.attempt.failed", "delivery/{delivery}", shard="target", severity=WARNING)
@record
class AttemptFailed(Event):
    """An attempt ended without delivering everything; tried again at `retry_at` unless that is 0."""

    delivery: int
    arrival: int
    target: str
    attempt: int
    error: str
    retry_at: float
    cause: str = ""


@event("delivery.attempt.interrupted", "delivery/{delivery}", shard="target", severity=WARNING)
@record
class AttemptInterrupted(Event):
    """The owner died or was stopped; the delivery goes on at the next unconfirmed image."""

    delivery: int
    arrival: int
    target: str
    owner: str
    deaths: int


@event("delivery.completed", "delivery/{delivery}", shard="target")
@record
class DeliveryCompleted(Event):
    """Every image is confirmed by the target, `seconds` after the delivery was made.

    `sending_s`: how long its last attempt took. `last_image`: when the last image of the arrival was stored, 0 if not known
    or if a person had it sent.
    """

    delivery: int
    arrival: int
    target: str
    images: int
    bytes: int
    seconds: float
    warnings: int
    sending_s: float = 0.0
    last_image: float = 0.0


@event("delivery.parked", "delivery/{delivery}", shard="target", severity=ERROR)
@record
class DeliveryParked(Event):
    """Attempts or time are used up, or images were refused for good; waits for a person."""

    delivery: int
    arrival: int
    target: str
    attempts: int
    error: str
    cause: str = ""


@event("delivery.held", "delivery/{delivery}", shard="target", severity=WARNING)
@record
class DeliveryHeld(Event):
    """Set aside with the reason (target gone, its process died three times, a person); `by` is the person, if any."""

    delivery: int
    arrival: int
    target: str
    reason: str
    cause: str = ""
    command: int = 0
    by: str = ""


@event("delivery.retried", "delivery/{delivery}", shard="target")
@record
class DeliveryRetried(Event):
    """A person sent it back to the queue; command 0: images that it left to a newer version, which does not go there now.

    `undecided`: rules have not had their last word on its arrival, whose state does not follow.
    """

    delivery: int
    arrival: int
    target: str
    command: int
    by: str = ""
    reason: str = ""
    undecided: bool = False


@event("delivery.cancelled", "delivery/{delivery}", shard="target", severity=WARNING)
@record
class DeliveryCancelled(Event):
    """A person cancelled it."""

    delivery: int
    arrival: int
    target: str
    command: int
    by: str = ""
    reason: str = ""


@event("delivery.prioritised", "delivery/{delivery}", shard="target")
@record
class DeliveryPrioritised(Event):
    """A person gave it another priority: urgent, normal or offpeak."""

    delivery: int
    arrival: int
    target: str
    priority: str
    command: int
    by: str = ""
    reason: str = ""


@event("delivery.confirming", "delivery/{delivery}", shard="target")
@record
class DeliveryConfirming(Event):
    """Every image is sent and the target was asked to commit to them; it has until `until` to answer."""

    delivery: int
    arrival: int
    target: str
    until: float


# ---- storage commitment -----------------------------------------------------------------------------------------
@event("commitment.requested", "commitment/{commitment}", shard="calling_ae")
@record
class CommitmentRequested(Event):
    """A scanner asked us to take responsibility for images; the request is durable."""

    commitment: int
    association: str
    calling_ae: str
    transaction_uid: str
    images: int


@event("commitment.answered", "commitment/{commitment}", shard="calling_ae")
@record
class CommitmentAnswered(Event):
    """It is settled which images are committed; `reasons` is [SOP instance UID, failure reason (0008,1197)] of the first failed."""

    commitment: int
    calling_ae: str
    transaction_uid: str
    images: int
    failed: int
    reasons: list[list[Any]]


@event("commitment.reported", "commitment/{commitment}", shard="calling_ae")
@record
class CommitmentReported(Event):
    """The scanner took the report; `how` is same or new (association), `status` its DIMSE answer."""

    commitment: int
    calling_ae: str
    transaction_uid: str
    how: str
    status: int


@event("commitment.report.failed", "commitment/{commitment}", shard="calling_ae", severity=WARNING)
@record
class CommitmentReportFailed(Event):
    """The report did not reach the scanner; tried again at `retry_at` unless that is 0: then it is given up."""

    commitment: int
    calling_ae: str
    transaction_uid: str
    attempt: int
    error: str
    retry_at: float


@event("confirmation.asked", "delivery/{delivery}", shard="target")
@record
class ConfirmationAsked(Event):
    """We are about to ask a target to commit to the images of a delivery."""

    delivery: int
    arrival: int
    target: str
    transaction_uid: str
    images: int


@event("confirmation.answered", "delivery/{delivery}", shard="target")
@record
class ConfirmationAnswered(Event):
    """The target's report; `reasons` is [SOP instance UID, failure reason (0008,1197)] of the first failed images."""

    delivery: int
    arrival: int
    target: str
    transaction_uid: str
    committed: int
    failed: int
    reasons: list[list[Any]]


@event("target.paused", "target/{target}", shard="target", severity=WARNING)
@record
class TargetPaused(Event):
    """No delivery to this target is claimed until it is resumed."""

    target: str
    reason: str
    until: float
    by: str


@event("target.resumed", "target/{target}", shard="target")
@record
class TargetResumed(Event):
    """Deliveries to this target go on."""

    target: str
    by: str
    reason: str = ""


@event("target.breaker.opened", "target/{target}", shard="target", severity=WARNING)
@record
class TargetBreakerOpened(Event):
    """Nobody was there: nothing goes to this target before `until`, then one probe at a time, until it answers."""

    target: str
    error: str
    until: float


@event("target.breaker.closed", "target/{target}", shard="target")
@record
class TargetBreakerClosed(Event):
    """The target answers again, or a person says so (`why`); it had been left alone for `seconds`."""

    target: str
    seconds: float
    why: str


# ---- people, configuration, the node ---------------------------------------------------------------------------
@event("command.asked", "command/{command}")
@record
class CommandAsked(Event):
    """A person (or program) asked for something; `reason` is why, in their words."""

    command: int
    kind: str
    by: str
    arguments: dict[str, Any]
    reason: str = ""


@event("command.answered", "command/{command}")
@record
class CommandAnswered(Event):
    """What became of it."""

    command: int
    kind: str
    by: str
    state: str
    answer: str
    reason: str = ""


@event("audit.head", "audit/{number}", severity=DEBUG)
@record
class AuditHead(Event):
    """Where the audit's chain stands, once an hour if it moved: entry and link (hexadecimal). Entries that are cut off its
    end later are missed by it.
    """

    number: int
    link: str


@event("node.drain.begun", "node/drain", severity=WARNING)
@record
class NodeDrainBegun(Event):
    """A person drains the node: new associations are refused, what is here is decided and delivered."""

    by: str
    reason: str
    command: int


@event("node.drain.ended", "node/drain")
@record
class NodeDrainEnded(Event):
    """The node takes images again."""

    by: str
    reason: str
    command: int


@event("config.changed", "config/{revision}")
@record
class ConfigChanged(Event):
    """The router works with another version of the routing configuration."""

    revision: int
    author: str
    reason: str


@event("config.damaged", "config/{place}", severity=ERROR)
@record
class ConfigDamaged(Event):
    """A file of the routing configuration cannot be used; the former version stays current."""

    place: str
    error: str


@event("actor.started", "actor/{actor}", shard="actor")
@record
class ActorStarted(Event):
    """An actor holds its lock and begins to recover."""

    actor: str
    pid: int
    version: str
    boot: str


@event("actor.recovered", "actor/{actor}", shard="actor")
@record
class ActorRecovered(Event):
    """What an actor found and mended at its start."""

    actor: str
    found: dict[str, int]


@event("actor.stopped", "actor/{actor}", shard="actor")
@record
class ActorStopped(Event):
    """An orderly stop."""

    actor: str
    pid: int


@event("alert.raised", "alert/{alert}", shard="alert", severity=ERROR)
@record
class AlertRaised(Event):
    """Something needs a person. `severity` is info, warning or critical, `about` what it concerns, such as target/pacs."""

    alert: str
    text: str
    severity: str = "warning"
    about: str = ""
    count: int = 1


@event("alert.updated", "alert/{alert}", shard="alert", severity=WARNING)
@record
class AlertUpdated(Event):
    """It still does, and there is more or less of it. `raised`: when it was."""

    alert: str
    text: str
    severity: str
    count: int
    raised: float


@event("alert.cleared", "alert/{alert}", shard="alert")
@record
class AlertCleared(Event):
    """It no longer does. `raised`: when it was."""

    alert: str
    raised: float = 0.0


@event("alert.acknowledged", "alert/{alert}", shard="alert")
@record
class AlertAcknowledged(Event):
    """A person takes care of it; nobody is reminded any more. `raised`: when it was."""

    alert: str
    by: str
    note: str
    raised: float


@event("alert.silenced", "silence/{silence}")
@record
class AlertSilenced(Event):
    """Nobody is told of alerts that match `pattern` before `until`; they are shown all the same."""

    silence: int
    pattern: str
    until: float
    by: str
    reason: str


@event("alert.unsilenced", "silence/{silence}")
@record
class AlertUnsilenced(Event):
    """A silence ends: a person said so, or its time is over (`by` is empty)."""

    silence: int
    pattern: str
    by: str


@event("letter.sent", "letter/{letter}")
@record
class LetterSent(Event):
    """A mail or webhook was taken; `channel` is mail or webhook, `items` how many things it told."""

    letter: int
    channel: str
    items: int
    attempts: int


@event("letter.given_up", "letter/{letter}", severity=ERROR)
@record
class LetterGivenUp(Event):
    """A mail or webhook was not taken until it was too old."""

    letter: int
    channel: str
    items: int
    attempts: int


@event("outbox.trimmed", "outbox/{upto}", severity=DEBUG)
@record
class OutboxTrimmed(Event):
    """Old events that every consumer has confirmed left the outbox."""

    upto: int
    events: int


@event("spool.epoch.begun", "epoch/{epoch}", severity=WARNING)
@record
class EpochBegun(Event):
    """The outbox begins a new numbering: after a restore, a rebuild or an unclean boot in relaxed mode."""

    epoch: int
    why: str


@event("ledger.down", "ledger/{node}", severity=ERROR)
@record
class LedgerDown(Event):
    """The bookkeeper cannot reach its database; nothing is lost, the outbox keeps the events."""

    node: str
    error: str


@event("ledger.up", "ledger/{node}")
@record
class LedgerUp(Event):
    """The database is back."""

    node: str
    backlog: int


# ---- sent, not recorded -----------------------------------------------------------------------------------------
@event("delivery.progress", "delivery/{delivery}", shard="target", root="tmp", severity=DEBUG)
@record
class DeliveryProgress(Event):
    """How far an attempt is."""

    delivery: int
    arrival: int
    target: str
    sent: int
    total: int


@event("arrival.updated", "arrival/{arrival}", shard="calling_ae", root="tmp", severity=DEBUG)
@record
class ArrivalUpdated(Event):
    """More images joined an open arrival."""

    arrival: int
    calling_ae: str
    images: int


@event("actor.status", "actor/{actor}", shard="actor", root="sys", severity=DEBUG)
@record
class ActorStatus(Event):
    """Heartbeat of an actor: once a second while anything happens, every fifteen seconds while nothing does."""

    actor: str
    pid: int
    state: str
    uptime_s: float
    version: str
    figures: dict[str, float] = field(default_factory=dict)


@event("head", "outbox/head", root="sys", severity=DEBUG)
@record
class Head(Event):
    """Beacon of the bus: the last published number; a consumer that is behind fetches. `next_s`: the next one comes so much
    later at the latest, and within a second of an event.
    """

    epoch: int
    last: int
    bus_id: str
    next_s: float = 1.0


@event("news", "outbox/news", root="sys", severity=DEBUG)
@record
class News(Event):
    """Something was published: said ten times a second at most, to those who read the outbox by themselves."""

    epoch: int
    last: int


@event("bus.started", "bus/{bus_id}", root="sys")
@record
class BusStarted(Event):
    """A bus process began at the head of the outbox; subscribers fetch what they missed."""

    bus_id: str
    epoch: int
    head: int
