"""Events of the ledger page by page, newest first, by type, object, severity and time. It never gives patient data."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, literal, select, text, tuple_

from protocol.errors import LedgerError
from protocol.ledger.history.asked import EventFilter, Mark, Page, bounded, read_mark, written
from protocol.ledger.history.rows import aside, nodes_of, plain, together
from protocol.ledger.tables import TOLD_BY_IMAGE, event, image
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
    nodes = [node] if node is not None else nodes_of(connection)
    tests = _tests(asked)
    time = aside(connection, event.c.time) if _few(asked) else event.c.time
    parts = [_part([*tests, *way], time, mark, limit + 1) for way in _ways(connection, nodes, asked)]
    if not parts:
        return Page()
    found = {tuple(row) for row in connection.execute(together(parts))}
    keys = sorted(found, reverse=True)[: limit + 1]
    wanted = select(*EVENT_COLUMNS).where(event.c.id.in_([key[-1] for key in keys[:limit]]))
    rows = {row["id"]: row for row in plain(connection, wanted)}
    shown = [rows[key[-1]] for key in keys[:limit] if key[-1] in rows]
    return Page(shown, _mark_of(shown[-1]) if len(keys) > limit and shown else None)


def _few(asked: EventFilter) -> bool:
    """Whether what is asked of has few events, so that they are best found first and sorted then."""
    return asked.delivery is not None or asked.arrival is not None or asked.subject.startswith("image/")


def _tests(asked: EventFilter) -> list[Any]:
    """What holds whichever way an event is found."""
    tests: list[Any] = []
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


def _ways(connection: Connection, nodes: list[str], asked: EventFilter) -> list[list[Any]]:
    """Conditions, each with an index of its own; an event that one of them finds is wanted.

    Each type that begins as asked has its own way, and each node where only it is asked, so that each gives its newest
    without sorting all. Events that an image came stand in no index but those of the time and of the image.
    """
    if asked.delivery is not None or (asked.arrival is not None and not asked.subject):
        found = [[event.c.node.in_(nodes), *(_of_arrival(asked) and [*_of_arrival(asked), event.c.receipt.is_(None)])]]
    elif asked.subject:
        found = [[aside(connection, event.c.node).in_(nodes), event.c.subject == asked.subject, _NOT_RECEIVED,
                  *_of_arrival(asked)]]  # fmt: skip
    elif asked.severity >= WARNING or (asked.types and asked.types != TOLD_BY_IMAGE):
        found = [[aside(connection, event.c.node).in_(nodes)]]
    else:
        found = [[event.c.node == name] for name in nodes]
    of_image = _of_image(asked)
    if of_image is not None:
        receipts = select(image.c.receipt).where(image.c.node.in_(nodes), of_image)
        found.append([event.c.node.in_(nodes), event.c.receipt.in_(receipts), *_of_arrival(asked)])
    kinds = _kinds(asked.types)
    return [[*way, *_of_kind(kind)] for way in found for kind in kinds]


def _of_kind(kind: str) -> list[Any]:
    if not kind:
        return []
    return [event.c.type == kind, *([] if kind == TOLD_BY_IMAGE else [_NOT_RECEIVED])]


def _of_image(asked: EventFilter) -> Any:
    """Which images' own events are wanted too; None: none are."""
    if asked.subject.startswith("image/"):
        return image.c.sop_uid == asked.subject.removeprefix("image/")
    return image.c.arrival == asked.arrival if asked.arrival is not None and not asked.subject else None


def _of_arrival(asked: EventFilter) -> list[Any]:
    return [] if asked.arrival is None else [event.c.arrival == asked.arrival]


def _kinds(types: str) -> list[str]:
    """The types that begin so; "" for all at once."""
    if not types:
        return [""]
    return sorted({name for name in REGISTRY if name.startswith(types)} | {types})


def _part(tests: list[Any], time: Any, mark: Mark | None, limit: int) -> Any:
    wanted = select(*_KEY, event.c.id).where(*tests)
    if mark is not None:
        epoch = int(mark.way.partition(":")[2] or 0)
        behind = tuple_(literal(mark.time), literal(mark.node), literal(epoch), literal(mark.number))
        wanted = wanted.where(time <= mark.time, tuple_(time, *_KEY[1:]) < behind)
    return wanted.order_by(time.desc(), *(column.desc() for column in _KEY[1:])).limit(limit)


def _mark_of(row: dict[str, Any]) -> str:
    return written(Mark(f"{_WAY}:{row['epoch']}", row["time"], row["node"], row["seq"]))
