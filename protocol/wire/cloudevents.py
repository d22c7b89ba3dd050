"""Envelopes as CloudEvents 1.0 JSON (structured mode) and back, for people and other programs.
It only translates; patient data is never part of it.

Sources: CloudEvents 1.0 spec and JSON format, extensions sequence (compared as text, so zero-padded) and severity.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from protocol.errors import DecodeError
from protocol.wire.messages import Envelope

_SEQUENCE_DIGITS = 20


def rfc3339(time: float) -> str:
    """Seconds since 1970 UTC as RFC 3339 text with microseconds."""
    return datetime.fromtimestamp(round(time, 6), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def to_cloudevent(one: Envelope) -> dict[str, Any]:
    """The event as a map for JSON; empty attributes are left out, recorded events have `epoch` and `sequence`."""
    made: dict[str, Any] = one.to_map()
    made["time"] = rfc3339(one.time)
    made["datacontenttype"] = "application/json"
    sequence = made.pop("seq")
    if sequence:
        made["sequence"] = f"{sequence:0{_SEQUENCE_DIGITS}d}"
    else:
        del made["epoch"]
    return {key: value for key, value in made.items() if value != ""}


def to_json(one: Envelope) -> str:
    """One line of JSON."""
    return json.dumps(to_cloudevent(one), ensure_ascii=False, separators=(",", ":"), default=_plain)


def from_cloudevent(plain: Mapping[str, Any]) -> Envelope:
    """Inverse of `to_cloudevent`. Raises DecodeError."""
    made = dict(plain)
    try:
        made["time"] = datetime.fromisoformat(made["time"]).timestamp()
        made["seq"] = int(made.pop("sequence", 0))
    except (KeyError, TypeError, ValueError) as exc:
        raise DecodeError(f"not a CloudEvent of ours: {exc}") from exc
    return Envelope.from_map(made)


def _plain(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
