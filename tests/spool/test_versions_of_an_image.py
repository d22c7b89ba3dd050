"""The same SOP instance in several versions: the newest must be the last one that a target gets."""

from __future__ import annotations

import time

import pytest

from protocol.header.scan import Header
from protocol.spool import open_spool
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.deliveries import ImageResult
from protocol.spool.images import Incoming

EXPLICIT = "1.2.840.10008.1.2.1"
ROUTE = Verdict("route", 1, [TargetChoice("pacs")])


@pytest.fixture
def spool(tmp_path):
    spool = open_spool(tmp_path, create=True)
    yield spool
    spool.close()


def receive(spool, data, *, resend=False):
    header = Header({"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3", "SOPInstanceUID": "1.2.3.1"})
    incoming = Incoming(bytes(16), "SCANNER", "SCANPOST", "127.0.0.1", None, "1.2.840.10008.5.1.4.1.1.2", "1.2.3.1",
                        EXPLICIT, data, header)  # fmt: skip
    (receipt,) = spool.images.commit([spool.images.save(incoming)._replace(resend=resend)])
    return receipt


def route(spool, arrival):
    spool.arrivals.close(arrival, "idle")
    spool.arrivals.decide(arrival, ROUTE)


def send(spool, sent, ok=True):
    claim = spool.deliveries.claim("me", {"pacs": 9}, time.time() + 9)
    for image in claim.images:
        with spool.fs.open_read(image.file.path) as file:
            file.seek(image.file.offset)
            sent.append(file.read())
    results = [ImageResult(i.position, i.file.receipt, 0 if ok else 0xC000, ok) for i in claim.images]
    spool.deliveries.confirm(claim, results)
    if ok:
        spool.deliveries.complete(claim)
    else:
        spool.deliveries.park(claim, "refused")
    return claim.delivery


def test_a_version_that_comes_back_while_another_is_on_its_way_is_no_duplicate(spool):
    sent = []
    first = receive(spool, b"A")
    route(spool, first.arrival)
    send(spool, sent)
    second = receive(spool, b"B")
    spool.arrivals.close(second.arrival, "idle")
    third = receive(spool, b"A")
    assert third.outcome == "stored", "else B would be the last that the target gets"
    spool.arrivals.decide(second.arrival, ROUTE)
    route(spool, third.arrival)
    assert receive(spool, b"A").outcome == "duplicate"
    while spool.deliveries.ready({"pacs": 9}, time.time() + 9):
        send(spool, sent)
    assert sent[-1] == b"A"
    assert spool.accounting.balance(files=True) == []


def test_an_older_version_that_was_refused_is_not_sent_after_the_newer_one(spool):
    sent = []
    first = receive(spool, b"A")
    route(spool, first.arrival)
    parked = send(spool, sent, ok=False)
    route(spool, receive(spool, b"B").arrival)
    send(spool, sent)
    spool.deliveries.change([parked], "retry", spool.commands.ask("queue.retry", "test", {}))
    send(spool, sent)
    assert sent == [b"A", b"B"]
    assert spool.deliveries.get(parked)["state"] == "delivered"


def test_rerouting_a_held_arrival_leaves_no_delivery_behind(spool):
    first = receive(spool, b"A")
    route(spool, first.arrival)
    spool.arrivals.hold(first.arrival, "wait", spool.commands.ask("series.hold", "test", {}))
    spool.arrivals.reroute(first.arrival, spool.commands.ask("series.reroute", "test", {}))
    spool.arrivals.decide(first.arrival, Verdict("discard", 2))
    assert spool.accounting.balance() == []
    spool.arrivals.reroute(first.arrival, spool.commands.ask("series.reroute", "test", {}))
    spool.arrivals.decide(first.arrival, ROUTE)
    sent = []
    send(spool, sent)
    assert sent == [b"A"]
