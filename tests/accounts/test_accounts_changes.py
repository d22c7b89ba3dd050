"""What admins change about users, what users change about themselves; one-time links; the way from an older file."""

import sqlite3

import pytest

from protocol.accounts import Accounts, Preferences, Role, Wanted
from protocol.accounts.database import _SCHEMA
from protocol.accounts.links import VALID_S
from protocol.errors import AccessDenied, AccountError

SECRET = "correct horse battery"
OTHER = "a staple of their own"


@pytest.fixture
def people(accounts):
    accounts.add_user("ann", "admin", SECRET)
    accounts.add_user("vera", "viewer", SECRET)
    return accounts


def test_a_change_of_role_counts_at_once_for_open_sessions(people):
    token = people.open_session("vera")
    people.set_role("vera", "operator", by="ann")
    assert people.find_session(token).user.role is Role.OPERATOR
    assert (people.audit_trail(1)[0].before, people.audit_trail(1)[0].after) == (
        {"role": "viewer"},
        {"role": "operator"},
    )


def test_the_last_admin_stays_admin(people):
    with pytest.raises(AccountError, match="last admin"):
        people.set_role("ann", "viewer")
    people.set_role("vera", "admin")
    people.set_role("ann", "viewer")


def test_a_link_sets_the_password_once_and_ends_sessions(people):
    session, link = people.open_session("vera"), people.links.make("vera", by="ann")
    assert people.authenticate("vera", SECRET)
    assert people.links.user_of(link) == "vera"
    with pytest.raises(AccountError):
        people.links.use(link, "short")
    people.links.use(link, OTHER, address="10.0.0.9")
    assert people.authenticate("vera", OTHER)
    assert people.find_session(session) is None
    with pytest.raises(AccessDenied):
        people.links.use(link, SECRET)


def test_links_that_are_old_replaced_unknown_or_of_a_disabled_user_are_refused(people, clock):
    first, second = people.links.make("vera"), people.links.make("vera")
    assert people.links.user_of(first) is None
    people.disable("vera")
    assert people.links.user_of(second) is None
    with pytest.raises(AccountError, match="disabled"):
        people.links.make("vera")
    people.enable("vera")
    third = people.links.make("vera")
    clock.advance(VALID_S)
    for link in (first, second, third, "", "x"):
        with pytest.raises(AccessDenied):
            people.links.use(link, OTHER)


def test_a_user_without_a_password_comes_in_by_link_only(people):
    people.add_user("newcomer", "operator", None)
    with pytest.raises(AccessDenied):
        people.authenticate("newcomer", "")
    people.links.use(people.links.make("newcomer"), OTHER)
    assert people.authenticate("newcomer", OTHER).role is Role.OPERATOR


@pytest.mark.parametrize(
    "password", ["radiology-anna", "passwordpassword", "Password1234", "123456789012", "aaaabbbbcccc", "annaannaanna", "qwertyuiop12"]
)  # fmt: skip
def test_passwords_that_are_guessed_first_are_refused(accounts, password):
    with pytest.raises(AccountError, match="password"):
        accounts.add_user("anna", "viewer", password)


def test_refused_log_ins_are_counted_until_a_good_one(people):
    for _ in range(2):
        with pytest.raises(AccessDenied):
            people.authenticate("vera", "wrong password")
    assert people.find_user("vera").failed == 2
    people.open_session("vera")
    assert (people.find_user("vera").failed, people.find_user("vera").last_login) == (0, people._clock.now())


def test_sessions_are_listed_and_ended_by_what_opens_none(people):
    tokens = [people.open_session("vera", f"10.0.0.{number}", "Firefox") for number in range(3)]
    own = people.find_session(tokens[0])
    assert {session.id for session in people.sessions.list("vera")} == {people.find_session(t).id for t in tokens}
    assert people.find_session(own.id) is None
    with pytest.raises(AccountError, match="no such session"):
        people.sessions.revoke("ann", own.id)
    people.sessions.revoke("vera", people.find_session(tokens[1]).id, by="ann")
    assert people.find_session(tokens[1]) is None
    assert people.sessions.revoke_all("vera", but=own.id) == 1
    assert people.find_session(tokens[0]) and people.find_session(tokens[2]) is None


