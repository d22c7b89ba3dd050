"""Whether the ledger's database can hold the texts of all scanners: an alert for as long as it cannot.
It must not stop anything: what does not fit is flagged and its bytes are kept.
"""

from __future__ import annotations

from typing import Any

from protocol.errors import OutOfSpace
from protocol.spool.notices import Notices

ALERT = "ledger.encoding"


def judge_encoding(encoding: str, notices: Notices, log: Any) -> None:
    """To be called each time that the ledger was opened."""
    try:
        if encoding == "UTF8":
            notices.clear_alert(ALERT)
            return
        what = f"the ledger's database has the encoding {encoding}: texts that it cannot hold are kept as bytes only"
        notices.raise_alert(ALERT, f"{what}; make one with ENCODING 'UTF8' and copy the ledger into it")
    except OutOfSpace as exc:
        log.warning("alert_not_recorded", alert=ALERT, error=str(exc))
