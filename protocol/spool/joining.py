"""How an image joins an arrival inside a transaction: duplicate, newer version, open arrival or a new one.
Called by images.py and adoption.py only; it never commits and never touches a file but to compare bytes.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from protocol.fsops import FsOps
from protocol.header.diff import difference, differing
from protocol.spool.comparing import came_later, same_bytes
from protocol.spool.objects import Receipt, Saved
from protocol.spool.places import Places, series_key
from protocol.spool.transaction import Transaction
from protocol.wire.codec import pack, unpack_stored
from protocol.wire.events import ArrivalOpened, ImageDuplicate, ImageReceived, ImageSuperseded
from protocol.wire.messages import Event

# The twin of a duplicate must still be on its way or kept: a discarded one may go unsent, so the new one counts.
_TWIN_GONE = ("deleted", "discarded")
_IMAGE = (
    "image (receipt, arrival, position, association, sop_uid, sop_class_uid, transfer_syntax_uid, bytes, digest, file,"
    " offset, header, stored)"
)


def known(connection: sqlite3.Connection | Transaction, receipt: bytes) -> bool:
    """Is there a row for this receipt?"""
    for table in ("image", "quarantine"):
        if connection.execute(f"SELECT 1 FROM {table} WHERE receipt = ?", (receipt,)).fetchone():
            return True
    return False


def _key(saved: Saved) -> bytes:
    return series_key(
        str(saved.values["StudyInstanceUID"]), str(saved.values["SeriesInstanceUID"]), saved.meta.calling_ae
    )


def twins(connection: sqlite3.Connection | Transaction, saved: Saved) -> list[Any]:
    """Rows that may be the same object: same series and sender, same SOP instance, transfer syntax and digest.

    Not one that a newer version in a later arrival is about to replace: what comes now is newer still, and must win.
    """
    return connection.execute(
        "SELECT i.* FROM arrival a CROSS JOIN image i INDEXED BY image_sop ON i.arrival = a.id"
        " WHERE i.sop_uid = :sop AND a.series_key = :key AND i.transfer_syntax_uid = :syntax AND i.digest = :digest"
        f" AND i.superseded IS NULL AND i.receipt <> :receipt AND a.state NOT IN {_TWIN_GONE!r}"
        " AND NOT EXISTS (SELECT 1 FROM arrival b CROSS JOIN image n INDEXED BY image_sop ON n.arrival = b.id"
        "   WHERE b.series_key = :key AND b.id > a.id AND n.sop_uid = :sop AND n.superseded IS NULL AND n.digest <> :digest)"
        " ORDER BY i.stored DESC",
        {"sop": saved.meta.sop_instance_uid, "key": _key(saved), "syntax": saved.meta.transfer_syntax_uid,
         "digest": saved.meta.digest, "receipt": saved.receipt},
    ).fetchall()  # fmt: skip


class Compare(Exception):
    """There may be a twin whose bytes have to be compared before the lock; not an error."""


class Known:
    """What earlier transactions of this process found out about arrivals, so that each image does not ask again.

    Only hints: an arrival counts as open only if the transaction that adds the image finds it so. What it adds counts
    after its commit (`keep`).
    """

    MOST = 500

    def __init__(self) -> None:
        self._arrivals: dict[bytes, Any] = {}
        self._links: set[tuple[int, bytes]] = set()

    def arrival(self, key: bytes) -> Any:
        return self._arrivals.get(key)

    def linked(self, arrival: int, association: bytes) -> bool:
        return (arrival, association) in self._links

    def keep(self, joining: Joining) -> None:
        """After the commit."""
        if len(self._arrivals) + len(joining.opened) > self.MOST:
            self._arrivals.clear()
        if len(self._links) + len(joining.links) > self.MOST:
            self._links.clear()
        self._arrivals.update(joining.opened)
        self._links |= joining.links


@dataclass
class _Added:
    """What a transaction adds to an open arrival whose last position was `taken`."""

    arrival: Any
    taken: int
    images: int = 0
    bytes: int = 0


class Joining:
    """The images of one transaction. What is counted for several of them is written once, by `end`."""

    def __init__(self, tx: Transaction, fs: FsOps, places: Places, known: Known) -> None:
        self._tx, self._fs, self._places, self._known = tx, fs, places, known
        self._totals: Counter[str] = Counter()
        self._associations: dict[bytes, tuple[int, int]] = {}
        self._added: dict[bytes, _Added] = {}
        self._looked: set[str] | None = None  # SOP instances that have an image, of those that were looked for
        self._rows: list[tuple[Any, ...]] = []  # of images, not written yet
        self._events: list[tuple[Event, int]] = []  # that go with them
        self._waiting: set[str] = set()  # SOP instances of these rows
        # Headers that many images are compared with, by their ids, which are held so that none is given anew.
        self._likes: dict[tuple[int, int], tuple[Any, Any, dict[str, Any]]] = {}
        self.opened: dict[bytes, Any] = {}
        self.links: set[tuple[int, bytes]] = set()

    def join(self, saved: Saved) -> Receipt:
        """Give a saved image its row, in the open arrival of its series or a new one; or find it a duplicate.

        Raises Compare: look at the twins outside the transaction first.
        """
        tx = self._tx
        same_sop = self._same_sop(saved.meta.sop_instance_uid)
        if not saved.new and known(tx, saved.receipt):
            row = tx.one("SELECT arrival FROM image WHERE receipt = ?", (saved.receipt,))
            return Receipt(saved.receipt, "stored", row["arrival"] if row else 0)
        if same_sop and not saved.resend:
            twin = self._twin(saved)
            if twin is not None:
                return self._duplicate(saved, twin)
        arrival, position = self._place(saved)
        self._insert(saved, arrival, position, replaces=same_sop)
        return Receipt(saved.receipt, "stored", arrival["id"])

    def look(self, together: Sequence[Saved]) -> None:
        """Ask once for all that are to join which SOP instances are there already."""
        uids = [saved.meta.sop_instance_uid for saved in together]
        # Few different statements, so that they are kept: the last is asked for again, up to a power of two.
        while len(uids) & (len(uids) - 1):
            uids.append(uids[-1])
        rows = self._tx.all(
            "SELECT sop_uid FROM image INDEXED BY image_sop WHERE superseded IS NULL"
            f" AND sop_uid IN ({','.join('?' * len(uids))})",
            uids,
        )
        self._looked = {row[0] for row in rows}

    def _same_sop(self, uid: str) -> bool:
        """Is there an image with this SOP instance UID? One of the same transaction has its row then."""
        if uid in self._waiting:
            self._write()
            return True
        if self._looked is not None:
            return uid in self._looked
        row = self._tx.one(
            "SELECT 1 FROM image INDEXED BY image_sop WHERE sop_uid = ? AND superseded IS NULL LIMIT 1", (uid,)
        )
        return row is not None

    def _write(self) -> None:
        """Write the rows and events that wait."""
        rows, self._rows = self._rows, []
        events, self._events = self._events, []
        if self._looked is not None:
            self._looked |= self._waiting
        self._waiting.clear()
        self._tx.insert(_IMAGE, rows)
        self._tx.emit_many(events)

    def end(self) -> None:
        """Write what waits, and the counts."""
        self._write()
        for added in self._added.values():
            self._tx.execute(
                "UPDATE arrival SET positions = positions + :images, images = images + :images, bytes = bytes + :bytes,"
                " last_image = :now WHERE id = :id",
                {"images": added.images, "bytes": added.bytes, "now": self._tx.now, "id": added.arrival["id"]},
            )
        for name, count in self._totals.items():
            self._tx.add(name, count)
        for association, (images, size) in self._associations.items():
            self._tx.execute(
                "UPDATE association SET images = images + ?, bytes = bytes + ? WHERE id = ?",
                (images, size, association),
            )

    def _twin(self, saved: Saved) -> Any:
        for row in twins(self._tx, saved):
            equal = None if saved.twins is None else saved.twins.get(row["receipt"])
            if equal is None:
                if saved.twins is None:
                    raise Compare
                equal = same_bytes(self._fs, self._places, row, saved)  # it came since we looked: rare
            if equal:
                return row
        return None

    def _duplicate(self, saved: Saved, twin: Any) -> Receipt:
        self._totals["duplicates"] += 1
        self._count(saved)
        self._tx.emit(
            ImageDuplicate(
                saved.receipt.hex(), saved.meta.association.hex(), twin["arrival"], saved.meta.calling_ae,
                saved.meta.sop_instance_uid, twin["receipt"].hex(),
            ),
            correlation=twin["arrival"],
        )  # fmt: skip
        return Receipt(saved.receipt, "duplicate", twin["arrival"])

    def _place(self, saved: Saved) -> tuple[Any, int]:
        """The open arrival of its series, a new one if there is none, and the image's position in it."""
        key = _key(saved)
        added = self._added.get(key)
        if added is None:
            arrival = self._known.arrival(key)
            taken = None if arrival is None else self._last_position(arrival["id"])
            if taken is None:
                arrival = _open_arrival(self._tx, saved, key)
                taken = self._last_position(arrival["id"])
                assert taken is not None
            self.opened[key] = arrival
            added = self._added[key] = _Added(arrival, taken)
        added.images += 1
        added.bytes += saved.meta.length
        return added.arrival, added.taken + added.images

    def _last_position(self, arrival: int) -> int | None:
        """The position that was given last; None if the arrival is not open any more. Nobody else changes it meanwhile."""
        row = self._tx.one("SELECT positions FROM arrival WHERE id = ? AND state = 'open'", (arrival,))
        return None if row is None else int(row[0])

    def _insert(self, saved: Saved, arrival: Any, position: int, *, replaces: bool) -> None:
        tx, meta = self._tx, saved.meta
        newer = None
        if replaces:
            self._write()  # so that its events stay in order
            newer = self._replace(saved, arrival)
        differs = self._differing(arrival, saved)
        self._rows.append(
            (saved.receipt, arrival["id"], position, meta.association, meta.sop_instance_uid, meta.sop_class_uid,
             meta.transfer_syntax_uid, meta.length, meta.digest, saved.file, meta.offset,
             pack(differs) if differs else None, tx.now)
        )  # fmt: skip
        self._waiting.add(meta.sop_instance_uid)
        if not self._known.linked(arrival["id"], meta.association):
            self._link(arrival["id"], meta.association)
        self._totals["received"] += 1
        self._count(saved)
        received = ImageReceived(
            saved.receipt.hex(), meta.association.hex(), arrival["id"], meta.calling_ae, arrival["study_uid"],
            arrival["series_uid"], meta.sop_instance_uid, meta.sop_class_uid, meta.transfer_syntax_uid, meta.length,
            meta.digest.hex(), saved.why,
        )  # fmt: skip
        self._events.append((received, arrival["id"]))
        if newer is not None:
            self._write()
            supersede(tx, saved.receipt, newer, arrival["id"], meta.calling_ae, meta.sop_instance_uid)

    def _differing(self, arrival: Any, saved: Saved) -> dict[str, Any]:
        """What is kept of its header: where it differs from the arrival's first image."""
        common, like = arrival["values"], saved.like
        if like is None:
            return difference(common, saved.values)
        key = id(common), id(like)
        if key not in self._likes:
            self._likes[key] = common, like, difference(common, like)
        return differing(common, saved.values, self._likes[key][2], saved.but)

    def _replace(self, saved: Saved, arrival: Any) -> bytes | None:
        """What this arrival has of the same SOP instance is superseded; or else the receipt of what came later than `saved`."""
        others = self._tx.all(
            "SELECT receipt, association, file, stored FROM image INDEXED BY image_sop"
            " WHERE arrival = ? AND sop_uid = ? AND superseded IS NULL",
            (arrival["id"], saved.meta.sop_instance_uid),
        )
        for row in others:
            if came_later(self._fs, self._places, row, saved):
                return bytes(row["receipt"])
        for row in others:
            supersede(
                self._tx, row["receipt"], saved.receipt, arrival["id"], saved.meta.calling_ae,
                saved.meta.sop_instance_uid,
            )  # fmt: skip
        return None

    def _link(self, arrival: int, association: bytes) -> None:
        if (arrival, association) not in self.links:
            self._tx.execute("INSERT OR IGNORE INTO arrival_association VALUES (?, ?)", (arrival, association))
            self.links.add((arrival, association))

    def _count(self, saved: Saved) -> None:
        images, size = self._associations.get(saved.meta.association, (0, 0))
        self._associations[saved.meta.association] = images + 1, size + saved.meta.length


