"""Bytes of everything that is stored or sent as msgpack: the only home of msgpack.
It knows plain values alone (None, bool, int, float, str, bytes, list, dict with text keys) and never calls code while decoding.
"""

from __future__ import annotations

import threading
from typing import Any, cast

import msgpack

from protocol.errors import DecodeError

MAX_BYTES = 1 << 20  # one message; the sockets refuse more as well (MAXMSGSIZE)


class _Packers(threading.local):
    """A packer for each thread: making one costs ten times as much as packing an event with it."""

    def __init__(self) -> None:
        self.packer = msgpack.Packer(use_bin_type=True)


_packers = _Packers()


def pack(value: Any) -> bytes:
    """Encode plain values; tuples become lists. Raises TypeError for anything else."""
    try:
        return cast(bytes, _packers.packer.pack(value))
    except BaseException:
        _packers.packer = msgpack.Packer(use_bin_type=True)  # half a value may be left in the other one
        raise


def unpack(raw: bytes | memoryview, limit: int = MAX_BYTES) -> Any:
    """Decode one value. Raises DecodeError (which keeps the bytes) for anything that is not exactly one value."""
    if len(raw) > limit:
        raise DecodeError(f"{len(raw)} bytes are more than {limit}", bytes(raw[:64]))
    try:
        return msgpack.unpackb(raw, raw=False, strict_map_key=False)
    except (ValueError, TypeError, UnicodeError, RecursionError, msgpack.UnpackException) as exc:
        raise DecodeError(f"not a message: {exc}", bytes(raw)) from exc


def unpack_map(raw: bytes | memoryview, limit: int = MAX_BYTES) -> dict[str, Any]:
    """Decode a map with text keys, the form of every envelope and record body."""
    value = unpack(raw, limit)
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise DecodeError("not a map with text keys", bytes(raw))
    return value


def unpack_stored(raw: bytes) -> dict[str, Any]:
    """A map that we wrote into our own database: no limit of size, since refusing it would block what stands behind it."""
    return unpack_map(raw, limit=len(raw))
