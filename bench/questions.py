"""The questions that pages ask of the history, for benches and for the test of their plans. It measures nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from bench.years import BEGIN, NODE, SECONDS, UID
from protocol.ledger.history import (
    EventFilter,
    Filter,
    attempts,
    events,
    image_history,
    patient,
    search_arrivals,
    study,
    timeline,
)

Question = Callable[[Connection], Any]


def questions(arrivals: int, each: int) -> dict[str, Question]:
    """Each page's question, by its name; for a ledger of `years.fill`."""
    middle, late = arrivals // 2, BEGIN + 0.95 * SECONDS
    filters = {
        "newest": Filter(), "state held": Filter(state="held"), "state delivered": Filter(state="delivered"),
        "source": Filter(source="CT7"), "source given up": Filter(source="GONE"), "modality": Filter(modality="MR"),
        "source and modality": Filter(source="CT8", modality="MR"), "target": Filter(target="archive"),
        "target given up": Filter(target="old"), "group": Filter(target="ai"), "rule": Filter(rule="everything"),
        "rule and target": Filter(rule="odd", target="archive"), "target and source": Filter(target="archive", source="CT9"),
        "days": Filter(since=late, until=late + 86_400), "accession": Filter(q=f"A{middle // 4}"),
        "patient id": Filter(q=f"P{middle // 12}"), "name": Filter(q="family77"), "common name": Filter(q="fa"),
        "study UID": Filter(q=f"{UID}.{middle // 4}"), "SOP instance UID": Filter(q=f"{UID}.9.{middle}"),
        "AE title": Filter(q="ct11"), "nothing": Filter(q="nobody at all"),
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
        "study": lambda c: study(c, NODE, f"{UID}.{middle // 4}"),
        "patient": lambda c: patient(c, NODE, f"P{middle // 12}"),
        "timeline": lambda c: timeline(c, NODE, middle),
        "attempts": lambda c: attempts(c, NODE, 2 * middle),
        "image": lambda c: image_history(c, NODE, sop_uid=f"{UID}.9.{each * middle}"),
    }


def _page_20(connection: Connection) -> Any:
    """A page far down; its mark is made, so that this is one question."""
    from protocol.ledger.history.asked import Mark, written

    return search_arrivals(connection, NODE, Filter(), written(Mark("opened", BEGIN + 0.7 * SECONDS, NODE, 1)))
