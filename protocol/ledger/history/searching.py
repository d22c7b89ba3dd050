"""Finds arrivals by what people know of them, newest first, page by page: `search_arrivals`.
Each page is three short queries: keys of what matches, along one index; their rows; their deliveries.

The order is that of the index walked, the mark's `way`: by opening, or, when a target or rule is the narrowest thing
known, by when that target or rule came to the arrival. A page looks through LOOKS rows at most, and may show few of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Integer, and_, func, literal, or_, select, tuple_

from protocol.errors import LedgerError
from protocol.ledger.history.asked import Filter, Mark, Page, bounded, read_mark, written
from protocol.ledger.history.matching import Meaning, meaning
from protocol.ledger.history.rows import Key, arrivals_of, aside, nodes_of, together, with_deliveries
from protocol.ledger.tables import arrival, arrival_rule, delivery, image
from protocol.records import record
from protocol.states import ArrivalState
from protocol.typed import modalities

OPENED, TARGET, RULE = "opened", "target", "rule"
MAX_SAME_IMAGE = 1000  # arrivals with one SOP instance UID
FEW = 2000  # rows that are looked through for one page without a thought
COMPARED = 20_000  # rows up to which the sizes of two ways are compared
LOOKS = (500, 5000)  # rows of one way that are looked through for one page, and if that finds too few
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
    walks = list(_walks(connection, node, asked, way))
    for look in (max(LOOKS[0], 2 * limit), max(LOOKS[1], 2 * limit)):
        found, short = _keys(connection, walks, mark, limit + 1, look)
        reached = _reached(connection, short, mark, look)
        if reached is None:
            break
    if reached is not None:  # what is behind it was not looked at
        found = [key for key in found if key >= reached]
    rows = arrivals_of(connection, [(one[1], one[2]) for one in found[:limit]])
    shown = [rows[key] for one in found[:limit] if (key := (one[1], one[2])) in rows]
    last = found[limit - 1] if len(found) > limit else reached
    next = written(Mark(way, *last)) if last else None
    return Page(with_deliveries(connection, shown), next, last is not None and len(found) <= limit)


@record
class Walk:
    """One index to walk from its newest row: `rows` are what it finds, ordered by `key` (time, node, arrival).

    `tests` make of such rows, as a subquery, what is asked of them beside; without any every row counts.
    """

    rows: Any
    key: tuple[Any, ...]
    tests: Callable[[Any], list[Any]] | None = None

    def behind(self, mark: Mark | None) -> Any:
        """The rows behind a mark, newest first."""
        rows = self.rows
        if mark is not None:
            # The first test alone bounds the walk of an index on the time.
            rows = rows.where(self.key[0] <= mark.time, tuple_(*self.key) < tuple_(
                literal(mark.time), literal(mark.node), literal(mark.number)))  # fmt: skip
        return rows.order_by(*(column.desc() for column in self.key))


def _keys(
    connection: Connection, walks: list[Walk], mark: Mark | None, limit: int, look: int
) -> tuple[list[tuple[float, str, int]], list[Walk]]:
    """(time, node, arrival) of the newest matches behind the mark, each arrival once; and the walks that gave too few, so
    that they may have ended before the end.
    """
    if not walks:
        return [], []
    parts = []
    for number, walk in enumerate(walks):
        part = walk.behind(mark)
        if walk.tests is not None:
            looked = part.limit(look).subquery()
            first = tuple(looked.c)[:3]
            part = select(*first).where(*walk.tests(looked)).order_by(*(column.desc() for column in first))
        parts.append(part.add_columns(literal(number).label("walk")).limit(limit))
    found: set[tuple[float, str, int]] = set()
    counts = [0] * len(walks)
    for row in connection.execute(together(parts)):
        found.add((float(row[0]), str(row[1]), int(row[2])))
        counts[row[-1]] += 1
    return sorted(found, reverse=True)[:limit], [
        walk for walk, count in zip(walks, counts, strict=True) if count < limit
    ]


def _reached(connection: Connection, walks: list[Walk], mark: Mark | None, look: int) -> tuple[float, str, int] | None:
    """How far was looked, if not to the end: the newest of the last rows that were looked at."""
    ends = []
    for walk in walks:
        if walk.tests is not None:
            row = connection.execute(walk.behind(mark).offset(look - 1).limit(1)).first()
            if row is not None:
                ends.append((float(row[0]), str(row[1]), int(row[2])))
    return max(ends, default=None)


# ---- which index to walk ----------------------------------------------------------------------------------------
def _way(connection: Connection, asked: Filter) -> str:
    if asked.q or asked.study_uid or asked.patient_id or (asked.state and asked.state not in SETTLED):
        return OPENED
    ways = {TARGET: asked.target, RULE: asked.rule}
    given = [way for way, value in ways.items() if value]
    if not given:
        return OPENED
    if asked.until is not None:  # only openings are in the order of what is asked
        given = [way for way in given if _size(connection, way, ways[way], FEW) < FEW]
        return given[0] if given else OPENED
    if len(given) == 1 and not (asked.source or asked.modality):
        return given[0]
    sizes = {way: _size(connection, way, ways[way], COMPARED) for way in given}
    if asked.source:
        sizes = {OPENED: _size(connection, OPENED, asked.source, COMPARED)} | sizes  # of equal ones the first
    return min(sizes, key=lambda way: sizes[way])


def _size(connection: Connection, way: str, value: str, most: int) -> int:
    """How many rows a way has, counted up to `most`."""
    column, time = {
        TARGET: (delivery.c.target, delivery.c.created), RULE: (arrival_rule.c.rule, arrival_rule.c.time),
        OPENED: (arrival.c.calling_ae, arrival.c.opened),
    }[way]  # fmt: skip
    # In the order of its index, so that a database does not think of reading the table.
    few = select(literal(1)).where(column == value).order_by(time).limit(most).subquery()
    return int(connection.execute(select(func.count()).select_from(few)).scalar_one())


def _walks(connection: Connection, node: str | None, asked: Filter, way: str) -> Iterator[Walk]:
    """What one of them finds is wanted."""
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
    elif asked.modality and not (asked.source or asked.study_uid or asked.patient_id):
        # Each along its index: asked for both, a database would sort all of them.
        for one in modalities(asked.modality):
            yield _by_opening(connection, node, asked, modality=one)
    else:
        yield _by_opening(connection, node, asked)


def _by_opening(
    connection: Connection, node: str | None, asked: Filter, *conditions: Any, modality: str = ""
) -> Walk:  # fmt: skip
    """`modality`: of the spellings that may be meant this one alone."""
    few = bool(conditions or asked.study_uid or asked.patient_id)
    wide = bool(asked.source or asked.modality or asked.state) and not few
    # However many series a source sends, it may never have sent this modality, and to another node.
    apart = bool(asked.source and asked.modality and wide and (not asked.state or asked.state in SETTLED))
    walked = replace(asked, modality="") if apart or modality else asked
    along = [arrival.c.modality == modality] if modality else []
    wanted = select(*_MARK).where(*conditions, *along, *_tests(None, walked), arrival.c.opened.is_not(None))
    if node is not None and not wide:
        wanted = wanted.where((aside(connection, arrival.c.node) if few else arrival.c.node) == node)

    def tests(row: Any) -> list[Any]:
        found = _of_node(row, node) if wide else []
        if apart:
            found.append(_has(row, arrival, arrival.c.modality.in_(modalities(asked.modality))))
        if asked.target:
            found.append(_has(row, delivery, _to(asked.target)))
        if asked.rule:
            found.append(_has(row, arrival_rule, arrival_rule.c.rule == asked.rule))
        return found

    return Walk(wanted, _MARK, tests if wide or asked.target or asked.rule else None)


def _by_target(node: str | None, asked: Filter, condition: Any) -> Walk:
    """An arrival that has several deliveries to the target stands where the latest one does."""
    key = (delivery.c.created, delivery.c.node, delivery.c.arrival)
    wanted = select(*key, delivery.c.delivery).where(condition, delivery.c.created.is_not(None))
    later = delivery.alias("later")

    def tests(row: Any) -> list[Any]:
        again = _has(
            row, later, or_(later.c.target == asked.target, later.c.wanted == asked.target),
            or_(later.c.created > row.c.created, and_(later.c.created == row.c.created, later.c.delivery > row.c.delivery)),
        )  # fmt: skip
        found = [*_of_node(row, node), *_of_arrival(row, asked), ~again]
        if asked.rule:
            found.append(_has(row, arrival_rule, arrival_rule.c.rule == asked.rule))
        return found

    return Walk(_since(wanted, asked, delivery.c.created), key, tests)


def _by_rule(node: str | None, asked: Filter) -> Walk:
    key = (arrival_rule.c.time, arrival_rule.c.node, arrival_rule.c.arrival)
    wanted = select(*key).where(arrival_rule.c.rule == asked.rule, arrival_rule.c.time.is_not(None))

    def tests(row: Any) -> list[Any]:
        return [
            *_of_node(row, node),
            *_of_arrival(row, asked),
            *([_has(row, delivery, _to(asked.target))] if asked.target else []),
        ]

    return Walk(_since(wanted, asked, arrival_rule.c.time), key, tests)


def _since(wanted: Any, asked: Filter, time: Any) -> Any:
    """What came to an arrival came after its opening."""
    return wanted if asked.since is None else wanted.where(time >= asked.since)


def _of_node(row: Any, node: str | None) -> list[Any]:
    """Asked of the rows found: an index over the targets of all nodes may hold none of this one's."""
    return [] if node is None else [row.c.node == node]


