"""Notifications of rules: what happened to series becomes items for whom their rules want told.
It must not send, nor judge an arrival: which rules it concerns stands in the spool.

It reads the outbox behind a cursor of its own, and the items of the events up to a place and the cursor there are one
transaction: each event is told once, whatever dies. Whom to tell is asked of the configuration as it is now.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from actors.bookkeeper.alerts.watch import channels
from actors.bookkeeper.alerts.words import plain
from protocol.routing.model import RoutingConfiguration, Rule
from protocol.routing.notify import PATIENT_FIELDS, Notify, fields_of, fill
from protocol.spool.letters import Item
from protocol.spool.outbox import NOTIFIER, Cursor
from protocol.wire.messages import Envelope

if TYPE_CHECKING:
    from actors.base import Context
    from protocol.spool.watching import Happened

TYPES = ("arrival.decided", "arrival.delivered", "delivery.parked")
SPANS = 10  # of events in one round, between two of which other work gets its turn
CONFIRM_EVERY_S = 60.0
_OUTCOMES = {"hold": "held", "discard": "discarded"}
HIDDEN = "(hidden)"


def occasions(event: Envelope, routed: Collection[str]) -> Iterator[tuple[str, str]]:
    """What an event is to rules, as (rule, occasion). `routed`: the rules that routed the arrival."""
    data = event.data
    if event.type == "arrival.delivered":
        yield from ((rule, "completed") for rule in routed)
    elif event.type == "delivery.parked":
        yield from ((rule, "failed") for rule in routed)
    elif data.get("outcome") in ("route", "hold", "discard"):
        for rule in data.get("rules", ()):
            if not data.get("command"):  # what a person has decided anew came in before
                yield rule, "received"
            if told := _OUTCOMES.get(data["outcome"]):
                yield rule, told


def concerns(rule: Rule, occasion: str, target: str, configuration: RoutingConfiguration) -> bool:
    """Whether a rule is concerned: by a failure if it sends to that target, or to a group that has it."""
    if occasion != "failed" or target in rule.targets:
        return True
    return any(target in configuration.groups[name].members for name in rule.targets if name in configuration.groups)


class Notifications:
    """One round after the other; see the module."""

    def __init__(self, context: Context) -> None:
        self._context, self._spool, self._clock = context, context.spool, context.clock
        self._limits, self._log = context.settings.alerts, context.log
        self._at: Cursor | None = None
        self._confirmed = float("-inf")
        self.unset: frozenset[str] = frozenset()
        """Channels that rules name and the settings do not have."""

    def round(self) -> None:
        """What happened since the last one."""
        configuration = self._context.routing.current().configuration
        rules = {rule.name: rule for rule in configuration.rules if rule.notify}
        named = {one.to.partition(":")[0] for rule in rules.values() for one in rule.notify}
        self.unset = frozenset(named) - self._there()
        if self._at is None:
            self._at = self._spool.outbox.confirmed(NOTIFIER)
            if self._at is None:
                self._at = self._spool.outbox.head()
                self._confirm()
        if rules:
            self._read(rules, configuration)
        else:
            self._at = self._spool.outbox.head()
        if self._clock.monotonic() >= self._confirmed + CONFIRM_EVERY_S:
            self._confirm()

    def _there(self) -> set[str]:
        """Channels that can be used. A webhook of a rule brings its own URL; all it needs is a timeout."""
        return {"webhook", *channels(self._limits)}

    def _read(self, rules: Mapping[str, Rule], configuration: RoutingConfiguration) -> None:
        for _ in range(SPANS):
            assert self._at is not None
            events, upto = self._spool.outbox.of_types(self._at, TYPES)
            items = [item for event in events for item in self._items(event, rules, configuration)]
            if items:
                self._spool.letters.happened(upto, items)
                self._confirmed = self._clock.monotonic()
            done, self._at = upto.seq == self._at.seq, upto
            if done:
                return

    def _confirm(self) -> None:
        self._confirmed = self._clock.monotonic()
        if self._at is not None and self._spool.outbox.confirmed(NOTIFIER) != self._at:
            self._spool.letters.happened(self._at, [])

    def _items(
        self, event: Envelope, rules: Mapping[str, Rule], configuration: RoutingConfiguration
    ) -> list[Item]:  # fmt: skip
        try:
            return list(self._of(event, rules, configuration))
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            # An event of a form that nobody knows must not keep those behind it for ever (known-failures 27).
            self._log.error("event_not_told", event=event.id, type=event.type, error=type(exc).__name__)
            return []

    def _of(
        self, event: Envelope, rules: Mapping[str, Rule], configuration: RoutingConfiguration
    ) -> Iterator[Item]:  # fmt: skip
        keywords = {name for rule in rules.values() for one in rule.notify for name in fields_of(one.text)} & {
            *PATIENT_FIELDS
        }
        found = self._spool.watching.happened(event.data["arrival"], keywords if self._limits.patient_names else ())
        if found is None:
            return
        target = str(event.data.get("target", ""))
        for name, occasion in occasions(event, found.rules):
            rule = rules.get(name)
            if rule is None or not concerns(rule, occasion, target, configuration):
                continue
            for notify in rule.notify:
                if occasion in notify.on and notify.to.partition(":")[0] not in self.unset:
                    yield Item(notify.to, self._body(event, name, occasion, notify, found))

    def _body(self, event: Envelope, rule: str, occasion: str, notify: Notify, found: Happened) -> dict[str, Any]:
        arrival = found.arrival
        body = {
            "kind": "rule", "rule": rule, "on": occasion, "arrival": event.data["arrival"],
            "delivery": event.data.get("delivery", 0), "target": event.data.get("target", ""),
            "cause": event.data.get("cause", ""), "source": arrival["calling_ae"], "images": arrival["images"],
            "modality": arrival["modality"], "study_uid": arrival["study_uid"], "series_uid": arrival["series_uid"],
            "time": event.time, "id": event.id,
        }  # fmt: skip
        if not notify.text:
            return body
        values = {name: plain(value) for name, value in {**body, "node": self._context.settings.node.name}.items()}
        hidden = "" if self._limits.patient_names else HIDDEN
        patient = {name: plain(found.header.get(name, hidden)) for name in PATIENT_FIELDS}
        return {**body, "text": fill(notify.text, {**values, **patient})}
