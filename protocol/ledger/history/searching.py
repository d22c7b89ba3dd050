"""Finds arrivals by what people know of them, newest first, page by page: `search_arrivals`.
Each page is three short queries: keys of what matches, along one index; their rows; their deliveries.

The order is that of the index walked, the mark's `way`: by opening, or, when a target or rule is the narrowest thing
known, by when that target or rule came to the arrival. So no page reads more than it shows and skips.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Integer, and_, exists, func, literal, or_, select, tuple_

from protocol.errors import LedgerError
from protocol.ledger.history.asked import Filter, Mark, Page, bounded, read_mark, written
from protocol.ledger.history.matching import Meaning, meaning
from protocol.ledger.history.rows import Key, arrivals_of, aside, nodes_of, together, with_deliveries
from protocol.ledger.tables import arrival, arrival_rule, delivery, image
from protocol.states import ArrivalState

OPENED, TARGET, RULE = "opened", "target", "rule"
MAX_SAME_IMAGE = 1000  # arrivals with one SOP instance UID
FEW = 2000  # rows that may be looked through for one page
SETTLED = frozenset({ArrivalState.DELIVERED, ArrivalState.DISCARDED, ArrivalState.DELETED})
_MARK = (arrival.c.opened, arrival.c.node, arrival.c.arrival)


def search_arrivals(
    connection: Connection, node: str | None, asked: Filter, after: str | None = None, limit: int = 50
) -> Page:
    """Arrivals that match, newest first, without their header values, each with its `deliveries`.

    `node` None: of all nodes that write this ledger. `after` is the `next` of the page before, with the same filter.
    Raises LedgerError for a mark that is none.
    """
    limit, mark = bounded(limit), read_mark(after)
    way = mark.way if mark else _way(connection, asked)
    if way not in (OPENED, TARGET, RULE) or (way == TARGET and not asked.target) or (way == RULE and not asked.rule):
        raise LedgerError("this mark belongs to another search; begin at the first page")
    found = _keys(connection, list(_branches(connection, node, asked, way)), mark, limit + 1)
    rows = arrivals_of(connection, [(one[1], one[2]) for one in found[:limit]])
    shown = [rows[key] for one in found[:limit] if (key := (one[1], one[2])) in rows]
    more = len(found) > limit
    return Page(with_deliveries(connection, shown), written(Mark(way, *found[limit - 1])) if more else None)


def _keys(connection: Connection, branches: list[Any], mark: Mark | None, limit: int) -> list[tuple[float, str, int]]:
    """(time, node, arrival) of the newest matches behind the mark, each arrival once."""
    if not branches:
        return []
    parts = []
    for wanted, key in branches:
        if mark is not None:
            # The first test alone bounds the walk of an index on the time.
            wanted = wanted.where(key[0] <= mark.time, tuple_(*key) < tuple_(
                literal(mark.time), literal(mark.node), literal(mark.number)))  # fmt: skip
        wanted = wanted.order_by(*(column.desc() for column in key)).limit(limit)
        parts.append(wanted)
    found: set[tuple[float, str, int]] = set()
    for row in connection.execute(together(parts)):
        found.add((float(row[0]), str(row[1]), int(row[2])))
    return sorted(found, reverse=True)[:limit]


# ---- which index to walk ----------------------------------------------------------------------------------------
def _way(connection: Connection, asked: Filter) -> str:
    if asked.q or asked.study_uid or asked.patient_id or (asked.state and asked.state not in SETTLED):
        return OPENED
    ways = {TARGET: asked.target, RULE: asked.rule}
    given = [way for way, value in ways.items() if value]
    if not given:
        return OPENED
    if len(given) == 1 and not (asked.source or asked.modality):
        return given[0]
    sizes = {OPENED: _size(connection, OPENED, asked.source)} if asked.source else {}
    sizes |= {way: _size(connection, way, ways[way]) for way in given}  # of equal ones the first: the source's
    return min(sizes, key=lambda way: sizes[way])


def _size(connection: Connection, way: str, value: str) -> int:
    """How many rows a way has, counted up to FEW."""
    column = {TARGET: delivery.c.target, RULE: arrival_rule.c.rule, OPENED: arrival.c.calling_ae}[way]
    few = select(literal(1)).where(column == value).limit(FEW).subquery()
    return int(connection.execute(select(func.count()).select_from(few)).scalar_one())


def _branches(
    connection: Connection, node: str | None, asked: Filter, way: str
) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Statements that give (time, node, arrival), with the columns that they are ordered by; what one finds is wanted."""
    if way == TARGET:
        for condition in (delivery.c.target == asked.target,
                          and_(delivery.c.wanted == asked.target, delivery.c.wanted != delivery.c.target)):  # fmt: skip
            yield _by_target(node, asked, condition)
    elif way == RULE:
        yield _by_rule(node, asked)
    elif asked.q:
        for condition in _meant(connection, node, meaning(asked.q)):
            yield _by_opening(connection, node, asked, condition)
    elif node is None and not (asked.source or asked.modality or asked.study_uid or asked.patient_id or asked.state):
        for name in nodes_of(connection):
            yield _by_opening(connection, name, asked)  # each along its index
    else:
        yield _by_opening(connection, node, asked)


def _by_opening(
    connection: Connection, node: str | None, asked: Filter, *conditions: Any
) -> tuple[Any, tuple[Any, ...]]:  # fmt: skip
    wanted = select(*_MARK).where(*conditions, *_tests(None, asked), arrival.c.opened.is_not(None))
    if node is not None:
        narrow = bool(
            conditions or asked.source or asked.modality or asked.study_uid or asked.patient_id or asked.state
        )
        wanted = wanted.where((aside(connection, arrival.c.node) if narrow else arrival.c.node) == node)
    if asked.target:
        wanted = wanted.where(exists().where(_same(delivery), _to(asked.target)))
    if asked.rule:
        wanted = wanted.where(exists().where(_same(arrival_rule), arrival_rule.c.rule == asked.rule))
    return wanted, _MARK


