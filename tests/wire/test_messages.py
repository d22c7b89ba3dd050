"""The envelope refuses what would hurt later."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_fakes import fact

from protocol.errors import DecodeError
from protocol.wire import codec
from protocol.wire.messages import Envelope, envelope

PLAIN = envelope(fact(), source="/n/a/0", time=1.0).to_map()


@pytest.mark.parametrize(
    "change",
    [{"type": 1}, {"data": []}, {"time": "noon"}, {"specversion": "2.0"}, {"specversion": 1}, {"shard": 5},
     {"root": None}, {"seq": "7"}, {"epoch": None}, {"id": b"x"}, {"subject": 1}, {"source": None}],
)  # fmt: skip
def test_wrong_values_are_refused(change: dict[str, Any]) -> None:
    Envelope.from_map(PLAIN)
    with pytest.raises(DecodeError):
        Envelope.from_map({**PLAIN, **change})


@pytest.mark.parametrize("key", ["id", "source", "type", "dataschema", "subject", "time"])
def test_missing_values_are_refused(key: str) -> None:
    with pytest.raises(DecodeError):
        Envelope.from_map({name: value for name, value in PLAIN.items() if name != key})


@given(st.binary(max_size=60))
def test_any_bytes_decode_or_are_refused_with_the_bytes_kept(raw: bytes) -> None:
    try:
        codec.unpack(raw)
    except DecodeError as exc:
        assert exc.raw == raw


def test_too_large_messages_are_refused() -> None:
    with pytest.raises(DecodeError, match="more than"):
        codec.unpack(codec.pack(b"x" * 100), limit=50)


def test_patient_data_is_encoded_only_on_request() -> None:
    one = envelope(fact(), source="/n/a/0", time=1.0, phi={"name": "DOE"})
    assert "phi" not in one.to_map()
    assert one.to_map(with_phi=True)["phi"] == {"name": "DOE"}
