"""The header values that the ledger keeps of arrivals, as values of its table `header`: written from the event of their
completion, read again for backtests. It must not know rules, nor touch a database (`recorded` and `record` do).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from protocol.header.packed import pack_header
from protocol.wire.messages import Envelope

SHARES = 256


def kept_headers(event: Envelope) -> dict[str, Any] | None:
    """The row's values of an `arrival.completed`, None if it tells too little (a rebuilt spool, an earlier version)."""
    phi = event.phi
    if not isinstance(phi, Mapping) or not isinstance(phi.get("columns"), bytes):
        return None
    origin = phi["origin"]
    study, calling = event.data.get("study_uid"), event.data.get("calling_ae")
    return {
        "received": origin["opened"],
        "share": share_of(str(study), str(calling)),
        "calling_ae": calling,
        "called_ae": origin["called_ae"],
        "address": origin["address"],
        "source": origin["source"],
        "study_uid": study,
        "series_uid": event.data.get("series_uid"),
        "addendum_of": origin["addendum_of"],
        "images": phi["count"],
        "bytes": event.data.get("bytes"),
        "dropped": list(phi["dropped"]) or None,
        "first": pack_header({**phi["header"], **phi["first"]}),
        "columns": phi["columns"] or None,
    }


def share_of(study_uid: str, calling_ae: str) -> int:
    """In which of SHARES parts of the work all arrivals of a study are (its series and their addenda with them)."""
    return zlib.crc32(f"{calling_ae}\0{study_uid}".encode("utf-8", "replace")) % SHARES
