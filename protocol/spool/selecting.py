"""Selections as SQL: pages of what matches, newest first, how many, and the walk of an act over all that match.
It only looks. What an act touches is found here again in every part, so nothing has to be kept of a long list but a cursor.

A walk goes through one state after the other, each along an index, so that all its parts together read every row once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from protocol.records import record
from protocol.selection import Selection
from protocol.spool.acts import Progress
from protocol.spool.tallying import kept
from protocol.states import DELIVERY_FINISHED
from protocol.typed import modalities

Cursor = tuple[Any, ...]
Where = tuple[str, list[Any]]


@record
class Kind:
    """What is selected: a table under its alias, and how each filter is asked of it."""

    table: str
    time: str
    order: str  # of a walk through one state; its index begins with the state


SLOW = ("source", "rule", "modality", "series")
"""Filters of deliveries that no index of theirs answers."""
LOOKED_AT_FIRST = 1000  # deliveries
FEW = 200  # deliveries
FINISHED = frozenset(map(str, DELIVERY_FINISHED))
PART = 500  # ids in one statement
DELIVERIES = Kind("delivery", "created", "target, id")
ARRIVALS = Kind("arrival", "opened", "id")


def where(kind: Kind, selection: Selection) -> Where:
    """The tests of a selection on the rows of `kind`, under the alias x."""
    tests: list[str] = []
    values: list[Any] = []

    def test(text: str, *more: Any) -> None:
        tests.append(text)
        values.extend(more)

    if selection.states:
        # With a plus the state chooses no index: what is narrower does.
        state = "+x.state" if _narrow(kind, selection) else "x.state"
        test(f"{state} IN ({','.join('?' * len(selection.states))})", *selection.states)
    if selection.since is not None:
        test(f"x.{kind.time} >= ?", selection.since)
    if selection.until is not None:
        test(f"x.{kind.time} < ?", selection.until)
    if selection.act is not None:
        one = "t.delivery" if kind is DELIVERIES else "t.arrival"
        test(f"x.id IN (SELECT {one} FROM touched t WHERE t.command = ? AND t.refused = ''"
             f" AND t.delivery {'<>' if kind is DELIVERIES else '='} 0)", selection.act)  # fmt: skip
    (_of_delivery if kind is DELIVERIES else _of_arrival)(selection, test)
    return " AND ".join(tests) or "1", values


def _narrow(kind: Kind, selection: Selection) -> bool:
    """Whether an index finds fewer rows than one over the states."""
    return (
        selection.study is not None or selection.act is not None or (kind is ARRIVALS and selection.source is not None)
    )


def _of_delivery(selection: Selection, test: Any) -> None:
    if selection.target is not None:
        test("x.target = ?", selection.target)
    if selection.cause is not None:
        test("x.cause = ? AND x.cause <> ''", selection.cause)
    if selection.rule is not None:
        test("EXISTS (SELECT 1 FROM arrival_rule r WHERE r.rule = ? AND r.arrival = x.arrival)", selection.rule)
    if selection.study is not None:
        test("x.arrival IN (SELECT a.id FROM arrival a WHERE a.study_uid = ?)", selection.study)
    asked = _of_series(selection)
    if asked:
        tests = " AND ".join(f"a.{name} {_is(values)}" for name, values in asked.items())
        test(f"EXISTS (SELECT 1 FROM arrival a WHERE a.id = x.arrival AND {tests})", *chain(*asked.values()))


def _of_arrival(selection: Selection, test: Any) -> None:
    if selection.study is not None:
        test("x.study_uid = ?", selection.study)
    for name, values in _of_series(selection).items():
        test(f"x.{name} {_is(values)}", *values)
    if selection.rule is not None:
        test("EXISTS (SELECT 1 FROM arrival_rule r WHERE r.rule = ? AND r.arrival = x.id)", selection.rule)
    of_delivery = {"target": selection.target, "cause": selection.cause}
    asked = {name: value for name, value in of_delivery.items() if value is not None}
    if asked:
        tests = " AND ".join(f"d.{name} = ?" for name in asked)
        test(f"EXISTS (SELECT 1 FROM delivery d WHERE d.arrival = x.id AND {tests})", *asked.values())


def _of_series(selection: Selection) -> dict[str, tuple[str, ...]]:
    """What is asked of a series by itself: by column the values that match."""
    found = {
        "calling_ae": None if selection.source is None else (selection.source,),
        "modality": None if selection.modality is None else modalities(selection.modality),
        "series_uid": None if selection.series is None else (selection.series,),
    }
    return {name: values for name, values in found.items() if values is not None}


def _is(values: Sequence[str]) -> str:
    return "= ?" if len(values) == 1 else f"IN ({','.join('?' * len(values))})"


def page(
    connection: sqlite3.Connection, kind: Kind, selection: Selection, before: int | None, limit: int
) -> list[int]:  # fmt: skip
    """Ids of what matches, newest first; `before` is the last id of the page before."""
    if kind is DELIVERIES and selection == _plain(selection):
        return newest(connection, selection, before, limit)
    if kind is DELIVERIES and any(getattr(selection, name) is not None for name in SLOW) and selection.study is None:
        # What has no index is asked of the newest first: most often they fill the page, and else little is lost.
        found = _of_newest(connection, selection, before, limit)
        if len(found) == limit:
            return found
    text, values = where(kind, selection)
    if before is not None:
        text, values = f"({text}) AND x.id < ?", [*values, before]
    sql = f"SELECT x.id FROM {kind.table} x WHERE {text} ORDER BY x.id DESC LIMIT ?"
    return [row[0] for row in connection.execute(sql, (*values, limit))]


def part(
    connection: sqlite3.Connection, selection: Selection, before: int | None, limit: int
) -> tuple[list[int], int | None]:  # fmt: skip
    """A page of deliveries as `page` gives it, but looked for among the next LOOKED_AT_FIRST alone where a filter has no
    index; and the id to go on behind, None if there is nothing more.
    """
    quick, slow = split(selection)
    if quick == selection or selection.study is not None:
        ids = page(connection, DELIVERIES, selection, before, limit + 1)
        return ids[:limit], ids[limit - 1] if len(ids) > limit else None
    looked = newest(connection, quick, before, LOOKED_AT_FIRST + 1)
    ids = [id for id, _ in islice(narrowed(connection, slow, looked[:LOOKED_AT_FIRST]), limit)]
    if len(ids) == limit:
        return ids, ids[-1]
    return ids, looked[LOOKED_AT_FIRST - 1] if len(looked) > LOOKED_AT_FIRST else None


def split(selection: Selection) -> tuple[Selection, Selection]:
    """Of deliveries: what an index answers, and what has to be asked of each row's arrival."""
    slow = replace(selection, states=(), target=None, cause=None, study=None, since=None, until=None)
    return replace(selection, source=None, rule=None, modality=None, series=None), slow


