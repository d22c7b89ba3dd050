"""The questions that pages ask of the history, for benches and for the test of their plans. It measures nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from bench.years import Size
from bench.years_rows import BEGIN, NO_NUMBER, NODE, PHANTOM, SECONDS, UID
from protocol.ledger.history import (
    EventFilter,
    Filter,
    attempts,
    events,
    image_history,
    search_arrivals,
    timeline,
)
from protocol.ledger.history.abouts import abouts
from protocol.ledger.queries import alert_episodes, delivery_images, flagged, open_alerts, recent_arrivals

Question = Callable[[Connection], Any]


def questions(arrivals: int, each: int) -> dict[str, Question]:
    """Each page's question, by its name; for a ledger of `years.fill`."""
    middle, late, old = arrivals // 20 * 10, BEGIN + 0.95 * SECONDS, BEGIN + 0.4 * SECONDS
    giant = Size(arrivals, each).giant_arrival
    filters = {
        "newest": Filter(), "state held": Filter(state="held"), "state delivered": Filter(state="delivered"),
        "source": Filter(source="CT7"), "source given up": Filter(source="GONE"), "modality": Filter(modality="MR"),
        "modality in small letters": Filter(modality="mr"),
        "source and modality": Filter(source="CT8", modality="MR"), "target": Filter(target="archive"),
        "target given up": Filter(target="old"), "group": Filter(target="ai"), "rule": Filter(rule="everything"),
        "rule and target": Filter(rule="odd", target="archive"), "target and source": Filter(target="archive", source="CT9"),
        "days": Filter(since=late, until=late + 86_400), "accession": Filter(q=f"A{middle // 4}"),
        "patient id": Filter(q=f"P{middle // 12}"), "name": Filter(q="family77"), "common name": Filter(q="fa"),
        "study UID": Filter(q=f"{UID}.{middle // 4}"), "SOP instance UID": Filter(q=f"{UID}.9.{middle}"),
        "AE title": Filter(q="ct11"), "nothing": Filter(q="nobody at all"),
        "half of all": Filter(source="CT0"), "source that never sent this": Filter(source="CT39", modality="MR"),
        "target given up and source": Filter(target="old", source="CT0"), "rule given up": Filter(rule="former"),
        "rule given up and source": Filter(rule="former", source="CT1"), "rule given up and modality": Filter(rule="former", modality="US"),
        "rule and modality": Filter(rule="odd", modality="PT"), "target and modality": Filter(target="archive", modality="PT"),
        "target given up and modality": Filter(target="old", modality="CR"), "state and source": Filter(state="held", source="CT7"),
        "state and source given up": Filter(state="delivered", source="GONE"), "state and modality": Filter(state="held", modality="PT"),
        "state and target": Filter(state="held", target="ai"), "state and rule": Filter(state="deleted", rule="odd"),
        "old days and target": Filter(target="archive", since=old, until=old + 86_400),
        "old days and rule": Filter(rule="everything", until=old),
        "old days and source": Filter(source="CT0", until=old), "old days and state": Filter(state="deleted", until=old),
        "phantom": Filter(q=PHANTOM), "phantom by name": Filter(q="phantom"), "no number": Filter(q=NO_NUMBER),
        "study that never ends": Filter(study_uid=f"{UID}.0"), "patient filter": Filter(patient_id=PHANTOM),
    }  # fmt: skip
    found: dict[str, Question] = {
        f"search: {name}": lambda c, one=one: search_arrivals(c, NODE, one)  # type: ignore[misc]
        for name, one in filters.items()
    }
    asked = {
        "newest": EventFilter(), "deliveries": EventFilter(types="delivery."), "warnings": EventFilter(severity=13),
        "target": EventFilter(subject="target/archive"), "arrival": EventFilter(arrival=middle),
        "image": EventFilter(subject=f"image/{UID}.9.{middle}"), "types": EventFilter(types="arrival.decided", since=late),
    }  # fmt: skip
    found |= {f"events: {name}": lambda c, one=one: events(c, NODE, one) for name, one in asked.items()}  # type: ignore[misc]
    return found | {
        "search: all nodes": lambda c: search_arrivals(c, None, Filter()),
        "search: page 20": _page_20,
        "timeline": lambda c: timeline(c, NODE, middle),
        "attempts": lambda c: attempts(c, NODE, 2 * middle),
        "image": lambda c: image_history(c, NODE, sop_uid=f"{UID}.9.{each * middle}"),
        "timeline of a large series": lambda c: timeline(c, NODE, giant),
        "events of a large series": lambda c: events(c, NODE, EventFilter(arrival=giant)),
        "page of 1,000": lambda c: search_arrivals(c, NODE, Filter(), limit=1000),
        "header values of a page": lambda c: abouts(
            c, [(NODE, 10 * at) for at in range(1, 51)], ("PatientName", "SeriesDescription")
        ),
        "alerts of a week": lambda c: alert_episodes(c, NODE, since=late),
        "open alerts": lambda c: open_alerts(c, NODE),
        "flagged": lambda c: flagged(c, NODE),
        "starts of actors": lambda c: events(c, NODE, EventFilter(types="actor.started", since=late), limit=1000),
        "answers to a delivery": lambda c: delivery_images(c, NODE, 2 * giant),
        "recent": lambda c: recent_arrivals(c, NODE, state="held"),
    }


def _page_20(connection: Connection) -> Any:
    """A page far down; its mark is made, so that this is one question."""
    from protocol.ledger.history.asked import Mark, written

    return search_arrivals(connection, NODE, Filter(), written(Mark("opened", BEGIN + 0.7 * SECONDS, NODE, 1)))
