"""A source whose repetitions are to be delivered again (`resend = "deliver"`): each counts as a new image."""

from __future__ import annotations

from test_versions_of_an_image import receive, route, send, spool

from protocol.wire.events import ImageDuplicate, ImageReceived, ImageSuperseded

__all__ = ["spool"]


def kinds(node) -> list[str]:
    wanted = (ImageReceived.TYPE, ImageDuplicate.TYPE, ImageSuperseded.TYPE)
    return [one.type.partition(".")[2] for one in node.outbox.read(node.outbox.oldest()) if one.type in wanted]


def test_a_repetition_after_the_delivery_is_delivered_again(spool) -> None:
    sent: list[bytes] = []
    first = receive(spool, b"A")
    route(spool, first.arrival)
    send(spool, sent)
    again = receive(spool, b"A", resend=True)
    assert (again.outcome, again.arrival == first.arrival) == ("stored", False)
    route(spool, again.arrival)
    send(spool, sent)
    assert sent == [b"A", b"A"]
    figures = spool.accounting.figures()
    assert (figures.received, figures.duplicates) == (2, 0) and spool.accounting.balance(files=True) == []
    assert receive(spool, b"A").outcome == "duplicate", "only where the source says so"


def test_a_repetition_before_the_delivery_replaces_the_first_and_goes_once(spool) -> None:
    sent: list[bytes] = []
    first = receive(spool, b"A", resend=True)
    again = receive(spool, b"A", resend=True)
    assert (again.outcome, again.arrival) == ("stored", first.arrival)
    route(spool, first.arrival)
    send(spool, sent)
    assert sent == [b"A"] and kinds(spool) == ["received", "superseded", "received"]
    assert spool.accounting.balance(files=True) == []


def test_a_repetition_under_way_takes_the_place_of_the_one_that_waits(spool) -> None:
    sent: list[bytes] = []
    route(spool, receive(spool, b"A", resend=True).arrival)
    route(spool, receive(spool, b"A", resend=True).arrival)
    while spool.deliveries.next_due() is not None:
        send(spool, sent)
    assert sent == [b"A"], "the waiting delivery leaves it out: its newer equal goes to the same target"
    assert spool.accounting.balance(files=True) == []
