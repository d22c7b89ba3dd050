"""Sessions and the audit trail."""

import sqlite3

import pytest

from protocol.accounts.accounts import SESSION_IDLE_S, SESSION_MAX_S
from protocol.errors import AccessDenied, AccountError

SECRET = "correct horse battery"


@pytest.fixture
def token(accounts):
    accounts.add_user("ann", "admin", SECRET)
    accounts.add_user("bob", "viewer", SECRET)
    return accounts.open_session("bob", "10.0.0.7")


def test_an_open_session_is_found_by_its_token_alone(accounts, token):
    session = accounts.find_session(token)
    assert (session.user.name, session.address) == ("bob", "10.0.0.7")
    assert accounts.find_session(token[:-1]) is None
    assert accounts.find_session("") is None


def test_a_session_ends_when_idle_and_use_prolongs_it(accounts, token, clock):
    clock.advance(SESSION_IDLE_S - 1)
    assert accounts.find_session(token)
    clock.advance(SESSION_IDLE_S - 1)
    assert accounts.find_session(token)
    clock.advance(SESSION_IDLE_S)
    assert accounts.find_session(token) is None


def test_looking_without_touching_does_not_prolong_a_session(accounts, token, clock):
    clock.advance(SESSION_IDLE_S - 1)
    assert accounts.find_session(token, touch=False)
    clock.advance(1)
    assert accounts.find_session(token) is None


def test_a_session_ends_at_its_absolute_limit_however_busy(accounts, token, clock):
    for _ in range(int(SESSION_MAX_S // (SESSION_IDLE_S / 2)) - 1):
        clock.advance(SESSION_IDLE_S / 2)
        assert accounts.find_session(token)
    clock.advance(SESSION_IDLE_S / 2)
    assert accounts.find_session(token) is None


@pytest.mark.parametrize("act", ["close", "disable", "passwd"])
def test_log_out_disabling_and_a_new_password_end_the_session(accounts, token, act):
    match act:
        case "close":
            accounts.close_session(token)
        case "disable":
            accounts.disable("bob")
        case "passwd":
            accounts.set_password("bob", SECRET + "!")
    assert accounts.find_session(token) is None


def test_a_disabled_user_cannot_open_a_session(accounts, token):
    accounts.disable("bob")
    with pytest.raises(AccessDenied):
        accounts.open_session("bob")


def test_expired_sessions_are_swept_at_the_next_log_in(accounts, token, clock):
    clock.advance(SESSION_MAX_S)
    accounts.open_session("bob")
    assert accounts._database.rows("SELECT count(*) AS n FROM session")[0]["n"] == 1


def test_idle_sessions_are_swept_at_the_next_log_in(accounts, token, clock):
    clock.advance(SESSION_IDLE_S)
    accounts.open_session("ann")
    assert [row["user"] for row in accounts._database.rows("SELECT user FROM session")] == ["ann"]


def test_a_page_each_second_writes_once_a_minute(accounts, token, clock):
    opened = clock.now()
    seen = []
    for _ in range(61):
        clock.advance(1)
        assert accounts.find_session(token)
        seen.append(accounts._database.rows("SELECT last_seen FROM session")[0]["last_seen"] - opened)
    assert seen == [0] * 59 + [60, 60]


def test_sessions_of_all_are_listed_and_ended_for_one(accounts, token):
    accounts.open_session("ann")
    assert sorted(one.user.name for one in accounts.sessions.list()) == ["ann", "bob"]
    entries = len(accounts.audit_trail())
    assert accounts.sessions.revoke_all("bob") == 1 and len(accounts.audit_trail()) == entries + 1
    assert accounts.sessions.revoke_all("bob") == 0 and len(accounts.audit_trail()) == entries + 1
    assert [one.user.name for one in accounts.sessions.list()] == ["ann"]
    with pytest.raises(AccountError, match="no user"):
        accounts.sessions.revoke_all("nobody")


def test_every_change_leaves_an_audit_entry_without_secrets(accounts, token):
    accounts.set_password("bob", SECRET + "!", by="ann", address="10.0.0.1")
    accounts.disable("bob", by="ann", address="10.0.0.1")
    with pytest.raises(AccessDenied):
        accounts.authenticate("bob", SECRET, address="10.0.0.9")
    trail = accounts.audit_trail()
    assert [entry.action for entry in trail] == [
        "login refused",
        "user disable",
        "user passwd",
        "login",
        "user add",
        "user add",
    ]
    disable = trail[1]
    assert (disable.who, disable.address, disable.object) == ("ann", "10.0.0.1", "bob")
    assert (disable.before, disable.after) == ({"disabled": False}, {"disabled": True})
    assert SECRET not in repr(trail)


def test_what_was_typed_as_an_unknown_name_is_not_written_down(accounts):
    with pytest.raises(AccessDenied):
        accounts.authenticate(SECRET, "oops, typed it into the name field")
    assert SECRET not in repr(accounts.audit_trail())


def test_the_audit_trail_pages_backwards(accounts):
    for number in range(5):
        accounts.record("ann", "", f"act {number}", "thing", before=number)
    first = accounts.audit_trail(limit=2)
    second = accounts.audit_trail(limit=2, before=first[-1].number)
    assert [entry.before for entry in first + second] == [4, 3, 2, 1]


def test_audit_entries_cannot_be_changed_or_removed(accounts):
    accounts.record("ann", "", "act", "thing")
    for sql in ("UPDATE audit SET who = 'eve'", "DELETE FROM audit"):
        with pytest.raises(AccountError, match="audit entries"), accounts._database.transaction() as db:
            db.execute(sql)


def test_tampering_behind_the_triggers_breaks_the_chain(accounts, tmp_path):
    for number in range(3):
        accounts.record("ann", "", f"act {number}", "thing")
    assert accounts.verify_audit() is None
    with sqlite3.connect(tmp_path / "accounts.sqlite3") as db:
        db.execute("DROP TRIGGER audit_is_final")
        db.execute("UPDATE audit SET who = 'eve' WHERE number = 2")
    db.close()
    assert accounts.verify_audit() == 2


def test_a_failed_change_leaves_neither_change_nor_entry(accounts, token):
    entries = len(accounts.audit_trail())
    with pytest.raises(AccountError):
        accounts.disable("ann")
    assert len(accounts.audit_trail()) == entries
