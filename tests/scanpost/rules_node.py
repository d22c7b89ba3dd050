"""A node's home for tests of `scanpost rules`: series received and decided, a routing configuration, a ledger that has it all."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

from actors.router.verdicts import case_of, verdict_for
from protocol.clock import ManualClock
from protocol.fsops import RealFs
from protocol.header.scan import Header
from protocol.ledger.record import Ledger
from protocol.routing.parse import build
from protocol.routing.versions import RoutingVersions
from protocol.spool import open_spool
from protocol.spool.images import Incoming
from protocol.spool.outbox import Cursor

NODE = "node1"
TARGETS = {name: {"type": "dicom", "host": "h", "port": 104, "called_ae": name.upper()} for name in ("pacs", "ai")}
CURRENT: dict[str, Any] = {"targets": TARGETS, "rules": [
    {"name": "cardiac", "when": "Modality == 'MR' and contains(StudyDescription, 'cardiac')", "action": "route", "targets": ["pacs"]},
    {"name": "thin", "when": "any_image(SliceThickness < 1.5)", "action": "route", "targets": ["ai"], "mode": "shadow"},
]}  # fmt: skip
DRAFT: dict[str, Any] = {"targets": TARGETS, "rules": [
    {"name": "cardiac", "when": "Modality == 'MR'", "action": "route", "targets": ["pacs", "ai"]}]}  # fmt: skip


class Home:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(time.time() - 60)
        self.spool = open_spool(folder, source=f"/{NODE}/test/0", create=True, clock=self.clock)
        self.versions = RoutingVersions(folder / "config" / "routing", RealFs(), self.clock)
        self.version = self.versions.publish(build(CURRENT, "test"), "ann", "first", 0)
        self._number = 0

    def series(self, *, images: int = 2, calling_ae: str = "MR1", **values: Any) -> int:
        """A series received, complete and decided by the current rules; its arrival."""
        self._number += 1
        uid = f"1.2.{self._number}"
        for at in range(1, images + 1):
            header = Header({"StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1", "SOPInstanceUID": f"{uid}.1.{at}",
                             "InstanceNumber": at, "PatientName": "SECRET^NAME", **values})  # fmt: skip
            one = Incoming(uuid.uuid4().bytes, calling_ae, "SCANPOST", "10.0.0.1", None, "1.2.840.10008.5.1.4.1.1.4",
                           f"{uid}.1.{at}", "1.2.840.10008.1.2.1", b"%d" % at, header)  # fmt: skip
            self.spool.images.commit([self.spool.images.save(one)])
        (arrival,) = self.spool.arrivals.open_ones()
        self.spool.arrivals.close(arrival.id, "released")
        headers = self.spool.arrivals.subject(arrival.id)
        verdict = verdict_for(self.version.configuration, self.version.number, headers, case_of(headers, None))
        self.spool.arrivals.decide(arrival.id, verdict)
        return arrival.id

    def tell_ledger(self) -> str:
        """Write the ledger; its URL."""
        url = f"sqlite:///{self.folder / 'ledger.sqlite3'}"
        ledger = Ledger(url, NODE)
        ledger.open()
        batch = self.spool.outbox.read(Cursor(0, 0), 10_000)
        ledger.record(batch, (0, 0), (batch[-1].epoch, batch[-1].seq))
        ledger.close()
        return url
