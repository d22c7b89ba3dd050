"""What pages show of arrivals and deliveries: lines of lists with their deliveries and what people call a series.
It only looks, and never walks a whole table: the texts that have no index are compared over the newest arrivals alone.

Patient data stands in `about`, and in nothing else that is given here.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from protocol.records import record
from protocol.selection import Selection
from protocol.spool import tallying
from protocol.spool.database import Database
from protocol.spool.selecting import ARRIVALS, DELIVERIES, narrowed, newest, page, split, where
from protocol.spool.settling import plain
from protocol.typed import MIN_NAME, MOST_WORDS, cleaned, numbers_of, sounded, unlabelled
from protocol.wire.codec import unpack_stored

ABOUT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyDate", "StudyDescription",
         "SeriesDescription", "SeriesNumber", "BodyPartExamined", "ProtocolName")  # fmt: skip
MIN_UID = 6  # characters of the beginning of a UID
LOOKED_THROUGH = 3000
"""So many of the newest arrivals are looked through for a text that has no index; takes a tenth of a second."""
AT_ONCE = 500
GROUPED = 1000
"""So many of the newest deliveries are counted or put into groups by what has no index."""

Row = dict[str, Any]


@record
class Found:
    """Ids, newest first. `seen`: how many arrivals were looked through for the text; `whole`: there were no others."""

    ids: list[int]
    seen: int = 0
    whole: bool = True
    last: int | None = None  # of those looked through


class Browsing:
    """The spool as lists."""

    def __init__(self, database: Database) -> None:
        self._db = database

    # ---- arrivals -----------------------------------------------------------------------------------------------
    def search(
        self, selection: Selection, text: str, before: int | None, limit: int, look: int = LOOKED_THROUGH
    ) -> Found:  # fmt: skip
        """Arrivals that match and of which `text` is a number, UID, AE title, accession number, patient's id or the
        beginning of the patient's name; `look`: so many are looked through for those that have no index.
        """
        with self._db.read() as connection:
            exact = _exact(connection, text)
            seen = page(connection, ARRIVALS, Selection(), before, look)  # a filter may have no index: asked below
            exact |= _same_series(connection, text, seen)
            wanted = {*exact, *(id for id, about in _abouts(connection, seen) if means(about, text))}
            ids = [id for id in sorted(wanted, reverse=True) if before is None or id < before]
            ids = _matching(connection, selection, ids)
        return Found(ids[:limit], len(seen), len(seen) < look)

    def newest(self, selection: Selection, look: int) -> list[int]:
        """Ids of what matches among so many of the newest arrivals, newest first."""
        with self._db.read() as connection:
            return _matching(connection, selection, page(connection, ARRIVALS, Selection(), None, look))

    def part(self, selection: Selection, before: int | None, limit: int) -> Found:
        """A page of arrivals that must come at once, newest first: by what has no index, only LOOKED_THROUGH are looked at."""
        if selection == Selection(states=selection.states, source=selection.source, study=selection.study):
            with self._db.read() as connection:
                return Found(page(connection, ARRIVALS, selection, before, limit))
        with self._db.read() as connection:
            seen = page(connection, ARRIVALS, Selection(), before, LOOKED_THROUGH)
            ids = _matching(connection, selection, seen)
        return Found(ids[:limit], len(seen), len(seen) < LOOKED_THROUGH, seen[-1] if seen else None)

    def arrivals(self, ids: Iterable[int]) -> dict[int, Row]:
        """Lines of these arrivals: the row, `about` (patient data), `deliveries` and the `rules` that routed it."""
        ids = list(ids)
        rows: dict[int, Row] = {}
        with self._db.read() as connection:
            for some in _parts(ids):
                marks = ",".join("?" * len(some))
                for row in connection.execute(f"SELECT * FROM arrival WHERE id IN ({marks})", some):
                    rows[row["id"]] = {**plain(row), "about": _about(row["header"]), "deliveries": [], "rules": []}
                for row in connection.execute(
                    f"SELECT * FROM delivery WHERE arrival IN ({marks}) ORDER BY id", some
                ):  # fmt: skip
                    if row["arrival"] in rows:
                        rows[row["arrival"]]["deliveries"].append(dict(row))
                for row in connection.execute(
                    f"SELECT arrival, rule FROM arrival_rule WHERE arrival IN ({marks}) ORDER BY rule", some
                ):
                    if row["arrival"] in rows:
                        rows[row["arrival"]]["rules"].append(row["rule"])
        return rows

    def about(self, ids: Iterable[int]) -> dict[int, Row]:
        """What people call these arrivals; patient data. What was forgotten or purged has nothing."""
        with self._db.read() as connection:
            return dict(_abouts(connection, list(ids)))

    def associations(self, arrival: int) -> list[Row]:
        """Those that brought images of an arrival, as long as they are kept, with how many of it."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT s.* FROM arrival_association x JOIN association s ON s.id = x.association WHERE x.arrival = ?"
                " ORDER BY s.opened LIMIT 200",
                (arrival,),
            ).fetchall()
        return [{**dict(row), "id": row["id"].hex()} for row in rows]

    def reception(self, arrival: int) -> Row:
        """When the first and the last image came (seconds UTC), and which SOP classes and transfer syntaxes there are."""
        with self._db.read() as connection:
            times = connection.execute(
                "SELECT min(stored), max(stored) FROM image WHERE arrival = ?", (arrival,)
            ).fetchone()
            kinds = connection.execute(
                "SELECT sop_class_uid, transfer_syntax_uid, count(*) AS images, sum(bytes) AS bytes FROM image"
                " WHERE arrival = ? GROUP BY 1, 2 ORDER BY 3 DESC",
                (arrival,),
            ).fetchall()
        return {"first": times[0], "last": times[1], "kinds": [dict(row) for row in kinds]}

    def confirmations(self, arrival: int) -> list[Row]:
        """Storage commitment that was asked of targets for an arrival (PS3.4 Annex J), oldest first."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT c.delivery, c.target, c.state, c.count, c.asked, c.answered, c.failed FROM delivery d"
                " JOIN confirmation c ON c.delivery = d.id WHERE d.arrival = ? ORDER BY c.asked LIMIT 200",
                (arrival,),
            ).fetchall()
        return [{**dict(row), "failed": len(unpack_stored(row["failed"])) if row["failed"] else 0} for row in rows]

    def images(self, arrival: int, after: int = 0, limit: int = 100) -> list[Row]:
        """Images of an arrival behind position `after`, each with what its targets answered other than success."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT receipt, position, sop_uid, sop_class_uid, transfer_syntax_uid, bytes, stored, superseded FROM image"
                " WHERE arrival = ? AND position > ? ORDER BY position LIMIT ?",
                (arrival, after, limit),
            ).fetchall()
            answers: dict[int, list[Row]] = defaultdict(list)
            if rows:
                for row in connection.execute(
                    "SELECT x.position, x.state, x.status, d.target FROM delivery d JOIN delivery_image x ON x.delivery = d.id"
                    " WHERE d.arrival = ? AND x.position BETWEEN ? AND ? ORDER BY d.id",
                    (arrival, rows[0]["position"], rows[-1]["position"]),
                ):
                    answers[row["position"]].append(dict(row))
        return [
            {**dict(row), "receipt": row["receipt"].hex(), "answers": answers[row["position"]],
             "superseded": row["superseded"].hex() if row["superseded"] else None}
            for row in rows
        ]  # fmt: skip

    def problems(self, delivery: int, limit: int = 100) -> list[Row]:
        """Images of a delivery that a target did not plainly take, with its status."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT x.position, x.state, x.status, x.comment, i.sop_uid FROM delivery_image x"
                " LEFT JOIN image i ON i.receipt = x.receipt WHERE x.delivery = ? AND x.state IN ('warning', 'refused')"
                " ORDER BY x.position LIMIT ?",
                (delivery, limit),
            ).fetchall()
        return [dict(row) for row in rows]

    def header(self, arrival: int, most: int = 2000) -> tuple[Row, dict[str, list[Any]], int]:
        """Header values of the first image, other values that further images have (keyword -> some of them), and of how
        many images. Patient data.
        """
        with self._db.read() as connection:
            row = connection.execute("SELECT header FROM arrival WHERE id = ?", (arrival,)).fetchone()
            rows = connection.execute(
                "SELECT header FROM image WHERE arrival = ? ORDER BY position LIMIT ?", (arrival, most)
            ).fetchall()
        first: Row = unpack_stored(row["header"]) if row is not None and row["header"] else {}
        other: dict[str, list[Any]] = defaultdict(list)
        for one in rows:
            for name, value in (unpack_stored(one["header"]) if one["header"] else {}).items():
                if len(other[name]) < 5 and value not in other[name] and value != first.get(name):
                    other[name].append(value)
        return first, {name: values for name, values in other.items() if values}, len(rows)

    # ---- deliveries ---------------------------------------------------------------------------------------------
    def counts(self, selection: Selection) -> tuple[dict[str, int], bool]:
        """How many deliveries match, by state, and whether these are all: by what has no index only the newest GROUPED of
        those that match otherwise are counted.
        """
        quick, slow = split(selection)
        text, values = where(DELIVERIES, quick)
        with self._db.read() as connection:
            if selection == Selection(states=selection.states, target=selection.target):
                found = tallying.kept(connection).by_state(selection.target)
                return {
                    state: count for state, count in found.items() if not selection.states or state in selection.states
                }, True
            if quick == selection:
                sql = f"SELECT x.state, count(*) FROM delivery x WHERE {text} GROUP BY 1"
                return dict(connection.execute(sql, values).fetchall()), True
            ids = newest(connection, quick, None, GROUPED + 1)
            matching = Counter(state for _, state in narrowed(connection, slow, ids[:GROUPED]))
        return dict(matching), len(ids) <= GROUPED

    def groups(self, selection: Selection, by: str, limit: int = 50) -> list[tuple[str, int]]:
        """How many of the newest GROUPED deliveries belong to what, as far as they match, the most first; `by` is rule, study or source."""
        column, join = {
            "rule": ("r.rule", "JOIN arrival_rule r ON r.arrival = n.arrival"),
            "study": ("a.study_uid", "JOIN arrival a ON a.id = n.arrival"),
            "source": ("a.calling_ae", "JOIN arrival a ON a.id = n.arrival"),
        }[by]
        quick, slow = split(selection)
        counts: Counter[str] = Counter()
        with self._db.read() as connection:
            ids = newest(connection, quick, None, GROUPED)
            if quick != selection:
                ids = [id for id, _ in narrowed(connection, slow, ids)]
            for some in _parts(ids):
                sql = f"SELECT {column} FROM delivery n {join} WHERE n.id IN ({','.join('?' * len(some))})"
                counts.update(row[0] for row in connection.execute(sql, some))
        return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]


# ---- texts ------------------------------------------------------------------------------------------------------
def means(about: Mapping[str, Any], text: str) -> bool:
    """Whether people mean this series by a text: its accession number, patient's id, or the beginning of a part of the name."""
    wanted = cleaned(text)
    if not wanted:
        return False
    numbers = {one.casefold() for one in numbers_of(wanted)}
    if any(str(about.get(name, "")).strip().casefold() in numbers for name in ("AccessionNumber", "PatientID")):
        return True
    if len(wanted) < MIN_NAME or wanted.isdecimal():
        return False
    name, begins = sounded(str(about.get("PatientName", ""))), sounded(wanted)
    words = begins.split(" ")
    turned = [" ".join([*words[at:], *words[:at]]) for at in range(1, min(len(words), MOST_WORDS))]
    return bool(begins) and (f" {begins}" in f" {name}" or any(name.startswith(one) for one in turned))


