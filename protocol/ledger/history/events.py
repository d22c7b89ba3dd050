"""Events of the ledger page by page, newest first, by type, object, severity and time. It never gives patient data."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, literal, select, text, tuple_

from protocol.errors import LedgerError
from protocol.ledger.history.asked import EventFilter, Mark, Page, bounded, read_mark, written
from protocol.ledger.history.rows import plain, together
from protocol.ledger.tables import event
from protocol.wire import events as _all_types  # noqa: F401  fills the registry
from protocol.wire.messages import REGISTRY, WARNING

EVENT_COLUMNS = tuple(column for column in event.c if column.name not in ("phi", "raw"))
_KEY = (event.c.time, event.c.node, event.c.epoch, event.c.seq)
_WAY = "event"


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
    parts = [_part(_tests(node, asked, kind), mark, limit + 1) for kind in _kinds(asked.types)]
    if not parts:
        return Page()
    rows = plain(connection, together(parts))
    rows.sort(key=lambda row: (row["time"], row["node"], row["epoch"], row["seq"]), reverse=True)
    more, rows = len(rows) > limit, rows[:limit]
    return Page(rows, _mark_of(rows[-1]) if more else None)


def _kinds(types: str) -> list[str]:
    """Each type that begins so has its own way along the index; "" for all at once."""
    if not types:
        return [""]
    return sorted({name for name in REGISTRY if name.startswith(types)} | ({types} if types[-1] != "." else set()))


def _part(tests: list[Any], mark: Mark | None, limit: int) -> Any:
    wanted = select(*EVENT_COLUMNS).where(*tests)
    if mark is not None:
        epoch = int(mark.way.partition(":")[2] or 0)
        behind = tuple_(literal(mark.time), literal(mark.node), literal(epoch), literal(mark.number))
        wanted = wanted.where(event.c.time <= mark.time, tuple_(*_KEY) < behind)
    return wanted.order_by(*(column.desc() for column in _KEY)).limit(limit)


def _tests(node: str | None, asked: EventFilter, kind: str) -> list[Any]:
    own = {"node": node, "type": kind, "subject": asked.subject}
    tests: list[Any] = [event.c[name] == value for name, value in own.items() if value]
    tests += [event.c[name] == value for name, value in (("arrival", asked.arrival), ("delivery", asked.delivery))
              if value is not None]  # fmt: skip
    if asked.severity >= WARNING:
        tests.append(text(f"severity >= {WARNING}"))  # in the words of its index
    if asked.severity:
        tests.append(event.c.severity >= asked.severity)
    if asked.since is not None:
        tests.append(event.c.time >= asked.since)
    if asked.until is not None:
        tests.append(event.c.time < asked.until)
    return tests


def _mark_of(row: dict[str, Any]) -> str:
    return written(Mark(f"{_WAY}:{row['epoch']}", row["time"], row["node"], row["seq"]))
