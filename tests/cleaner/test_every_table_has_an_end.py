"""A node runs for years: every row has somebody who lets go of it one day. A new table without an answer fails here."""

from __future__ import annotations

from cleaner_rig import AT_ONCE, HOUR, Rig

from protocol.spool.outbox import Cursor
from protocol.spool.places import folder_of_day
from protocol.spool.rulebook import count_rules, use_quotas
from protocol.testing.images import TestImage

DAY = 24 * HOUR
# Emptied by the cleaner once what the row is about is over; the test below sees it happen.
CLEANED = {
    "arrival", "arrival_association", "arrival_rule", "association", "command", "commitment", "confirmation", "decision", "delivery",
    "delivery_image", "image", "promise", "quarantine", "rule_count", "rule_quota", "study_link", "study_wait",
    "target_image", "target_state", "touched",
}  # fmt: skip
ELSEWHERE = {
    "meta": "a few fixed keys",
    "alert": "the bookkeeper's watch, a while after it was cleared (test_alerts)",
    "silence": "the bookkeeper's watch, when it is over (test_alerts)",
    "letter_item": "becomes part of a letter",
    "letter": "the bookkeeper's watch, a while after it was sent or given up (test_letters)",
    "source_hour": "the bookkeeper's watch, after some weeks (test_watch)",
    "total": "one row for each of TOTALS",
    "worker": "the router and starting dispatchers bury the dead (tests/router, tests/crash: `not buried`)",
    "consumer": "one row for each consumer that may hold back events",
    "event": "trimmed when it is old and every consumer has it (below)",
    "sighting": "the newest KEPT (test_sightings)",
    "tally": "a row for each state, and state and target of deliveries that are there; kept by triggers (test_tally)",
    "unsynced": "of an earlier version; goes when its file is written anew (test_unsynced)",
}
ENDED = (
    "INSERT INTO delivery_image (delivery, position, receipt, state) SELECT id, 1, x'00', 'warning' FROM delivery",
    "INSERT INTO confirmation (transaction_uid, delivery, arrival, target, state, count, asked)"
    " SELECT '1.2', id, arrival, target, 'answered', 1, 1 FROM delivery",
    "INSERT INTO promise SELECT id, 1, 1 FROM arrival",
    "INSERT INTO study_wait (id, study_uid, calling_ae, rule, state, opened, changed, ended) VALUES (1, '1', 'A', 'r', 'done', 1, 1, 1)",
    "INSERT INTO study_link SELECT id, 1, 1, 1 FROM arrival",
    "INSERT INTO commitment (transaction_uid, association, calling_ae, called_ae, address, state, count, images, asked, due, ended)"
    " VALUES ('1', x'00', 'A', 'B', 'C', 'reported', 1, x'90', 1, 1, 1), ('2', x'00', 'A', 'B', 'C', 'given_up', 1, x'90', 1, 1, 1)",
    "INSERT INTO target_image VALUES (x'00', 1, NULL, NULL, 1)",
    "INSERT INTO arrival_rule SELECT 'rule', id FROM arrival",
    "INSERT INTO touched SELECT arrival, 1, id, 1, '', '' FROM delivery",
    "INSERT INTO target_state (name, fails) VALUES ('gone', 3)",
)  # fmt: skip


def tables(node: Rig) -> dict[str, int]:
    with node.spool.database.read() as connection:
        names = [row[0] for row in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]  # fmt: skip
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}


def test_for_every_table_it_is_known_who_lets_go_of_its_rows(cleaner):
    assert set(tables(cleaner())) == CLEANED | set(ELSEWHERE), "say who lets go of the rows of a new table"