def newest(connection: sqlite3.Connection, selection: Selection, before: int | None, limit: int) -> list[int]:
    """Ids of the newest deliveries of a selection."""
    if selection == _plain(selection) and (limit <= FEW or set(selection.states) & FINISHED or not selection.states):
        return _newest_of_each(connection, selection, before, limit)
    text, values = where(DELIVERIES, selection)
    if before is not None:
        text, values = f"({text}) AND x.id < ?", [*values, before]
    sql = f"SELECT x.id FROM delivery x WHERE {text} ORDER BY x.id DESC LIMIT ?"
    return [row[0] for row in connection.execute(sql, (*values, limit))]


def _plain(selection: Selection) -> Selection:
    """What of a selection the index of states answers alone."""
    return Selection(states=selection.states, target=selection.target)


def _newest_of_each(
    connection: sqlite3.Connection, selection: Selection, before: int | None, limit: int
) -> list[int]:  # fmt: skip
    """By states and target alone: from the ends of their index, since a million finished ones are not to be sorted."""
    found: list[int] = []
    upto = (1 << 63) - 1 if before is None else before
    kinds = {(state, target) for state, target, _ in kept(connection).deliveries}
    for state, target in kinds:
        if (not selection.states or state in selection.states) and selection.target in (None, target):
            sql = ("SELECT id FROM delivery INDEXED BY delivery_state WHERE state = ? AND target = ? AND id < ?"
                   " ORDER BY id DESC LIMIT ?")  # fmt: skip
            found += [row[0] for row in connection.execute(sql, (state, target, upto, limit))]
    return sorted(found, reverse=True)[:limit]


