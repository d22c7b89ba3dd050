"""What the event of a completed arrival hands to the ledger: the header values of all its images, packed, and its origin.
It must not write anything, nor judge what rules may want to read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from protocol.header.packed import Packed, pack_headers
from protocol.records import record
from protocol.spool.transaction import Transaction
from protocol.wire.codec import unpack_stored


@record
class AllHeaders:
    """Header values of all images of an arrival, when it had so many positions."""

    positions: int
    packed: Packed


def all_headers(connection: sqlite3.Connection | Transaction, id: int) -> AllHeaders:
    """The headers of an arrival's images, without superseded ones; none if there is no such arrival."""
    row = connection.execute("SELECT header, positions FROM arrival WHERE id = ?", (id,)).fetchone()
    if row is None:
        return AllHeaders(0, pack_headers({}, []))
    images = connection.execute(
        "SELECT header, transfer_syntax_uid FROM image WHERE arrival = ? AND superseded IS NULL ORDER BY position",
        (id,),
    ).fetchall()
    differences = [{**(unpack_stored(image[0]) if image[0] else {}), "TransferSyntaxUID": image[1]} for image in images]
    common = unpack_stored(row["header"]) if row["header"] else {}
    return AllHeaders(row["positions"], pack_headers(common, differences))


def kept(arrival: Mapping[str, Any], packed: Packed, mined: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The `phi` of ArrivalCompleted, from which protocol/ledger makes rows. `mined`: see mined.py."""
    origin = {name: arrival[name] for name in ("called_ae", "address", "source", "addendum_of", "opened")}
    return {
        "header": dict(packed.shared), "first": dict(packed.first), "columns": packed.columns, "count": packed.count,
        "dropped": list(packed.dropped), "origin": origin, **({} if mined is None else {"mining": dict(mined)}),
    }  # fmt: skip
