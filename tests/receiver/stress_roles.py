"""The processes of the stress test: `stress_roles.py receive|route|send HOME DURABILITY`. They must share nothing but the spool.

Each works until its stdin ends (`receive`: until its images are in) and tells what it did as JSON on stdout.
"""

from __future__ import annotations

import json
import select
import sys
import threading
from pathlib import Path
from typing import Any

from receiver_rig import ListLog

from actors.receiver.committer import Committer
from protocol.header.scan import scan
from protocol.spool import Spool, open_spool
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.deliveries import ImageResult
from protocol.spool.images import Incoming
from protocol.testing.images import TestImage

THREADS, SERIES, PER_SERIES = 4, 5, 60
TARGET = "pacs"


def receive(spool: Spool) -> Any:
    """Several associations at once bring images of the same few series; the receipts by SOP instance UID."""
    log, receipts = ListLog(), {}
    committer = Committer(spool.images.commit, lambda arrivals: None, lambda exc: None, log)

    def association(number: int) -> None:
        for instance in range(number, PER_SERIES, THREADS):
            for series in range(SERIES):
                image = TestImage(series=series + 1, instance=instance + 1)
                data = image.dataset()
                saved = spool.images.save(
                    Incoming(bytes([number] * 16), "CT1", "SCANPOST", "127.0.0.1", None, image.sop_class_uid,
                             image.sop_uid, image.transfer_syntax_uid, data, scan(data, image.transfer_syntax_uid))
                )  # fmt: skip
                receipt = committer.commit(saved)
                assert receipt.outcome == "stored", receipt
                receipts[image.sop_uid] = receipt.receipt.hex()

    threads = [threading.Thread(target=association, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    committer.stop()
    return receipts


def told_to_end() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def route(spool: Spool) -> Any:
    """Close whatever is open at once, decide it; how many images each decision saw."""
    seen = {}
    while True:
        last = told_to_end()
        for one in spool.arrivals.open_ones():
            spool.arrivals.close(one.id, "stress")
        for arrival in spool.arrivals.undecided():
            seen[arrival] = spool.arrivals.get(arrival)["images"]
            spool.arrivals.decide(arrival, Verdict("route", 1, [TargetChoice(TARGET)]))
        if last:
            return seen


def send(spool: Spool) -> Any:
    """Claim and confirm whatever is there; the receipts in order."""
    sent: list[str] = []
    while True:
        last = told_to_end()
        while claim := spool.deliveries.claim("stress", {TARGET: 1}, spool.database.clock.now()):
            sent += [image.file.receipt.hex() for image in claim.images]
            results = [ImageResult(image.position, image.file.receipt, 0, True) for image in claim.images]
            spool.deliveries.confirm(claim, results)
            spool.deliveries.complete(claim)
        if last:
            return sent


if __name__ == "__main__":
    role, home = {"receive": receive, "route": route, "send": send}[sys.argv[1]], Path(sys.argv[2])
    opened = open_spool(home, source=f"/test/{sys.argv[1]}/0", durability=sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()  # all begin together
    print(json.dumps(role(opened)), flush=True)
    opened.close()
