"""Events for ledger tests: an example of every type, and envelopes as the outbox hands them out."""

import dataclasses
import typing
import uuid

from protocol.wire.messages import Envelope

NODE = "node1"
EPOCH = 1_800_000_000
_BY_TYPE = {str: "text", int: 7, float: 1.5, bool: False, dict[str, int]: {"found": 1}, dict[str, float]: {"rate": 1.0},
            dict[str, typing.Any]: {"key": "value"}, list[str]: ["one"],
            dict[str, str]: {"rule": "true"}, list[list[str]]: [["rule", "target"]], list[list[typing.Any]]: [["r" * 32, 0]]}  # fmt: skip


def example(cls, **fields):
    """An event of this type with some value in every field; `fields` replace them."""
    hints = typing.get_type_hints(cls)
    values = {field.name: _BY_TYPE[hints[field.name]] for field in dataclasses.fields(cls)}
    return cls(**{**values, **fields})


def wrap(event, seq, *, epoch=EPOCH, phi=None, time=None, **more):
    """The envelope that the outbox gives an event."""
    plain = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{epoch}/{seq}")), "source": f"/{NODE}/receiver/0", "type": event.TYPE,
        "dataschema": f"{event.TYPE}/{event.VERSION}", "subject": event.subject(), "epoch": epoch, "seq": seq,
        "time": EPOCH + seq if time is None else time, "severitynumber": event.SEVERITY, "shard": event.shard(),
        "data": event.data(), "phi": phi,
    }  # fmt: skip
    return Envelope(**{**plain, **more})


def wrap_all(*events, first=1, epoch=EPOCH):
    return [wrap(event, seq, epoch=epoch) for seq, event in enumerate(events, first)]


def record(ledger, batch, before=(0, 0)):
    """Record a batch as the bookkeeper does; returns what became of it."""
    return ledger.record(batch, before, (batch[-1].epoch, batch[-1].seq))
