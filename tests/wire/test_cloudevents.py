"""Events as CloudEvents JSON."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import DecodeError
from protocol.wire import codec
from protocol.wire.cloudevents import from_cloudevent, rfc3339, to_cloudevent, to_json
from protocol.wire.events import DeliveryCompleted, DeliveryProgress
from protocol.wire.messages import Envelope, envelope

DONE = replace(
    envelope(DeliveryCompleted(1, 2, "pacs", 3, 4, 5.5, 0), source="/n/dispatcher/1", time=1_800_000_000.125,
             correlation="2", phi={"name": "DOE^JOHN"}),
    epoch=3, seq=120,
)  # fmt: skip


def test_recorded_event_as_cloudevent() -> None:
    made = to_cloudevent(DONE)
    assert made["time"] == "2027-01-15T08:00:00.125000Z"
    assert made["sequence"] == "00000000000000000120"
    assert made["epoch"] == 3
    assert made["data"]["target"] == "pacs"
    assert made["specversion"] == "1.0"
    assert all(re.fullmatch("[a-z0-9]+", key) for key in made)


def test_patient_data_is_no_part_of_it() -> None:
    assert "DOE" not in to_json(DONE)


def test_event_that_is_only_sent_has_no_sequence() -> None:
    made = to_cloudevent(envelope(DeliveryProgress(1, 2, "pacs", 3, 4), source="/n/d/1", time=1.0))
    assert "sequence" not in made and "epoch" not in made and "causationid" not in made


def test_json_is_one_line_whatever_is_in_it() -> None:
    text = to_json(replace(DONE, data={"text": "two\nlines \u00e4", "bytes": b"\x00\xff"}))
    assert "\n" not in text
    assert json.loads(text)["data"] == {"text": "two\nlines \u00e4", "bytes": "00ff"}


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    data=st.dictionaries(st.text(), plain, max_size=4),
    time=st.integers(0, 4_000_000_000_000_000).map(lambda us: us / 1e6),
    seq=st.integers(1, 2**63 - 1),
    shard=st.text(max_size=10),
)
def test_msgpack_and_json_carry_the_same(data: dict[str, object], time: float, seq: int, shard: str) -> None:
    one = replace(DONE, data=data, time=time, seq=seq, shard=shard, phi=None)
    assert Envelope.from_map(codec.unpack_map(codec.pack(one.to_map()))) == one
    back = from_cloudevent(json.loads(to_json(one)))
    assert replace(back, time=time) == one
    assert rfc3339(back.time) == rfc3339(time)


@pytest.mark.parametrize("plain", [{}, {"time": 1}, {"time": "x"}, {"time": "2026-01-01T00:00:00Z", "sequence": "y"}])
def test_other_json_is_refused(plain: dict[str, object]) -> None:
    with pytest.raises(DecodeError):
        from_cloudevent(plain)
