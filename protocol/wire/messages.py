"""The envelope around every event (CloudEvents 1.0 attribute names) and the registry of event types.
It must not know sockets or tables; the events themselves stand in events.py, one record each.

Consumers ignore keys they do not know and keep types they do not know; fields are only ever added
(docs/events.md is generated from this registry).
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from protocol.errors import DecodeError
from protocol.records import record

DEBUG, INFO, WARNING, ERROR = 5, 9, 13, 17  # OpenTelemetry severity numbers


@record
class Event:
    """Base of all event types. `TYPE`, `SEVERITY`, `SUBJECT`, `SHARD`, `DURABLE` are set by `@event`."""

    TYPE: ClassVar[str] = ""
    VERSION: ClassVar[int] = 1
    SEVERITY: ClassVar[int] = INFO
    SUBJECT: ClassVar[str] = ""  # e.g. "arrival/{arrival}"
    SHARD: ClassVar[str] = ""  # the field that ends the topic: target, calling AE or actor
    ROOT: ClassVar[str] = "ev"  # ev: recorded in the outbox; tmp, sys: only sent

    def subject(self) -> str:
        """The object this is about, as `kind/id`."""
        return self.SUBJECT.format_map(self.__dict__)

    def shard(self) -> str:
        """Last part of the topic, not yet escaped."""
        return str(self.__dict__.get(self.SHARD, "")) if self.SHARD else ""

    def data(self) -> dict[str, Any]:
        """Fields as plain values, in their order."""
        return dict(self.__dict__)


E = TypeVar("E", bound=type[Event])
REGISTRY: dict[str, type[Event]] = {}


def event(
    name: str, subject: str, *, shard: str = "", severity: int = INFO, root: str = "ev", version: int = 1
) -> Callable[[E], E]:
    """Register an event type under its name, `noun.verb-past`; the class docstring is its documentation."""

    def register(cls: E) -> E:
        if name in REGISTRY:
            raise ValueError(f"event type {name} exists twice")
        cls.TYPE, cls.SUBJECT, cls.SHARD = name, subject, shard
        cls.SEVERITY, cls.ROOT, cls.VERSION = severity, root, version
        REGISTRY[name] = cls
        return cls

    return register


@record
class Envelope:
    """One event on the bus or out of the outbox. Times are seconds since 1970 UTC; `seq` is 0 for what is only sent."""

    id: str
    source: str  # "/node/actor/instance"
    type: str
    dataschema: str
    subject: str
    time: float
    epoch: int = 0
    seq: int = 0
    correlationid: str = ""
    causationid: str = ""
    severitynumber: int = INFO
    shard: str = ""
    root: str = "ev"
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    phi: Mapping[str, Any] | None = None  # patient data; never sent under ev.
    specversion: str = "1.0"

    def to_map(self, *, with_phi: bool = False) -> dict[str, Any]:
        """Plain values for the codec; patient data only on request."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if not with_phi:
            del plain["phi"]
        return plain

    @classmethod
    def from_map(cls, plain: Mapping[str, Any]) -> Envelope:
        """Inverse of `to_map`; unknown keys are ignored. Raises DecodeError for missing or mistyped ones."""
        known = {field.name for field in dataclasses.fields(cls)}
        try:
            made = cls(**{key: value for key, value in plain.items() if key in known})
        except TypeError as exc:
            raise DecodeError(f"not an envelope: {exc}") from exc
        texts = (made.id, made.source, made.type, made.subject, made.shard, made.root, made.specversion)
        counts = (made.epoch, made.seq, made.severitynumber)
        if not (
            all(isinstance(text, str) for text in texts)
            and all(isinstance(number, int) for number in counts)
            and isinstance(made.data, Mapping)
            and isinstance(made.time, int | float)
        ):
            raise DecodeError("not an envelope: a value has the wrong form")
        if made.specversion.split(".")[0] != "1":
            raise DecodeError(f"envelope of unknown version {made.specversion!r}")
        return made


def envelope(
    body: Event, *, source: str, time: float, correlation: str = "", phi: Mapping[str, Any] | None = None
) -> Envelope:
    """Wrap an event that is only sent (`tmp.`, `sys.`); recorded ones get their envelope from the outbox."""
    return Envelope(
        id=str(uuid.uuid4()), source=source, type=body.TYPE, dataschema=f"{body.TYPE}/{body.VERSION}",
        subject=body.subject(), time=time, correlationid=correlation, severitynumber=body.SEVERITY,
        shard=body.shard(), root=body.ROOT, data=body.data(), phi=phi,
    )  # fmt: skip