def narrowed(connection: sqlite3.Connection, selection: Selection, ids: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Of these deliveries, newest first, those that match, each with its state."""
    text, values = where(DELIVERIES, selection)
    for start in range(0, len(ids), PART):
        some = ids[start : start + PART]
        marks = ",".join("?" * len(some))
        sql = f"SELECT x.id, x.state FROM delivery x WHERE x.id IN ({marks}) AND {text} ORDER BY x.id DESC"
        for row in connection.execute(sql, (*some, *values)).fetchall():
            yield row[0], row[1]


def _of_newest(connection: sqlite3.Connection, selection: Selection, before: int | None, limit: int) -> list[int]:
    quick, slow = split(selection)
    found = narrowed(connection, slow, newest(connection, quick, before, LOOKED_AT_FIRST))
    return [id for id, _ in islice(found, limit)]


def counts(connection: sqlite3.Connection, kind: Kind, selection: Selection) -> dict[tuple[str, str], int]:
    """How many match, by state and target (of arrivals: their source)."""
    text, values = where(kind, selection)
    by = "x.target" if kind is DELIVERIES else "x.calling_ae"
    rows = connection.execute(
        f"SELECT x.state, {by}, count(*) FROM {kind.table} x WHERE {text} GROUP BY 1, 2 ORDER BY 1, 2", values
    ).fetchall()
    return {(row[0], row[1]): row[2] for row in rows}


def begin(connection: sqlite3.Connection, kind: Kind, selection: Selection) -> Progress:
    """An act on all that match now."""
    upto = connection.execute(f"SELECT coalesce(max(id), 0) FROM {kind.table}").fetchone()[0]
    return Progress(int(upto), sum(counts(connection, kind, selection).values()))


def walk(
    connection: sqlite3.Connection, kind: Kind, selection: Selection, command: int, progress: Progress, limit: int
) -> tuple[list[int], Cursor] | None:  # fmt: skip
    """The next ids that an act is for, with the cursor behind them; None when it is through.

    `selection.states` are walked one after the other; one of them has to be given. What this command has touched already
    is left out: what was retried may have failed meanwhile, and stand further on in the walk.
    """
    state, *last = progress.cursor or (0,)
    while state < len(selection.states):
        rows = _next(connection, kind, replace(selection, states=(selection.states[state],)), command, progress.upto,
                     last, limit)  # fmt: skip
        if rows:
            return [row["id"] for row in rows], (state, *rows[-1][1:])
        state, last = state + 1, []
    return None


def _next(
    connection: sqlite3.Connection, kind: Kind, selection: Selection, command: int, upto: int, last: Sequence[Any], limit: int
) -> list[sqlite3.Row]:  # fmt: skip
    """The next rows of one state behind `last`, in the order of its index."""
    columns = [f"x.{name.strip()}" for name in kind.order.split(",")]
    # (a, b) > (?, ?) would walk through all of the first target again: SQLite looks up only `a` in the index.
    behind = [(f"{columns[-1]} > ?", list(last))] if last else [("1", [])]
    if last and len(columns) == 2:
        behind = [(f"{columns[0]} = ? AND {columns[1]} > ?", list(last)), (f"{columns[0]} > ?", [last[0]])]
    text, values = where(kind, selection)
    index = "" if _narrow(kind, selection) else f" INDEXED BY {kind.table}_state"
    delivery, arrival = ("x.id", "x.arrival") if kind is DELIVERIES else ("0", "x.id")
    for further, more in behind:
        rows = connection.execute(
            f"SELECT x.id AS id, {', '.join(columns)} FROM {kind.table} x{index} WHERE {text} AND {further} AND x.id <= ?"
            " AND NOT EXISTS (SELECT 1 FROM touched t"
            f"  WHERE t.arrival = {arrival} AND t.command = ? AND t.delivery = {delivery})"
            f" ORDER BY {', '.join(columns)} LIMIT ?",
            (*values, *more, upto, command, limit),
        ).fetchall()
        if rows:
            return rows
    return []
