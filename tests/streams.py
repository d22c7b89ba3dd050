"""Real associations as bytes, taken apart and damaged: what senders said, for tests that fuzz. It must not open sockets.

tests/recorded/ holds what DCMTK's storescu, dcmsend and echoscu and pynetdicom sent to a receiver of ours, for two small MR
images of pydicom's test data.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from hypothesis import strategies as st

RECORDED = {path.stem: path.read_bytes() for path in sorted((Path(__file__).parent / "recorded").glob("*.bin"))}
LENGTHS = [0, 1, 2, 3, 5, 6, 7, 0x7FFF, 0xFFFF, 0x10000, 0x400001, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF]


def pdus_of(stream: bytes) -> list[bytes]:
    """The PDUs of a stream, each whole. ValueError if there is something else."""
    found, at = [], 0
    while at < len(stream):
        if len(stream) - at < 6 or at + 6 + int.from_bytes(stream[at + 2 : at + 6], "big") > len(stream):
            raise ValueError("the stream ends within a PDU")
        stop = at + 6 + int.from_bytes(stream[at + 2 : at + 6], "big")
        found.append(stream[at:stop])
        at = stop
    return found


def pdv(context: int, control: int, data: bytes) -> bytes:
    """One PDV in a P-DATA-TF of its own."""
    return struct.pack(">BxIIBB", 4, len(data) + 6, len(data) + 2, context, control) + data


@st.composite
def damaged_streams(draw: st.DrawFn) -> bytes:
    """A recorded association with a few faults: of bytes, of lengths, of the order of its PDUs."""
    return draw(damaged(RECORDED[draw(st.sampled_from(sorted(RECORDED)))]))


@st.composite
def damaged(draw: st.DrawFn, stream: bytes) -> bytes:
    """One stream of PDUs with a few faults."""
    parts = [bytearray(one) for one in pdus_of(stream)]
    for _ in range(draw(st.integers(1, 4))):
        _damage(draw, parts)
    stream = b"".join(parts)
    if draw(st.integers(0, 3)) == 0:
        stream = stream[: draw(st.integers(0, len(stream)))]
    return stream


def _damage(draw: st.DrawFn, parts: list[bytearray]) -> None:
    at = draw(st.integers(0, len(parts) - 1))
    part = parts[at]
    fault = draw(st.sampled_from(["byte", "byte", "head", "length", "pdv", "drop", "twice", "swap", "junk", "glue"]))
    if fault == "byte":
        part[draw(st.integers(0, len(part) - 1))] = draw(st.integers(0, 255))
    elif fault == "head":  # of a PDU, PDV or command set
        part[draw(st.integers(0, min(len(part), 40) - 1))] = draw(st.sampled_from([0, 1, 2, 3, 4, 0x7F, 0x80, 0xFF]))
    elif fault == "length":
        part[2:6] = draw(st.sampled_from(LENGTHS)).to_bytes(4, "big")
    elif fault == "pdv" and len(part) > 12:
        part[6:10] = draw(st.sampled_from(LENGTHS)).to_bytes(4, "big")
    elif fault == "drop":
        del parts[at]
        parts.append(bytearray(draw(st.binary(min_size=1, max_size=3))))
    elif fault == "twice":
        parts.insert(draw(st.integers(0, len(parts))), bytearray(part))
    elif fault == "swap":
        other = draw(st.integers(0, len(parts) - 1))
        parts[at], parts[other] = parts[other], parts[at]
    elif fault == "junk":
        body = draw(st.binary(max_size=30))
        parts.insert(at, bytearray(struct.pack(">BxI", draw(st.integers(0, 9)), len(body)) + body))
    elif fault == "glue":  # a few PDVs in one PDU, as some senders do
        parts[at : at + 2] = [_glued(parts[at : at + 2])]


def _glued(parts: Iterable[bytearray]) -> bytearray:
    bodies = b"".join(part[6:] for part in parts)
    return bytearray(struct.pack(">BxI", 4, len(bodies)) + bodies)
