"""What must hold in every moment of a node's life, and at its end; asked of a SpoolWorld from outside.
It only looks. A broken promise is an AssertionError that names the object.
"""

from __future__ import annotations

from collections import Counter

from protocol.testing.fakes import digest
from protocol.testing.spoolworld import Promise, SpoolWorld

FINAL = ("delivered", "discarded", "deleted")


def check_promises(world: SpoolWorld) -> None:
    """After recovery: each promised image is there with its bytes, once, the accounts balance, no file is astray."""
    kept, apart = _kept(world), _quarantined(world)
    for promise in world.promises:
        data = promise.image.dataset()
        if promise.outcome == "quarantined":
            assert any(one.endswith(data) for one in apart), f"{promise} is lost from quarantine"
        else:
            assert _name(promise, data) in kept, f"{promise} is lost"
    problems = world.spool.accounting.balance(files=world.durability != "relaxed")
    assert problems == [], problems
    _check_files(world)
    _check_deliveries(world)


def check_end(world: SpoolWorld) -> None:
    """After `finish`: every image that no newer one replaced reached every target, and nothing is left over."""
    check_promises(world)
    with world.spool.database.read() as connection:
        arrivals = connection.execute("SELECT id, state FROM arrival").fetchall()
        images = connection.execute("SELECT i.* FROM image i WHERE i.superseded IS NULL").fetchall()
        cancelled = connection.execute("SELECT arrival, target FROM delivery WHERE state = 'cancelled'").fetchall()
    stuck = [(row["id"], row["state"]) for row in arrivals if row["state"] not in FINAL]
    assert not stuck, f"arrivals are stuck: {stuck}"
    states = {row["id"]: row["state"] for row in arrivals}
    given_up = {(row["arrival"], row["target"]) for row in cancelled}
    for row in images:
        if states[row["arrival"]] == "deleted":
            continue
        data = digest(world.data_of(world.spool.places.images / row["file"], row["offset"]))
        for name in world.route_to:
            got = world.targets[name].received.get(row["sop_uid"], [])
            assert data in got or (row["arrival"], name) in given_up, (
                f"{row['sop_uid']} of arrival {row['arrival']} did not reach {name}"
            )


def _name(promise: Promise, data: bytes) -> tuple[str, str, str]:
    return promise.calling_ae, promise.image.sop_uid, digest(data)


def _kept(world: SpoolWorld) -> set[tuple[str, str, str]]:
    """Every image of an arrival by sender, SOP instance UID and digest; deleted ones go by their row alone."""
    with world.spool.database.read() as connection:
        rows = connection.execute(
            "SELECT i.*, a.calling_ae, a.state FROM image i JOIN arrival a ON a.id = i.arrival"
        ).fetchall()
    found = set()
    current = Counter[tuple[str, str, str]]()
    gone = {(row["calling_ae"], row["sop_uid"]) for row in rows if row["state"] == "deleted"}
    for row in rows:
        if row["state"] != "deleted":
            data = world.data_of(world.spool.places.images / row["file"], row["offset"])
            assert len(data) == row["bytes"], f"{row['sop_uid']} has {len(data)} bytes instead of {row['bytes']}"
            name = (row["calling_ae"], row["sop_uid"], digest(data))
            found.add(name)
            current[name] += row["superseded"] is None
    versions = Counter((name[0], name[1]) for name in found)
    # One that came back after another version is a new image: the newest must be the last that a target gets.
    twice = [name for name, count in current.items() if count > 1 and versions[name[:2]] == 1]
    assert not twice, f"there are two rows for the same object: {twice}"
    names = {_name(promise, promise.image.dataset()) for promise in world.promises}
    return found | {name for name in names if name[:2] in gone or name[1] in world.purged}


def _quarantined(world: SpoolWorld) -> list[bytes]:
    with world.spool.database.read() as connection:
        rows = connection.execute("SELECT receipt FROM quarantine WHERE state = 'kept'").fetchall()
    return [world.spool.fs.read_bytes(world.spool.places.quarantine / row["receipt"].hex()) for row in rows]


def _check_files(world: SpoolWorld) -> None:
    """No file without a row, and none of a row whose files are said to be gone."""
    spool, fs = world.spool, world.spool.fs
    with spool.database.read() as connection:
        rows = connection.execute(
            "SELECT i.file FROM image i JOIN arrival a ON a.id = i.arrival WHERE a.files = 1"
        ).fetchall()
        apart = connection.execute("SELECT receipt FROM quarantine WHERE state = 'kept'").fetchall()
    images = spool.places.images
    there = {
        f"{day}/{key}/{name}"
        for day in fs.listdir(images)
        for key in fs.listdir(images / day)
        for name in fs.listdir(images / day / key)
    }
    astray = there - {row["file"] for row in rows}
    assert not astray, f"files without a row: {sorted(astray)}"
    names = {name for name in fs.listdir(spool.places.quarantine) if not name.endswith(".json")}
    astray = names - {row["receipt"].hex() for row in apart}
    assert not astray, f"quarantined files without a row: {sorted(astray)}"


def _check_deliveries(world: SpoolWorld) -> None:
    """A finished delivery is true: the target has its images. At most one owner each, and it is alive."""
    with world.spool.database.read() as connection:
        rows = connection.execute("SELECT * FROM delivery").fetchall()
        images = connection.execute("SELECT arrival, sop_uid FROM image WHERE superseded IS NULL").fetchall()
    for row in rows:
        assert row["state"] != "sending" or world.spool.workers.alive(row["owner"]), (
            f"delivery {row['id']} has a dead owner"
        )
        if row["state"] == "delivered":
            had = world.targets[row["target"]].received
            lost = [
                image["sop_uid"]
                for image in images
                if image["arrival"] == row["arrival"] and image["sop_uid"] not in had
            ]
            assert not lost, f"delivery {row['id']} is called delivered, but {row['target']} never got {lost}"
