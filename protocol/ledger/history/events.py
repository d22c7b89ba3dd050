"""Events of the ledger page by page, newest first, by type, object, severity and time. It never gives patient data."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, literal, select, text, tuple_

from protocol.errors import LedgerError
from protocol.ledger.history.asked import EventFilter, Mark, Page, bounded, read_mark, written
from protocol.ledger.history.rows import plain, together
from protocol.ledger.tables import TOLD_BY_IMAGE, cursor, event, image
from protocol.wire import events as _all_types  # noqa: F401  fills the registry
from protocol.wire.messages import REGISTRY, WARNING

EVENT_COLUMNS = tuple(column for column in event.c if column.name not in ("phi", "raw"))
_KEY = (event.c.time, event.c.node, event.c.epoch, event.c.seq)
_WAY = "event"
_NOT_RECEIVED = text(f"type <> '{TOLD_BY_IMAGE}'")  # in the words of its indexes


def events(
    connection: Connection, node: str | None, asked: EventFilter, after: str | None = None, limit: int = 100
) -> Page:
    """Events that match, newest first, without patient data and bytes.

    `node` None: of all nodes that write this ledger. `after` is the `next` of the page before. Raises LedgerError for a
    mark that is none.
    """
    limit, mark = bounded(limit), read_mark(after)
    if mark is not None and mark.way.partition(":")[0] != _WAY:
        raise LedgerError("this mark belongs to another search; begin at the first page")
    nodes = _nodes(connection, node, asked)
    tests = _tests(nodes, asked)
    rows = plain(connection, together([_part([*tests, *way], mark, limit + 1) for way in _ways(nodes or [], asked)]))
    rows = list({row["id"]: row for row in rows}.values())
    rows.sort(key=lambda row: (row["time"], row["node"], row["epoch"], row["seq"]), reverse=True)
    more, rows = len(rows) > limit, rows[:limit]
    return Page(rows, _mark_of(rows[-1]) if more else None)


def _nodes(connection: Connection, node: str | None, asked: EventFilter) -> list[str] | None:
    """The nodes to look at; None for all. Arrivals, deliveries and images are found by node and number."""
    if node is not None:
        return [node]
    if asked.arrival is None and asked.delivery is None and not asked.subject.startswith("image/"):
        return None
    return [str(name) for name in connection.execute(select(cursor.c.node).distinct()).scalars()]


def _tests(nodes: list[str] | None, asked: EventFilter) -> list[Any]:
    """What holds whichever way an event is found."""
    tests: list[Any] = [] if nodes is None else [event.c.node.in_(nodes)]
    if nodes is not None and len(nodes) == 1:
        tests = [event.c.node == nodes[0]]
    if asked.delivery is not None:
        tests.append(event.c.delivery == asked.delivery)
    if asked.severity >= WARNING:
        tests.append(text(f"severity >= {WARNING}"))  # in the words of its index
    if asked.severity:
        tests.append(event.c.severity >= asked.severity)
    if asked.since is not None:
        tests.append(event.c.time >= asked.since)
    if asked.until is not None:
        tests.append(event.c.time < asked.until)
    return tests


def _ways(nodes: list[str], asked: EventFilter) -> list[list[Any]]:
    """Conditions, each with an index of its own; an event that one of them finds is wanted.

    Each type that begins as asked has its own way, so that each gives its newest without sorting all. Events that an image
    came stand in no index but that of the image.
    """
    found: list[list[Any]] = []
    for kind in _kinds(asked.types):
        of_kind = [event.c.type == kind] if kind else []
        told = [] if kind == TOLD_BY_IMAGE else [_NOT_RECEIVED] if kind or asked.subject else []
        if asked.subject:
            found.append([event.c.subject == asked.subject, _NOT_RECEIVED, *of_kind, *_of_arrival(asked)])
        elif asked.arrival is not None:
            found.append([*_of_arrival(asked), event.c.receipt.is_(None), *of_kind])
        else:
            found.append([*of_kind, *told])
        if asked.subject.startswith("image/"):
            of_image = image.c.sop_uid == asked.subject.removeprefix("image/")
        elif asked.arrival is not None and not asked.subject:
            of_image = image.c.arrival == asked.arrival
        else:
            continue
        receipts = select(image.c.receipt).where(image.c.node.in_(nodes), of_image)
        found.append([event.c.receipt.in_(receipts), *of_kind, *_of_arrival(asked)])
    return found


def _of_arrival(asked: EventFilter) -> list[Any]:
    return [] if asked.arrival is None else [event.c.arrival == asked.arrival]


def _kinds(types: str) -> list[str]:
    """The types that begin so; "" for all at once."""
    if not types:
        return [""]
    return sorted({name for name in REGISTRY if name.startswith(types)} | {types})


def _part(tests: list[Any], mark: Mark | None, limit: int) -> Any:
    wanted = select(*EVENT_COLUMNS).where(*tests)
    if mark is not None:
        epoch = int(mark.way.partition(":")[2] or 0)
        behind = tuple_(literal(mark.time), literal(mark.node), literal(epoch), literal(mark.number))
        wanted = wanted.where(event.c.time <= mark.time, tuple_(*_KEY) < behind)
    return wanted.order_by(*(column.desc() for column in _KEY)).limit(limit)


def _mark_of(row: dict[str, Any]) -> str:
    return written(Mark(f"{_WAY}:{row['epoch']}", row["time"], row["node"], row["seq"]))