def _open_arrival(tx: Transaction, saved: Saved, key: bytes) -> dict[str, Any]:
    row = tx.one("SELECT * FROM arrival WHERE series_key = ? AND state = 'open'", (key,))
    if row is not None:
        return _known_arrival(row)
    earlier = tx.one("SELECT max(id) FROM arrival WHERE series_key = ?", (key,))[0] or 0
    study, series = str(saved.values["StudyInstanceUID"]), str(saved.values["SeriesInstanceUID"])
    row = tx.one(
        "INSERT INTO arrival (series_key, study_uid, series_uid, calling_ae, called_ae, address, source, state, addendum_of,"
        " opened, last_image, since, modality, header) VALUES (?,?,?,?,?,?,?,'open',?,?,?,?,?,?) RETURNING *",
        (key, study, series, saved.meta.calling_ae, saved.meta.called_ae, saved.meta.address, saved.source, earlier,
         tx.now, tx.now, tx.now, _short(saved.values.get("Modality")), pack(dict(saved.values))),
    )  # fmt: skip
    opened = ArrivalOpened(row["id"], saved.meta.calling_ae, saved.meta.called_ae, study, series, earlier)
    tx.emit(opened, correlation=row["id"])
    return _known_arrival(row)


def _known_arrival(row: Any) -> dict[str, Any]:
    """What never changes of an arrival: its ids, and the header of its first image."""
    return {"id": row["id"], "study_uid": row["study_uid"], "series_uid": row["series_uid"],
            "values": unpack_stored(row["header"])}  # fmt: skip


def _short(value: Any) -> str:
    """Modality is a code string (PS3.3 C.7.3.1.1.1); anything else is not kept where people list it."""
    return value if isinstance(value, str) and len(value) <= 16 and value.replace("_", "").isalnum() else ""


def supersede(tx: Transaction, older: bytes, newer: bytes, arrival: int, calling_ae: str, sop_uid: str) -> None:
    """Mark an image as replaced by a newer one with the same SOP instance UID; its file stays."""
    tx.execute("UPDATE image SET superseded = ? WHERE receipt = ? AND superseded IS NULL", (newer, older))
    tx.execute("UPDATE arrival SET superseded = superseded + 1 WHERE id = ?", (arrival,))
    tx.emit(ImageSuperseded(older.hex(), arrival, calling_ae, sop_uid, newer.hex()), correlation=arrival)
