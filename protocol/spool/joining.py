"""How an image joins an arrival inside a transaction: duplicate, newer version, open arrival or a new one.
Called by images.py and adoption.py only; it never commits and never touches a file but to compare bytes.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import xxhash

from protocol.fsops import FsOps
from protocol.header.diff import difference
from protocol.spool.objects import Receipt, Saved
from protocol.spool.places import Places, series_key
from protocol.spool.transaction import Transaction
from protocol.wire.codec import pack, unpack_stored
from protocol.wire.events import ArrivalOpened, ImageDuplicate, ImageReceived, ImageSuperseded

CHUNK = 1 << 20
# The twin of a duplicate must still be on its way or kept: a discarded one may go unsent, so the new one counts.
_TWIN_GONE = ("deleted", "discarded")


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


def same_bytes(fs: FsOps, places: Places, row: Any, saved: Saved) -> bool:
    """Are the data sets of a row and of a saved file equal, byte by byte? False if one of the files is not there."""
    if row["bytes"] != saved.meta.length:
        return False
    try:
        with fs.open_read(places.images / row["file"]) as one, fs.open_read(places.images / saved.file) as other:
            one.seek(row["offset"])
            other.seek(saved.meta.offset)
            while True:
                left, right = one.read(CHUNK), other.read(CHUNK)
                if left != right:
                    return False
                if not left:
                    return True
    except OSError:
        return False  # then it is kept as a new image: sent twice rather than lost


def digest_of(fs: FsOps, path: Any, offset: int) -> tuple[int, bytes]:
    """Length and xxh3-128 digest of the data set in a file."""
    state = xxhash.xxh3_128()
    length = 0
    with fs.open_read(path) as file:
        file.seek(offset)
        while block := file.read(CHUNK):
            state.update(block)
            length += len(block)
    return length, state.digest()


def join(tx: Transaction, fs: FsOps, places: Places, saved: Saved) -> Receipt:
    """Give a saved image its row, in the open arrival of its series or a new one; or find it a duplicate."""
    if known(tx, saved.receipt):
        row = tx.one("SELECT arrival FROM image WHERE receipt = ?", (saved.receipt,))
        return Receipt(saved.receipt, "stored", row["arrival"] if row else 0)
    for row in twins(tx, saved):
        compared = (saved.twins or {}).get(row["receipt"])
        if compared is None:
            compared = same_bytes(fs, places, row, saved)
        if compared:
            tx.add("duplicates")
            _count_association(tx, saved)
            tx.emit(
                ImageDuplicate(
                    saved.receipt.hex(), saved.meta.association.hex(), row["arrival"], saved.meta.calling_ae,
                    saved.meta.sop_instance_uid, row["receipt"].hex(),
                ),
                correlation=row["arrival"],
            )  # fmt: skip
            return Receipt(saved.receipt, "duplicate", row["arrival"])
    arrival = _open_arrival(tx, saved)
    _insert(tx, saved, arrival)
    return Receipt(saved.receipt, "stored", arrival["id"])


def _open_arrival(tx: Transaction, saved: Saved) -> Any:
    key = _key(saved)
    row = tx.one("SELECT * FROM arrival WHERE series_key = ? AND state = 'open'", (key,))
    if row is not None:
        return row
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
    return row


def _short(value: Any) -> str:
    """Modality is a code string (PS3.3 C.7.3.1.1.1); anything else is not kept where people list it."""
    return value if isinstance(value, str) and len(value) <= 16 and value.replace("_", "").isalnum() else ""


def _insert(tx: Transaction, saved: Saved, arrival: Any) -> None:
    meta, position = saved.meta, arrival["positions"] + 1
    older = tx.all(
        "SELECT receipt FROM image INDEXED BY image_sop WHERE arrival = ? AND sop_uid = ? AND superseded IS NULL",
        (arrival["id"], meta.sop_instance_uid),
    )
    for row in older:
        supersede(tx, row["receipt"], saved.receipt, arrival["id"], meta.calling_ae, meta.sop_instance_uid)
    differing = difference(unpack_stored(arrival["header"]), saved.values)
    tx.execute(
        "INSERT INTO image (receipt, arrival, position, association, sop_uid, sop_class_uid, transfer_syntax_uid, bytes,"
        " digest, file, offset, header, stored) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
        (saved.receipt, arrival["id"], position, meta.association, meta.sop_instance_uid, meta.sop_class_uid,
         meta.transfer_syntax_uid, meta.length, meta.digest, saved.file, meta.offset,
         pack(differing) if differing else None, tx.now),
    )  # fmt: skip
    tx.execute(
        "UPDATE arrival SET positions = ?, images = images + 1, bytes = bytes + ?, last_image = ? WHERE id = ?",
        (position, meta.length, tx.now, arrival["id"]),
    )
    tx.execute("INSERT OR IGNORE INTO arrival_association VALUES (?, ?)", (arrival["id"], meta.association))
    tx.add("received")
    _count_association(tx, saved)
    tx.emit(
        ImageReceived(
            saved.receipt.hex(), meta.association.hex(), arrival["id"], meta.calling_ae, arrival["study_uid"],
            arrival["series_uid"], meta.sop_instance_uid, meta.sop_class_uid, meta.transfer_syntax_uid, meta.length,
            meta.digest.hex(), saved.why,
        ),
        correlation=arrival["id"],
    )  # fmt: skip


def _count_association(tx: Transaction, saved: Saved) -> None:
    tx.execute(
        "UPDATE association SET images = images + 1, bytes = bytes + ? WHERE id = ?",
        (saved.meta.length, saved.meta.association),
    )


def supersede(tx: Transaction, older: bytes, newer: bytes, arrival: int, calling_ae: str, sop_uid: str) -> None:
    """Mark an image as replaced by a newer one with the same SOP instance UID; its file stays."""
    tx.execute("UPDATE image SET superseded = ? WHERE receipt = ? AND superseded IS NULL", (newer, older))
    tx.execute("UPDATE arrival SET superseded = superseded + 1 WHERE id = ?", (arrival,))
    tx.emit(ImageSuperseded(older.hex(), arrival, calling_ae, sop_uid, newer.hex()), correlation=arrival)