def test_what_the_cleaner_lets_go_of_is_all_gone_in_the_end(cleaner):
    node: Rig = cleaner(**AT_ONCE, **{"cleaner.retention_quarantined_h": 1.0})
    node.publish(other=None)
    node.series(1)
    node.world.send(node.world.connect(), TestImage(study=9), reason="cannot be read")
    node.spool.commands.finish(node.spool.commands.ask("target.test", "ann", {}), "well")
    with node.spool.database.write() as tx:
        for statement in ENDED:
            tx.execute(statement)
        count_rules(tx, [("rule", "true")])
        use_quotas(tx, [("rule", "2026-01"), ("rule", "2026-01-05/week"), ("rule", "2026-01-05T07+0100")])
        tx.execute("UPDATE association SET state = 'released', closed = ?", (tx.now,))
    there = tables(node)
    assert {name for name in CLEANED if not there[name]} == set(), "the test has to fill every table"
    for _ in range(3):
        node.after(1000 * DAY)
    assert {name: count for name, count in tables(node).items() if name in CLEANED and count} == {}
    assert node.spool.accounting.balance(files=True) == []
    assert node.spool.accounting.figures().images["deleted"] == 3


def test_what_is_not_over_keeps_its_rows(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    node.publish(pacs=None)
    node.series(1, "parked")
    node.series(2, "hold")
    node.world.send(node.world.connect(), TestImage(study=9), reason="cannot be read")
    asked = node.spool.commands.ask("target.test", "ann", {})
    with node.spool.database.write() as tx:
        use_quotas(tx, [("rule", "ever")])
        tx.execute("INSERT INTO target_state (name, paused, reason) VALUES ('old', 1, 'never send there')")
    before = tables(node)
    for _ in range(3):
        node.after(1000 * DAY)
    after = tables(node)
    same = ("arrival", "image", "delivery", "decision", "quarantine", "association", "rule_quota", "target_state")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert node.spool.commands.find(asked).state == "new"


def test_header_values_go_before_the_rows_do(cleaner):
    node: Rig = cleaner(**AT_ONCE, **{"cleaner.headers_days": 2.0, "cleaner.rows_days": 10.0})
    node.series(1, images=3)
    kept = node.series(2, "parked")

    def headers() -> list[int]:
        with node.spool.database.read() as connection:
            return [row[0] for row in connection.execute("SELECT id FROM arrival WHERE header IS NOT NULL ORDER BY id")]

    node.after(DAY)
    assert len(headers()) == 2
    node.after(2 * DAY + 1)
    assert headers() == [kept] and len(node.spool.arrivals.list()) == 2
    with node.spool.database.read() as connection:
        found = connection.execute("SELECT count(*) FROM image WHERE header IS NOT NULL AND arrival <> ?", (kept,))
        assert found.fetchone()[0] == 0


def test_a_late_image_is_judged_without_those_whose_values_were_forgotten(cleaner):
    """Else `all_images(Modality == 'CT')` would suddenly be false."""
    node: Rig = cleaner(**AT_ONCE, **{"cleaner.headers_days": 1.0})
    first = node.series(1, images=3)
    node.after(1)
    node.world.receive(*(TestImage(instance=number) for number in range(4, 8)))
    node.world.close_arrivals()
    late = node.spool.arrivals.list(limit=1)[0]["id"]
    assert len(node.spool.arrivals.subject(late).differing) == 7, "what is deleted still counts while it is known"
    node.after(2 * DAY)
    found = node.spool.arrivals.subject(late)
    assert node.state(first) == "deleted" and node.spool.arrivals.get(late)["addendum_of"] == first
    assert len(found.differing) == 4 and found.common["Modality"] == "CT"
    assert all(values.get("Modality", "CT") == "CT" for values in found.differing)


# ---- events


def test_no_event_goes_before_every_consumer_has_it(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    outbox = node.spool.outbox
    node.series(1)
    middle = outbox.head()
    node.series(2)
    later = node.world.clock.now() + 1
    consumers = ("bookkeeper", "archive")
    outbox.confirm("bookkeeper", outbox.head())
    assert outbox.trim(later, consumers) == 0, "the other one has said nothing yet"
    outbox.confirm("archive", middle)
    assert outbox.trim(later, consumers) > 0
    assert outbox.read(Cursor(0, 0), 1)[0].seq == middle.seq + 1


def test_while_the_ledger_is_away_no_event_goes_however_old(cleaner):
    node: Rig = cleaner(**AT_ONCE, **{"cleaner.outbox_days": 0.0})
    node.series(1)
    for _ in range(5):
        node.after(30 * DAY)
    assert node.spool.outbox.read(Cursor(0, 0), 1)[0].seq == 1
    booked = node.spool.outbox.head()
    node.spool.outbox.confirm("bookkeeper", booked)
    node.after(DAY)
    assert node.spool.outbox.read(Cursor(0, 0), 1)[0].seq == booked.seq + 1


def test_with_the_window_shut_for_ever_rows_and_events_still_go(cleaner):
    """Images then wait for pressure; what is only written down must not fill the disk meanwhile."""
    node: Rig = cleaner(**AT_ONCE)
    node.series(1)
    node.after(1)
    node.settings = type(node.settings).model_validate(
        {**dict(node.settings), "cleaner": {**dict(node.settings.cleaner), "window": "never"}}
    )
    node.new_cleaner()
    kept = node.series(2)
    node.spool.outbox.confirm("bookkeeper", node.spool.outbox.head())
    node.after(1000 * DAY)
    assert [row["id"] for row in node.spool.arrivals.list()] == [kept]
    assert node.spool.outbox.read(Cursor(0, 0), 1)[0].seq > 1


# ---- folders


def test_empty_folders_of_past_days_go_and_those_in_use_stay(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    fs, images = node.spool.fs, node.spool.places.images
    held = node.series(1, "hold")
    (day,) = fs.listdir(images)
    for old in ("20200101", "20200102"):
        for key in ("ab" * 32, "cd" * 32):
            fs.makedirs(images / old / key)
    fs.makedirs(images / "lost+found" / "x")
    fs.write_new(images / "20200102" / ("ab" * 32) / "something", b"not ours")
    fs.makedirs(images / "20991231" / ("ab" * 32))
    for _ in range(4):
        node.after(1)
    assert sorted(fs.listdir(images)) == ["20200102", day, "20991231", "lost+found"], "it may be in use"
    assert fs.listdir(images / "20200102") == ["ab" * 32]
    assert node.state(held) == "held" and node.files() > 0


def test_files_made_ahead_stay_while_a_clock_that_was_ahead_left_later_days_behind(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    fs, places = node.spool.fs, node.spool.places
    today = node.world.clock.now()
    for ahead in (0, 400, 401):
        folder = places.images / folder_of_day(today + ahead * DAY, b"k" * 32)
        fs.makedirs(folder)
        fs.create(folder / "01.dcm").close()
    for _ in range(4):
        node.after(1)
    assert len(fs.listdir(places.images)) == 3, "a living receiver may be about to fill them"
    node.after(3 * DAY)
    assert len(fs.listdir(places.images)) == 2


def test_what_one_sweep_leaves_of_old_rows_does_not_wait_for_the_next(cleaner, monkeypatch):
    """Of a busy node more become old in a minute than a sweep lets go: the rows would grow for ever."""
    monkeypatch.setattr("actors.cleaner.chores.ROUNDS", 1)
    node: Rig = cleaner(**{**AT_ONCE, "cleaner.sweep_s": HOUR, "cleaner.rows_days": 1.0})
    for study in range(30):
        node.series(study + 1)
    node.after(HOUR)
    assert {row["state"] for row in node.spool.arrivals.list()} == {"deleted"}
    node.after(2 * DAY)
    assert node.spool.arrivals.list(), "a sweep is short: the write lock is for everybody"
    for _ in range(5):
        node.after(1)
    assert node.spool.arrivals.list() == []
    assert node.spool.accounting.balance() == []