def _of_arrival(row: Any, asked: Filter) -> list[Any]:
    """What is asked of the arrival itself, where the walk goes along another table."""
    tests = _tests(None, asked)
    return [_has(row, arrival, *tests)] if tests else []


def _has(row: Any, table: Any, *conditions: Any) -> Any:
    """Whether the arrival of a row has such rows. Not EXISTS: for that PostgreSQL may join whole tables."""
    wanted = select(literal(1)).where(table.c.node == row.c.node, table.c.arrival == row.c.arrival, *conditions)
    return func.coalesce(wanted.correlate(row).limit(1).scalar_subquery(), literal(0)) == literal(1)


# ---- tests ------------------------------------------------------------------------------------------------------
def _tests(node: str | None, asked: Filter) -> list[Any]:
    own = {"node": node, "calling_ae": asked.source, "state": asked.state,
           "study_uid": asked.study_uid, "patient_id": asked.patient_id}  # fmt: skip
    tests = [arrival.c[name] == value for name, value in own.items() if value]
    if asked.modality:
        tests.append(arrival.c.modality.in_(modalities(asked.modality)))
    if asked.since is not None:
        tests.append(arrival.c.opened >= asked.since)
    if asked.until is not None:
        tests.append(arrival.c.opened < asked.until)
    return tests


def _to(target: str) -> Any:
    return or_(delivery.c.target == target, delivery.c.wanted == target)


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
