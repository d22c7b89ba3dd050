"""Arrivals: closing them, deciding them, and what people do to them; each change is one transaction with its events.
It never judges whether a series is complete or where it goes: the router does, and hands in the verdict.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from protocol.errors import StepRefused
from protocol.records import record
from protocol.selection import Selection
from protocol.spool import handling
from protocol.spool.acts import Progress, act_of, reason_of
from protocol.spool.database import Database
from protocol.spool.deciding import EXPLANATION_LIMIT, record_decision, unlink
from protocol.spool.headers import ArrivalHeaders, series_headers
from protocol.spool.kept_headers import all_headers, kept
from protocol.spool.last_word import held_by_rules
from protocol.spool.selecting import ARRIVALS, page
from protocol.spool.settling import (
    TargetChoice,
    Verdict,
    arrival_row,
    plain,
)
from protocol.states import ArrivalState
from protocol.wire.codec import unpack, unpack_stored
from protocol.wire.events import ArrivalCompleted

__all__ = ["ArrivalHeaders", "Arrivals", "LateSeries", "OpenArrival", "TargetChoice", "Verdict"]

SPREAD_REMEMBERED = 10
"""Arrivals of a calling AE that are looked back at: as many series after the last one that was spread, it is forgotten."""
LATE_S = 3600.0
"""What comes later than this was sent again or made later; no waiting time would have caught it."""


@record
class OpenArrival:
    """What the router needs to judge completeness. `images` grows with each image; times are seconds UTC.

    Attributes:
        followed: an association brought images that was opened after another one of this series was released.
        late_s: how long its first image came after the last one of the arrival that it adds to, in seconds, if that one
            was closed because its associations were released; else None. None, too, if that image is one that was there
            already: sent anew, not late.
        seen_spreading: one of the last arrivals of this calling AE was closed as spread over associations.
    """

    id: int
    source: str | None
    calling_ae: str
    address: str
    images: int
    last_image: float
    associations_open: int
    associations_aborted: int
    associations: int
    associations_released: int = 0
    followed: bool = False
    late_s: float | None = None
    seen_spreading: bool = False


@record
class LateSeries:
    """How often series of a sender needed addenda, by how the arrivals were closed that they add to.

    `longest_s` is the longest time from the last image of such an arrival to the first late one.
    """

    calling_ae: str
    source: str | None
    why: str
    addenda: int
    longest_s: float


class Arrivals:
    """Series as they came in."""

    def __init__(self, database: Database) -> None:
        self._db = database

    # ---- reading --------------------------------------------------------------------------------------------------
    def open_ones(self) -> list[OpenArrival]:
        """Every open arrival with how its associations stand."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT a.id, a.source, a.calling_ae, a.address, a.images, a.last_image,"
                " coalesce(sum(s.state = 'open'), 0) AS associations_open,"
                " coalesce(sum(s.state = 'aborted'), 0) AS associations_aborted,"
                " count(x.association) AS associations, coalesce(sum(s.state = 'released'), 0) AS associations_released,"
                " coalesce(max(s.opened) > min(CASE WHEN s.state = 'released' THEN s.closed END), 0) AS followed,"
                " (SELECT a.opened - e.last_image FROM arrival e WHERE e.id = a.addendum_of AND e.why = 'released'"
                "   AND NOT EXISTS (SELECT 1 FROM image f CROSS JOIN image o INDEXED BY image_sop ON o.sop_uid = f.sop_uid"
                "   AND o.arrival = e.id AND o.superseded IS NULL WHERE f.arrival = a.id AND f.position = 1)) AS late_s,"
                " EXISTS (SELECT 1 FROM (SELECT b.spread FROM arrival b INDEXED BY arrival_sender"
                "   WHERE b.calling_ae = a.calling_ae AND b.id < a.id ORDER BY b.id DESC LIMIT ?) WHERE spread) AS seen_spreading"
                " FROM arrival a LEFT JOIN arrival_association x ON x.arrival = a.id"
                " LEFT JOIN association s ON s.id = x.association WHERE a.state = 'open' GROUP BY a.id ORDER BY a.id",
                (SPREAD_REMEMBERED,),
            ).fetchall()
        flags = ("followed", "seen_spreading")
        return [OpenArrival(**{**dict(row), **{flag: bool(row[flag]) for flag in flags}}) for row in rows]

    def late(self, since: float) -> list[LateSeries]:
        """Whose series needed addenda since then (seconds UTC): not counting objects that were only sent anew."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT a.calling_ae, a.source, e.why, count(*), max(a.opened - e.last_image)"
                " FROM arrival a INDEXED BY arrival_addendum JOIN arrival e ON e.id = a.addendum_of"
                " WHERE a.addendum_of <> 0 AND a.opened > ? AND a.opened - e.last_image BETWEEN 0 AND ?"
                " AND e.why IN ('released', 'spread', 'idle', 'aborted') AND e.superseded < a.images"
                " GROUP BY a.calling_ae, a.source, e.why ORDER BY a.calling_ae, a.source, e.why",
                (since, LATE_S),
            ).fetchall()
        return [LateSeries(*tuple(row)) for row in rows]

    def undecided(self, limit: int = 100) -> list[int]:
        """Closed arrivals without a decision, oldest first."""
        with self._db.read() as connection:
            rows = connection.execute("SELECT id FROM arrival WHERE state = 'closed' ORDER BY id LIMIT ?", (limit,))
            return [row[0] for row in rows.fetchall()]

    def get(self, id: int) -> dict[str, Any]:
        """The row of one arrival. Raises NotFound."""
        with self._db.read() as connection:
            return plain(arrival_row(connection, id))

    def list(
        self, *, state: str | None = None, before: int | None = None, limit: int = 50, calling_ae: str | None = None,
        modality: str | None = None, study_uid: str | None = None, series_uid: str | None = None,
    ) -> builtins.list[dict[str, Any]]:  # fmt: skip
        """Arrivals, newest first, a page at a time: pass the last id as `before` for the next."""
        states = () if state is None else (state,)
        selection = Selection(states, source=calling_ae, study=study_uid, series=series_uid, modality=modality)
        return self.select(selection, before=before, limit=limit)

    def select(
        self, selection: Selection, *, before: int | None = None, limit: int = 50
    ) -> builtins.list[dict[str, Any]]:  # fmt: skip
        """Arrivals, newest first, a page at a time: pass the last id as `before` for the next."""
        with self._db.read() as connection:
            ids = page(connection, ARRIVALS, selection, before, limit)
            rows = [connection.execute("SELECT * FROM arrival WHERE id = ?", (id,)).fetchone() for id in ids]
        return [plain(row) for row in rows]

    def subject(self, id: int) -> ArrivalHeaders:
        """What rules may read: the headers of all arrivals of that series, and where the earlier ones went."""
        with self._db.read() as connection:
            return series_headers(connection, id)

    def story(self, id: int, *, with_images: bool = True) -> dict[str, Any]:
        """Everything about one arrival, for `series show`: its row, images, decisions with explanation, deliveries, acts."""
        with self._db.read() as connection:
            arrival = plain(arrival_row(connection, id))
            images = connection.execute(
                "SELECT receipt, position, sop_uid, sop_class_uid, transfer_syntax_uid, bytes, stored, superseded FROM image"
                " WHERE arrival = ? ORDER BY position", (id,)).fetchall() if with_images else []  # fmt: skip
            decisions = connection.execute("SELECT * FROM decision WHERE arrival = ? ORDER BY id", (id,)).fetchall()
            deliveries = connection.execute("SELECT * FROM delivery WHERE arrival = ? ORDER BY id", (id,)).fetchall()
            acts = connection.execute(
                "SELECT t.command, t.delivery, t.time, t.refused, c.kind, c.by, c.arguments FROM touched t"
                " LEFT JOIN command c ON c.id = t.command WHERE t.arrival = ? ORDER BY t.command, t.delivery",
                (id,),
            ).fetchall()
        return {
            "arrival": arrival,
            "images": [
                {
                    **dict(row),
                    "receipt": row["receipt"].hex(),
                    "superseded": row["superseded"].hex() if row["superseded"] else None,
                }
                for row in images
            ],
            "decisions": [
                {
                    **dict(row),
                    "explanation": unpack(row["explanation"], EXPLANATION_LIMIT) if row["explanation"] else None,
                }
                for row in decisions
            ],
            "deliveries": [dict(row) for row in deliveries],
            "acts": [_act(row) for row in acts],
        }

    def held_by_rules(self, id: int) -> bool:
        """Rules hold it, and nobody had it sent since: to release it is to let them decide, without that hold."""
        with self._db.read() as connection:
            return held_by_rules(connection, id) is not None

    # ---- closing --------------------------------------------------------------------------------------------------
    def close(
        self, id: int, why: str, *, images: int | None = None, spread: bool = False, mined: Mapping[str, Any] | None = None
    ) -> bool:  # fmt: skip
        """Complete: one UPDATE. False if it is not open any more, or has more images than the router saw.

        `spread`: its images came in one association after the other, which is remembered of the sender. `mined`: what else
        the ledger is told of it (Mined.of).

        An image committed later finds no open arrival and opens the next one; there is no race to lose it in.
        """
        with self._db.read() as connection:
            headers = all_headers(connection, id)  # before the lock: 10,000 headers take a fifth of a second
        with self._db.write() as tx:
            row = tx.one(
                "UPDATE arrival SET state = 'closed', closed = :now, since = :now, why = :why, spread = :spread"
                " WHERE id = :id AND state = 'open' AND (:images IS NULL OR images = :images) RETURNING *",
                {"now": tx.now, "why": why, "id": id, "images": images, "spread": spread},
            )
            if row is None:
                return False
            if headers.positions != row["positions"]:
                headers = all_headers(tx, id)  # an image came in between
            tx.emit(
                ArrivalCompleted(
                    id, row["calling_ae"], row["study_uid"], row["series_uid"], row["images"], row["bytes"], why, row["modality"],
                    row["last_image"],
                ),
                correlation=id, phi=kept(row, headers.packed, mined),
            )  # fmt: skip
        return True

    # ---- deciding -------------------------------------------------------------------------------------------------
    def decide(
        self, id: int, verdict: Verdict, *, after_waiting: bool = False, released: bool = False, part: Progress | None = None
    ) -> int:  # fmt: skip
        """Decision, deliveries, state and events in one transaction; returns the decision's id.

        Without a command only a closed arrival can be decided, so a repeated decision is refused (StepRefused); with
        `after_waiting` only one that waits for its study, and what it need not wait for any more is forgotten. With a command
        `verdict.command` is answered in the same transaction: its effect happens once. `released`: what was held with the
        arrival goes on; if it waited for its study before that, nothing goes again where it went. `part`: see handling.py.
        """
        with self._db.write() as tx:
            arrival = arrival_row(tx, id)
            state = ArrivalState(arrival["state"])
            wanted = ArrivalState.WAITING if after_waiting else ArrivalState.CLOSED
            if not verdict.command and state is not wanted:
                raise StepRefused(f"arrival {id} is {state}, not {wanted}; it was decided already")
            act = act_of(tx, verdict.command)
            if after_waiting or (verdict.command and state is ArrivalState.HELD):
                unlink(tx, id, verdict.waits)
            anew, whole = not after_waiting, bool(verdict.command) and not released
            if released:
                hold = held_by_rules(tx, id)
                anew = hold is None or hold.waited is None
                handling.free_held(tx, id, act)
            decision = record_decision(tx, arrival, verdict, whole=whole, anew=anew, act=act)
            words = f"arrival {id}: {verdict.outcome} {', '.join(t.name for t in verdict.targets)}".strip()
            handling.acted(tx, id, act, words, part)
            return decision

    # ---- people -----------------------------------------------------------------------------------------------------
    def hold(self, id: int, reason: str, command: int = 0, part: Progress | None = None) -> None:
        """Set aside whole. Deliveries that are waiting are held with it; one being sent ends its attempt first."""
        with self._db.write() as tx:
            act = act_of(tx, command)
            before = handling.hold(tx, id, reason, act)
            handling.acted(tx, id, act, f"arrival {id} is held", part, before)

    def release(self, id: int, command: int, part: Progress | None = None) -> None:
        """A person releases a held arrival: its held deliveries go on, or, without any, the rules decide again."""
        with self._db.write() as tx:
            act = act_of(tx, command)
            handling.release(tx, id, act)
            handling.acted(tx, id, act, f"arrival {id} is released", part)

    def reroute(self, id: int, command: int, part: Progress | None = None) -> None:
        """Let the current rules decide again: held, delivered or discarded arrivals, and those of which nothing goes on."""
        with self._db.write() as tx:
            act = act_of(tx, command)
            handling.reroute(tx, id, act)
            handling.acted(tx, id, act, f"arrival {id} will be decided again", part)

    def discard(self, id: int, reason: str, command: int, part: Progress | None = None) -> None:
        """A person discards a held arrival: its held deliveries are cancelled, it is kept for its retention."""
        with self._db.write() as tx:
            act = act_of(tx, command)
            handling.discard(tx, id, reason, act)
            handling.acted(tx, id, act, f"arrival {id} is discarded", part)

    def keep(self, id: int, until: float | None, command: int, part: Progress | None = None) -> None:
        """A person wants it kept at least until then (seconds UTC); None: its retention alone counts again.

        It never shortens a retention. Raises NotFound, StepRefused if it is deleted.
        """
        with self._db.write() as tx:
            act = act_of(tx, command)
            before = handling.keep(tx, id, until, act)
            words = (
                "is kept as long as its retention says"
                if until is None
                else f"is kept until {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M} UTC"
            )
            handling.acted(tx, id, act, f"arrival {id} {words}", part, before)

    def before(self, command: int, id: int) -> str:
        """What an act changed of an arrival, as it was before; "" if nothing was to be remembered."""
        with self._db.read() as connection:
            row = connection.execute(
                "SELECT before FROM touched WHERE arrival = ? AND command = ? AND delivery = 0", (id, command)
            ).fetchone()
        return str(row["before"]) if row is not None else ""


def _act(row: Any) -> dict[str, Any]:
    """What somebody did to an arrival or to one of its deliveries (`delivery`; 0: the whole arrival), and what came of it."""
    return {
        "command": row["command"],
        "time": row["time"],
        "by": row["by"] or "",
        "kind": row["kind"] or "",
        "reason": reason_of(unpack_stored(row["arguments"])) if row["arguments"] else "",
        "delivery": row["delivery"],
        "outcome": f"refused: {row['refused']}" if row["refused"] else "done",
    }
