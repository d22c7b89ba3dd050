"""The router's whole work on one arrival: read the headers of 2,000 images out of the spool, ask 100 rules with explanations,
commit the decision. Goal of the issue: under 100 ms. No peer decides by such rules, so there is no ratio.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from actors.router.verdicts import case_of, verdict_for
from bench.rules import HEADER, hundred_rules, images
from bench.runs import Result, Session, measured
from protocol.header.scan import Header
from protocol.routing.model import RoutingConfiguration
from protocol.routing.parse import build
from protocol.spool import Spool, open_spool
from protocol.spool.images import Incoming

IMAGES, CHUNK = 2000, 100
LIMIT_MS = 100.0
CT, SYNTAX, SENDER = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", "MR3"
UIDS = {"StudyInstanceUID": "1.2.826.0.1", "SOPClassUID": CT}


def deciding(session: Session) -> None:
    """One arrival for each repetition, decided once."""
    count = max(20, int(IMAGES * session.share))
    configuration, values = _configuration(), dict[str, list[float]]()
    with _spool(session) as spool:
        for number in range(session.repetitions):
            arrival = _received(spool, count, number)
            begun = time.perf_counter()
            headers = spool.arrivals.subject(arrival)
            read = time.perf_counter()
            verdict = verdict_for(configuration, 1, headers, case_of(headers, None))
            judged = time.perf_counter()
            spool.arrivals.decide(arrival, verdict)
            done = time.perf_counter()
            for what, seconds in (("read", read - begun), ("judge", judged - read), ("commit", done - judged),
                                  ("whole", done - begun)):  # fmt: skip
                values.setdefault(what, []).append(seconds * 1000)
    title = f"an arrival of {count} images and 100 rules, from the spool to the decision"
    session.add([_result(title, what, times) for what, times in values.items()])


def _result(title: str, what: str, times: list[float]) -> Result:
    if what == "whole":
        return measured(title, what, times, "ms", limit=LIMIT_MS, goal=f"deciding < {LIMIT_MS:g} ms")
    return measured(title, what, times, "ms")


def _configuration() -> RoutingConfiguration:
    target = {"type": "dicom", "host": "127.0.0.1", "port": 104, "called_ae": "PACS"}
    rules = [
        {"name": f"rule{at}", "when": rule.text, "action": "route", "targets": ["pacs"]}
        for at, rule in enumerate(hundred_rules())
    ]
    return build({"targets": {"pacs": target}, "rules": rules}, "bench")


@contextmanager
def _spool(session: Session) -> Iterator[Spool]:
    spool = open_spool(session.folder / "deciding", create=True)
    try:
        yield spool
    finally:
        spool.close()


def _received(spool: Spool, count: int, number: int) -> int:
    """A series that came in and is complete; its arrival."""
    association = number.to_bytes(16, "big")
    owner = spool.workers.enter("receiver", str(number)).owner
    spool.images.association_opened(association, owner, SENDER, "SCANPOST", "10.0.0.1:104", None)
    saved = []
    for differing in images(count):
        values = {**HEADER, **UIDS, "SeriesInstanceUID": f"1.2.826.0.1.{number}", **differing}
        incoming = Incoming(association, SENDER, "SCANPOST", "10.0.0.1", None, CT, str(values["SOPInstanceUID"]), SYNTAX,
                            b"data set", Header(values))  # fmt: skip
        saved.append(spool.images.save(incoming))
    arrival = 0
    for at in range(0, count, CHUNK):
        arrival = spool.images.commit(saved[at : at + CHUNK])[0].arrival
    spool.images.association_closed(association, "released")
    spool.arrivals.close(arrival, "released")
    return arrival