def _exact(connection: sqlite3.Connection, text: str) -> set[int]:
    """Arrivals that an index finds."""
    wanted = unlabelled(cleaned(text)).rstrip(".")
    asked: list[tuple[str, tuple[Any, ...]]] = [
        ("SELECT id FROM arrival INDEXED BY arrival_study WHERE study_uid = ? ORDER BY id DESC LIMIT 1000", (wanted,)),
        (
            "SELECT arrival FROM image INDEXED BY image_sop WHERE sop_uid = ? AND superseded IS NULL LIMIT 1000",
            (wanted,),
        ),
    ]
    if not ("." in wanted and wanted.replace(".", "").isdigit()):
        sender = (
            "SELECT id FROM arrival INDEXED BY arrival_sender WHERE calling_ae IN (?, ?) ORDER BY id DESC LIMIT 1000"
        )
        asked = [(sender, (wanted, wanted.upper()))]
    if wanted.isdecimal() and len(wanted) < 19:
        asked.append(("SELECT id FROM arrival WHERE id = ?", (int(wanted),)))
    return {row[0] for sql, values in asked for row in connection.execute(sql, values)}


def _same_series(connection: sqlite3.Connection, text: str, seen: Sequence[int]) -> set[int]:
    """Arrivals whose series or study UID begins so, among those that are looked through: that has no index."""
    if not seen or "." not in text:
        return set()
    wanted = unlabelled(cleaned(text)).rstrip(".")
    if not wanted.replace(".", "").isdecimal():
        return set()
    # Digits and dots alone, so that no sign of a pattern is among them.
    begins = f"{wanted}%" if len(wanted) >= MIN_UID else wanted
    sql = "SELECT id FROM arrival WHERE (series_uid LIKE ? OR study_uid LIKE ?) AND id BETWEEN ? AND ?"
    return {row[0] for row in connection.execute(sql, (begins, begins, seen[-1], seen[0]))}


def _matching(connection: sqlite3.Connection, selection: Selection, ids: Sequence[int]) -> list[int]:
    text, values = where(ARRIVALS, selection)
    kept: list[int] = []
    for some in _parts(ids):
        marks = ",".join("?" * len(some))
        sql = f"SELECT x.id FROM arrival x WHERE x.id IN ({marks}) AND {text} ORDER BY x.id DESC"
        kept += [row[0] for row in connection.execute(sql, (*some, *values))]
    return kept


def _abouts(connection: sqlite3.Connection, ids: Sequence[int]) -> Iterable[tuple[int, Row]]:
    for some in _parts(ids):
        marks = ",".join("?" * len(some))
        for row in connection.execute(f"SELECT id, header FROM arrival WHERE id IN ({marks})", some):
            yield row["id"], _about(row["header"])


def _about(header: bytes | None) -> Row:
    values = unpack_stored(header) if header else {}
    return {name: values[name] for name in ABOUT if values.get(name) not in (None, "")}


def _parts(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    for start in range(0, len(ids), AT_ONCE):
        yield ids[start : start + AT_ONCE]
