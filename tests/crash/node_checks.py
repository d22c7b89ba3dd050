"""What must hold of a whole node: the guarantees, seen from outside, and the books against each other.
It only looks. A broken promise is an AssertionError that names the object.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import xxhash
from node_in_memory import NODE, ROUTES, Node

from protocol.ledger import compare
from protocol.ledger.engine import reading
from protocol.spool.outbox import Cursor
from protocol.testing.fakes import digest
from protocol.testing.images import TestImage
from tests.bookkeeper.office import stored

GROUP = 2  # images that are confirmed together, see SEND_S
FINAL = ("delivered", "discarded", "deleted")
SET_ASIDE = ("parked", "held")


def check_always(node: Node) -> None:
    """In every moment in which no process is in the middle of something."""
    assert node.violations == [], node.violations
    rows = _images(node)
    _check_promises(node, rows)
    _check_files(node, rows)
    _check_delivered(node, rows)
    _check_repetitions(node, rows)
    node.committing.check()
    problems = node.spool.accounting.balance(files=True)
    assert problems == [], problems


def check_rest(node: Node) -> None:
    """After `settle`: as before, and nothing is stuck but what a person has to look at; the ledger has it all."""
    check_always(node)
    aside = {row["arrival"] for row in node.deliveries() if row["state"] in SET_ASIDE}
    stuck = [
        (row["id"], row["state"])
        for row in node.arrivals()
        if row["state"] not in (*FINAL, "held") and row["id"] not in aside
    ]
    assert not stuck, f"arrivals are stuck: {stuck}"
    unfinished = [row["id"] for row in node.deliveries() if row["state"] not in ("delivered", "cancelled", *SET_ASIDE)]
    assert not unfinished, f"deliveries are stuck: {unfinished}"
    assert node.spool.commands.pending("router") == [], "a command was never answered"
    assert node.spool.workers.dead() == [], "somebody dead was not buried"
    assert node.spool.cleaning.marked() == [], "files of a marked arrival are left"
    assert set(node.actors) == set(node.processes)
    for name, limit in (("arrival.completed", 1), ("arrival.deleted", 1), ("command.answered", 1)):
        told = Counter(one.subject for one in node.spool.outbox.read(Cursor(0, 0), 100_000) if one.type == name)
        assert max(told.values(), default=0) <= limit, f"{name} more than once: {told}"
    _check_ledger(node)


def check_end(node: Node) -> None:
    """`check_rest` holds, everything is healed, people do their part: then each image is where its decision says."""
    if node.finish():
        check_rest(node)
    assert not [row for row in node.deliveries() if row["state"] in SET_ASIDE], "something is still set aside"
    node.committing.check_end()
    rows = _images(node)
    for row in rows:
        if row["superseded"] is None:
            _check_arrived(node, row, _wanted_targets(node, row["arrival"], row["modality"]))
    _check_newest(node, rows)


def _images(node: Node) -> list[Any]:
    with node.spool.database.read() as connection:
        return connection.execute(
            "SELECT i.*, a.calling_ae, a.state, a.modality FROM image i JOIN arrival a ON a.id = i.arrival"
            " ORDER BY i.stored, i.arrival, i.position"
        ).fetchall()


def _name(calling_ae: str, image: TestImage) -> tuple[str, str, bytes]:
    return calling_ae, image.sop_uid, xxhash.xxh3_128_digest(image.dataset())


def _check_promises(node: Node, rows: list[Any]) -> None:
    """Each acknowledged image has its row, and its bytes, unless its arrival is deleted."""
    known = {(row["calling_ae"], row["sop_uid"], row["digest"]) for row in rows}
    for promise in node.promises:
        assert _name(promise.calling_ae, promise.image) in known, f"{promise} is lost"
    for row in rows:
        if row["state"] != "deleted":
            data = node.data_of(node.spool.places.images / row["file"], row["offset"])
            assert xxhash.xxh3_128_digest(data) == row["digest"], f"{row['sop_uid']} has other bytes"
    current = Counter((row["arrival"], row["sop_uid"]) for row in rows if row["superseded"] is None)
    assert max(current.values(), default=1) == 1, f"an image is twice in its arrival: {current}"
    sent = {_name(calling_ae, image) for image, calling_ae in node.wanted}
    assert known <= sent, "there is an image that nobody sent"


def _check_files(node: Node, rows: list[Any]) -> None:
    """No file without a row, except those that a process may still be working on; none is in quarantine unseen."""
    spool, fs, images = node.spool, node.spool.fs, node.spool.places.images
    there = {f"{day}/{key}/{name}" for day in fs.listdir(images) for key in fs.listdir(images / day)
             for name in fs.listdir(images / day / key)}  # fmt: skip
    astray = there - {row["file"] for row in rows}
    assert not astray, f"files without a row: {sorted(astray)}"
    for name in fs.listdir(spool.places.quarantine):
        # An image that was interrupted may stand there; it was never acknowledged, or it is in the images too.
        assert spool.images.known(bytes.fromhex(name.removesuffix(".json"))), f"{name} is in quarantine without a row"


def _check_delivered(node: Node, rows: list[Any]) -> None:
    """What is called delivered is there; nothing is deleted that is not; no target has anything else."""
    done = {(row["arrival"], row["target"]) for row in node.deliveries() if row["state"] == "delivered"}
    for row in rows:
        if row["superseded"] is None:
            _check_arrived(node, row, {target for arrival, target in done if arrival == row["arrival"]})
            if row["state"] == "deleted":
                _check_arrived(node, row, _wanted_targets(node, row["arrival"], row["modality"]))
    sent = {(image.sop_uid, digest(image.dataset())) for image, _ in node.wanted}
    for name, target in node.targets.items():
        strange = {(uid, one) for uid, times in target.received.items() for one in times} - sent
        assert not strange, f"{name} got what nobody sent: {strange}"


def _check_arrived(node: Node, row: Any, targets: set[str]) -> None:
    sent = {xxhash.xxh3_128_digest(image.dataset()): digest(image.dataset()) for image, _ in node.wanted}
    for name in targets:
        assert sent[row["digest"]] in node.targets[name].received.get(row["sop_uid"], []), (
            f"{row['sop_uid']} of arrival {row['arrival']} ({row['state']}) did not reach {name}"
        )


def _check_newest(node: Node, rows: list[Any]) -> None:
    """The newest version of an image is the one acknowledged last, and of those that were to go to a target it is the
    one that came last (there is one slot, so nothing overtakes).
    """
    rows = sorted(rows, key=lambda row: (row["arrival"], row["position"]))
    newest = {(row["calling_ae"], row["sop_uid"]): row["digest"] for row in rows}
    promised = {_name(one.calling_ae, one.image)[:2]: _name(one.calling_ae, one.image)[2] for one in node.promises}
    assert newest == promised, "the newest version is not the one that was acknowledged last"
    sent = {xxhash.xxh3_128_digest(image.dataset()): digest(image.dataset()) for image, _ in node.wanted}
    went = {(row["arrival"], row["target"]) for row in node.deliveries() if row["state"] == "delivered"}
    for name, target in node.targets.items():
        there = [row for row in rows if (row["arrival"], name) in went]
        senders = {uid: {row["calling_ae"] for row in there if row["sop_uid"] == uid} for uid in target.received}
        last = {row["sop_uid"]: sent[row["digest"]] for row in there}
        for uid, got in target.received.items():
            if len(senders[uid]) == 1:  # else two scanners, two series
                assert got[-1] == last[uid], f"{name} has an older {uid} than the newest"


def _check_repetitions(node: Node, rows: list[Any]) -> None:
    """Each delivery sends an image once; each death repeats at most one group of confirmed images."""
    sent = {xxhash.xxh3_128_digest(image.dataset()): digest(image.dataset()) for image, _ in node.wanted}
    targets: dict[int, list[str]] = {}
    for row in node.deliveries():
        targets.setdefault(row["arrival"], []).append(row["target"])
    due = Counter(
        (target, row["sop_uid"], sent[row["digest"]]) for row in rows for target in targets.get(row["arrival"], ())
    )
    got = Counter((name, uid, one) for name, target in node.targets.items()
                  for uid, times in target.received.items() for one in times)  # fmt: skip
    repeated = (got - due).total()
    assert repeated <= GROUP * node.deaths + node.may_repeat, f"{repeated} sent again after {node.deaths} deaths"


def _wanted_targets(node: Node, arrival: int, modality: str) -> set[str]:
    """Where an arrival has to go: by the rules of the revision that decided it, by commands, and where its series went."""
    with node.spool.database.read() as connection:
        decisions = connection.execute(
            "SELECT d.* FROM decision d JOIN arrival a ON a.id = d.arrival WHERE a.id <= ?1 AND a.series_key ="
            " (SELECT series_key FROM arrival WHERE id = ?1) AND d.outcome = 'route'", (arrival,)).fetchall()  # fmt: skip
        by_hand = connection.execute(
            "SELECT v.target FROM delivery v JOIN decision d ON d.id = v.decision WHERE d.command > 0 AND v.arrival = ?",
            (arrival,),
        ).fetchall()
        given_up = connection.execute(
            "SELECT arrival, target FROM delivery WHERE arrival <= ? GROUP BY arrival, target HAVING min(state = 'cancelled')",
            (arrival,),
        ).fetchall()
    # A person who lets the rules decide again gives up what was parked or held of an earlier decision.
    dropped = {(row["arrival"], row["target"]) for row in given_up}
    ruled = {
        target
        for one in decisions if not one["command"]
        for target in ROUTES[one["revision"]][modality] if (one["arrival"], target) not in dropped
    }  # fmt: skip
    return ruled | {row["target"] for row in by_hand}


def _check_ledger(node: Node) -> None:
    """Each event of the outbox exactly once, and the same states as in the spool."""
    expected = [(one.epoch, one.seq, one.id) for one in node.spool.outbox.read(Cursor(0, 0), 100_000)]
    with reading(compare.reader(node.url)) as connection:
        assert stored(connection) == expected, "the ledger does not hold each event once"
    problems = compare.compare(node.url, NODE, node.spool.accounting)
    assert problems == [], problems