def test_preferences_are_kept_per_user_and_judged(people):
    wanted = Preferences("dark", "Europe/Berlin", {"queue": ("target", "error")})
    people.set_preferences("vera", wanted)
    assert people.find_user("vera").preferences == wanted
    assert people.find_user("ann").preferences == Preferences()
    people.set_columns("vera", "queue", ())
    assert people.find_user("vera").preferences == Preferences("dark", "Europe/Berlin")
    for bad in (
        Preferences("pink"),
        Preferences(time_zone="../../etc/passwd"),
        Preferences(time_zone="Mars/Olympus"),
        Preferences(columns={"<b>": ()}),
    ):
        with pytest.raises(AccountError):
            people.set_preferences("vera", bad)


def test_the_trail_is_searched_by_each_of_its_parts(people, clock):
    clock.advance(100)
    people.record("eve", "10.0.0.1", "rules publish", "routing version 7", {"rules": 1}, {"rules": 2})
    found = people.trail.search
    assert [entry.object for entry in found(Wanted(who="eve"))] == ["routing version 7"]
    assert [entry.who for entry in found(Wanted(action="rules publish"))] == ["eve"]
    assert [entry.who for entry in found(Wanted(object="version 7"))] == ["eve"]
    assert [entry.who for entry in found(Wanted(since=clock.now()))] == ["eve"]
    assert [entry.object for entry in found(Wanted(until=clock.now()))] == ["vera", "ann"]
    assert found(Wanted(object="%")) == []
    assert people.trail.choices() == (["cli", "eve"], ["rules publish", "user add"])


def test_the_chain_is_checked_from_where_an_earlier_check_ended(people, tmp_path):
    first = people.trail.check()
    people.record("eve", "", "act", "thing")
    second = people.trail.check(first)
    assert (first.entries, second.entries, second.broken) == (2, 3, None)
    with sqlite3.connect(tmp_path / "accounts.sqlite3") as db:
        db.execute("DROP TRIGGER audit_is_final")
        db.execute("UPDATE audit SET who = 'x' WHERE number = 3")
    db.close()
    assert people.trail.check(first).broken == people.trail.check().broken == 3


def test_refused_log_ins_that_a_good_one_followed_do_not_count(people, clock):
    for name in ("ann", "vera", "nobody"):
        with pytest.raises(AccessDenied):
            people.authenticate(name, "wrong password", address="10.0.0.1")
    people.open_session("ann", "10.0.0.1")
    told = people.trail.refused_since(clock.now() - 1)
    assert [(name, address) for name, address, _ in told] == [("vera", "10.0.0.1"), ("(unknown)", "10.0.0.1")]


def test_a_file_of_the_first_schema_keeps_users_sessions_and_audit(tmp_path, clock, accounts):
    old = tmp_path / "old.sqlite3"
    with sqlite3.connect(old) as db:
        db.executescript(_SCHEMA[0])
        db.execute("INSERT INTO user VALUES ('ann', 'admin', 'hash', 0, 1.0)")
        db.execute("INSERT INTO session VALUES (x'00', 'ann', 1.0, 1.0, 2.0, '')")
        db.execute("PRAGMA user_version = 1")
    db.close()
    later = Accounts(old, clock)
    assert [(user.name, user.role, user.failed) for user in later.list_users()] == [("ann", Role.ADMIN, 0)]
    assert later._database.rows("SELECT count(*) FROM session")[0][0] == 1
    later.add_user("olga", "operator", SECRET)
    with later._database.transaction() as db:
        db.execute("DELETE FROM user WHERE name = 'ann'")
    assert later._database.rows("SELECT count(*) FROM session")[0][0] == 0
    later.close()
