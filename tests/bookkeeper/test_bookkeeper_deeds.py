"""What people ask of the spool stands in the audit once, however often the bookkeeper dies; the audit's head is told hourly."""

import pytest

from actors.bookkeeper import deeds
from protocol.accounts import Accounts
from protocol.errors import AccountError, DiskFailed, SpoolError
from protocol.spool.outbox import AUDITOR, Cursor
from protocol.wire.events import AuditHead
from tests.bookkeeper.office import Office


@pytest.fixture
def office(tmp_path):
    made = Office(tmp_path / "home", f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    yield made
    made.close()


@pytest.fixture
def accounts(office):
    made = Accounts(office.home / "accounts.sqlite3", office.clock)
    yield made
    made.close()


def ask(office, by="ann"):
    return office.spool.commands.ask("target.pause", by, {"target": "pacs", "reason": "moved"})


def work(office, bookkeeper, seconds=2.0):
    office.clock.advance(seconds)
    office.work(bookkeeper)


def heads(office):
    return [one.data["number"] for one in office.outbox() if one.type == AuditHead.TYPE]


def test_an_act_and_its_answer_stand_in_the_audit_once_over_restarts(office, accounts):
    command = ask(office)
    for _ in range(3):
        bookkeeper = office.hire()
        work(office, bookkeeper)
        bookkeeper.stop()
    office.spool.commands.finish(command, "pacs is paused")
    work(office, office.hire())
    done, asked = accounts.trail.search()
    assert (asked.who, asked.action, asked.object) == ("ann", "target.pause", f"target pacs (command {command})")
    assert asked.after == {"target": "pacs", "reason": "moved"}
    assert (done.action, done.object, done.after) == ("target.pause done", asked.object, {"answer": "pacs is paused"})
    assert accounts.verify_audit() is None


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_death_around_the_commit_neither_loses_nor_doubles_an_act(office, accounts, monkeypatch, when):
    real = deeds.Chain.carry

    def dies(self, *arguments):
        if when == "after":
            real(self, *arguments)
        raise KeyboardInterrupt

    ask(office)
    monkeypatch.setattr(deeds.Chain, "carry", dies)
    with pytest.raises(KeyboardInterrupt):
        work(office, office.hire())
    monkeypatch.undo()
    work(office, office.hire())
    assert [one.action for one in accounts.trail.search()] == ["target.pause"]


def test_acts_are_found_among_many_other_events_page_by_page(office, accounts, monkeypatch):
    monkeypatch.setattr(deeds, "PAGE", 5)
    for _ in range(4):
        office.happen(7)
        ask(office)
    work(office, office.hire())
    assert len(accounts.trail.search()) == 4


def test_while_the_accounts_cannot_be_written_acts_wait_in_the_outbox(office, accounts, monkeypatch):
    ask(office)
    bookkeeper = office.hire()

    def away(*_):
        raise AccountError("accounts: database is locked")

    monkeypatch.setattr(deeds.Chain, "carry", away)
    work(office, bookkeeper)
    monkeypatch.undo()
    assert accounts.trail.search() == []
    work(office, bookkeeper, 31)
    assert len(accounts.trail.search()) == 1


def test_an_audit_that_cannot_be_written_for_weeks_is_told_and_loses_no_act_whoever_trims(
    office, accounts, monkeypatch
):
    bookkeeper = office.hire()
    work(office, bookkeeper)

    def away(*_):
        raise AccountError("accounts: unable to open database file")

    monkeypatch.setattr(deeds.Chain, "carry", away)
    ask(office)
    work(office, bookkeeper)
    assert office.spool.notices.alerts("audit.") == {}, "a moment is nobody's concern"
    work(office, bookkeeper, 31)
    work(office, bookkeeper, 31)
    assert "accounts.sqlite3" in office.spool.notices.alerts("audit.")["audit.away"]
    for _ in range(3):
        work(office, bookkeeper, 10 * 86_400)
        office.spool.outbox.trim(office.clock.now() - 7 * 86_400, {"bookkeeper"})  # as the cleaner does
    assert "command.asked" in [one.type for one in office.outbox()]
    monkeypatch.undo()
    work(office, office.hire(), 61)
    assert len(accounts.trail.search()) == 1 and office.spool.notices.alerts("audit.") == {}


def test_an_audit_that_never_could_be_written_loses_no_act_either(office, monkeypatch):
    def away(*_):
        raise AccountError("accounts: unable to open database file")

    monkeypatch.setattr(deeds.Chain, "open", away)
    ask(office)
    work(office, office.hire())
    office.clock.advance(30 * 86_400)
    office.spool.outbox.trim(office.clock.now(), {"bookkeeper"})
    assert "command.asked" in [one.type for one in office.outbox()]


def test_it_goes_on_after_the_spool_would_not_hear_how_far_it_is(office, accounts, monkeypatch):
    """What was let go of must not be taken for the open file the next time."""
    bookkeeper, outbox = office.hire(), type(office.spool.outbox)
    work(office, bookkeeper)
    real = outbox.confirm

    def locked(self, consumer, cursor):
        if consumer == AUDITOR:
            raise SpoolError("the database is locked")
        real(self, consumer, cursor)

    ask(office)
    monkeypatch.setattr(outbox, "confirm", locked)
    work(office, bookkeeper, 120.0)
    monkeypatch.undo()
    ask(office, "eve")
    work(office, bookkeeper, 120.0)
    assert {entry.who for entry in accounts.trail.search() if entry.action == "target.pause"} == {"ann", "eve"}


@pytest.mark.parametrize("desk", ["_deeds", "_figures"])
def test_a_disk_that_failed_ends_the_process(office, accounts, monkeypatch, desk):
    bookkeeper = office.hire()
    work(office, bookkeeper)

    def failed(*_):
        raise DiskFailed("a commit failed")

    ask(office)
    monkeypatch.setattr(getattr(bookkeeper, desk), "_carry" if desk == "_deeds" else "_count", failed)
    office.clock.advance(2)
    with pytest.raises(DiskFailed):
        bookkeeper.one_pass([])


def test_events_leave_the_outbox_only_when_their_acts_are_in_the_audit(office, accounts, monkeypatch):
    bookkeeper = office.hire()
    work(office, bookkeeper)
    monkeypatch.setattr(bookkeeper._deeds, "round", lambda: False)
    ask(office)
    work(office, bookkeeper, 30 * 86400)
    assert "command.asked" in [one.type for one in office.spool.outbox.read(Cursor(0, 0))]
    monkeypatch.undo()
    work(office, bookkeeper, 70)
    work(office, bookkeeper, 70)
    assert "command.asked" not in [one.type for one in office.spool.outbox.read(Cursor(0, 0))]
    assert len(accounts.trail.search()) == 1


def test_the_head_is_told_once_an_hour_if_it_moved(office, accounts):
    bookkeeper = office.hire()
    accounts.record("ann", "", "login", "session")
    work(office, bookkeeper)
    assert heads(office) == [1]
    work(office, bookkeeper, 4000)
    assert heads(office) == [1], "it did not move"
    accounts.record("ann", "", "logout", "session")
    work(office, bookkeeper, 60)
    assert heads(office) == [1], "not before the hour is over"
    work(office, bookkeeper, 3600)
    assert heads(office) == [1, 2]


def test_an_end_that_was_cut_off_raises_an_alert_that_names_the_entry(office, accounts):
    bookkeeper = office.hire()
    for number in range(3):
        accounts.record("ann", "", "did", str(number))
    work(office, bookkeeper)
    with accounts._database.transaction() as db:
        db.execute("DROP TRIGGER audit_is_kept")
        db.execute("DELETE FROM audit WHERE number > 1")
    accounts.record("ann", "", "did", "something else")
    for _ in range(2):
        work(office, bookkeeper, 3700)
        assert "entry 3" in office.spool.notices.alerts("audit.")["audit.broken"]
    assert heads(office) == [3]