def _by_target(node: str | None, asked: Filter, condition: Any) -> tuple[Any, tuple[Any, ...]]:
    """An arrival that has several deliveries to the target stands where the latest one does."""
    key = (delivery.c.created, delivery.c.node, delivery.c.arrival)
    later = delivery.alias("later")
    again = exists().where(
        later.c.node == delivery.c.node, later.c.arrival == delivery.c.arrival,
        or_(later.c.target == asked.target, later.c.wanted == asked.target),
        or_(later.c.created > delivery.c.created,
            and_(later.c.created == delivery.c.created, later.c.delivery > delivery.c.delivery)),
    )  # fmt: skip
    wanted = select(*key).where(condition, delivery.c.created.is_not(None), ~again)
    wanted = _narrowed(wanted, node, asked, delivery, delivery.c.created)
    if asked.rule:
        rules = (arrival_rule.c.node == delivery.c.node, arrival_rule.c.arrival == delivery.c.arrival)
        wanted = wanted.where(exists().where(*rules, arrival_rule.c.rule == asked.rule))
    return wanted, key


def _by_rule(node: str | None, asked: Filter) -> tuple[Any, tuple[Any, ...]]:
    key = (arrival_rule.c.time, arrival_rule.c.node, arrival_rule.c.arrival)
    wanted = select(*key).where(arrival_rule.c.rule == asked.rule, arrival_rule.c.time.is_not(None))
    wanted = _narrowed(wanted, node, asked, arrival_rule, arrival_rule.c.time)
    if asked.target:
        same = (delivery.c.node == arrival_rule.c.node, delivery.c.arrival == arrival_rule.c.arrival)
        wanted = wanted.where(exists().where(*same, _to(asked.target)))
    return wanted, key


def _narrowed(wanted: Any, node: str | None, asked: Filter, table: Any, time: Any) -> Any:
    """What is asked of the arrival itself, where the walk goes along another table."""
    tests = _tests(None, asked)
    if node is not None:
        wanted = wanted.where(table.c.node == node)
    if asked.since is not None:
        wanted = wanted.where(time >= asked.since)  # what came to an arrival came after its opening
    if tests:
        wanted = wanted.where(
            exists().where(arrival.c.node == table.c.node, arrival.c.arrival == table.c.arrival, *tests)
        )
    return wanted


# ---- tests ------------------------------------------------------------------------------------------------------
def _tests(node: str | None, asked: Filter) -> list[Any]:
    own = {"node": node, "calling_ae": asked.source, "state": asked.state, "modality": asked.modality,
           "study_uid": asked.study_uid, "patient_id": asked.patient_id}  # fmt: skip
    tests = [arrival.c[name] == value for name, value in own.items() if value]
    if asked.since is not None:
        tests.append(arrival.c.opened >= asked.since)
    if asked.until is not None:
        tests.append(arrival.c.opened < asked.until)
    return tests


def _to(target: str) -> Any:
    return or_(delivery.c.target == target, delivery.c.wanted == target)


def _same(table: Any) -> Any:
    return and_(table.c.node == arrival.c.node, table.c.arrival == arrival.c.arrival)


def _meant(connection: Connection, node: str | None, meant: Meaning) -> Iterator[Any]:
    """Conditions on arrivals, each with an index of its own."""
    for name, values in meant.exact.items():
        yield arrival.c[name] == values[0] if len(values) == 1 else arrival.c[name].in_(values)
    for name in meant.names:
        yield beginning(connection, arrival.c.patient_folded, name)
    if meant.uid_begins and connection.dialect.name == "sqlite":  # PostgreSQL's indexes of UIDs know no beginnings
        for column in (arrival.c.study_uid, arrival.c.series_uid):
            begins = beginning(connection, column, meant.uid_begins)
            if _few(connection, begins):
                yield begins
    if meant.number is not None:
        nodes = [node] if node is not None else nodes_of(connection)
        yield and_(arrival.c.node.in_(nodes), arrival.c.arrival == literal(meant.number, Integer))
    if meant.sop_uid:
        keys = _with_image(connection, node, meant.sop_uid)
        if keys:
            yield or_(*(and_(arrival.c.node == one[0], arrival.c.arrival == one[1]) for one in keys))


def _few(connection: Connection, condition: Any) -> bool:
    """Whether so few match that they may be put into order for a page; a maker's root of UIDs is that of most."""
    some = select(literal(1)).select_from(arrival).where(condition).limit(FEW + 1).subquery()
    return bool(connection.execute(select(func.count()).select_from(some)).scalar_one() <= FEW)


def _with_image(connection: Connection, node: str | None, sop_uid: str) -> list[Key]:
    wanted = select(image.c.node, image.c.arrival).where(image.c.sop_uid == sop_uid, image.c.arrival.is_not(None))
    if node is not None:
        wanted = wanted.where(image.c.node == node)
    return [(str(row[0]), int(row[1])) for row in connection.execute(wanted.distinct().limit(MAX_SAME_IMAGE))]


def beginning(connection: Connection, column: Any, text: str) -> Any:
    """That a text begins so, in the form for which the database uses its index."""
    if connection.dialect.name == "postgresql":
        return column.startswith(text, autoescape=True)
    return and_(column >= text, column < text + "\U0010ffff")
