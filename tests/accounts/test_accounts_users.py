"""Users, passwords and the setup link."""

import sqlite3
import stat
import threading

import pytest
from argon2 import PasswordHasher

from protocol.accounts import Accounts, Role
from protocol.accounts.accounts import SETUP_VALID_S
from protocol.accounts.passwords import Passwords
from protocol.errors import AccessDenied, AccountError

SECRET = "correct horse battery"


def test_a_new_user_can_log_in_with_the_password_and_with_no_other(accounts):
    accounts.add_user("ann", "admin", SECRET)
    assert accounts.authenticate("ann", SECRET).role is Role.ADMIN
    with pytest.raises(AccessDenied):
        accounts.authenticate("ann", SECRET + "x")


def test_unknown_user_and_wrong_password_give_the_same_answer(accounts):
    accounts.add_user("ann", "admin", SECRET)
    answers = []
    for name in ("ann", "nobody"):
        with pytest.raises(AccessDenied) as refused:
            accounts.authenticate(name, "wrong password!")
        answers.append(str(refused.value))
    assert answers[0] == answers[1]


def test_an_unknown_user_costs_a_hash_too(tmp_path, clock):
    class Counting(PasswordHasher):
        count = 0

        def verify(self, encoded, password):
            Counting.count += 1
            return super().verify(encoded, password)

    hasher = Counting(time_cost=1, memory_cost=8, parallelism=1)
    accounts = Accounts(tmp_path / "a.sqlite3", clock, Passwords(hasher))
    with pytest.raises(AccessDenied):
        accounts.authenticate("nobody", SECRET)
    assert Counting.count == 1
    accounts.close()


@pytest.mark.parametrize("name", ["", "Ann", "a b", "-a", "a" * 65, "ann\n", "../x", "<b>"])
def test_odd_names_are_refused(accounts, name):
    with pytest.raises(AccountError):
        accounts.add_user(name, "viewer", SECRET)


def test_short_passwords_unknown_roles_and_taken_names_are_refused(accounts):
    with pytest.raises(AccountError, match="at least 12"):
        accounts.add_user("ann", "viewer", "short")
    with pytest.raises(AccountError, match="no role"):
        accounts.add_user("ann", "root", SECRET)
    accounts.add_user("ann", "viewer", SECRET)
    with pytest.raises(AccountError, match="already"):
        accounts.add_user("ann", "admin", SECRET)
    assert [(user.name, user.role) for user in accounts.list_users()] == [("ann", Role.VIEWER)]


def test_a_disabled_user_is_shut_out_and_may_come_back(accounts):
    accounts.add_user("ann", "admin", SECRET)
    accounts.add_user("bob", "viewer", SECRET)
    accounts.disable("bob")
    with pytest.raises(AccessDenied):
        accounts.authenticate("bob", SECRET)
    accounts.enable("bob")
    assert accounts.authenticate("bob", SECRET).name == "bob"


def test_the_last_admin_cannot_be_disabled(accounts):
    accounts.add_user("ann", "admin", SECRET)
    with pytest.raises(AccountError, match="last admin"):
        accounts.disable("ann")
    accounts.add_user("eve", "admin", SECRET)
    accounts.disable("ann")
    assert [user.name for user in accounts.list_users() if user.disabled] == ["ann"]


def test_an_admin_who_is_shut_out_does_not_count_as_one_that_is_left(accounts):
    for name in ("ann", "bob"):
        accounts.add_user(name, "admin", SECRET)
    accounts.disable("bob")
    for change in (lambda: accounts.disable("ann"), lambda: accounts.set_role("ann", "viewer")):
        with pytest.raises(AccountError, match="last admin"):
            change()
    accounts.enable("bob")
    accounts.set_role("ann", "viewer")
    assert accounts.find_user("ann").role is Role.VIEWER


def test_who_is_no_admin_may_be_shut_out_though_there_is_none(accounts):
    accounts.add_user("vera", "viewer", SECRET)
    accounts.disable("vera")
    assert accounts.find_user("vera").disabled


def test_refused_log_ins_of_one_who_was_shut_out_are_forgotten_when_they_may_come_back(accounts):
    accounts.add_user("ann", "admin", SECRET)
    accounts.add_user("bob", "viewer", SECRET)
    accounts.disable("bob")
    for _ in range(2):
        with pytest.raises(AccessDenied):
            accounts.authenticate("bob", SECRET)
    assert accounts.find_user("bob").failed == 2
    accounts.enable("bob")
    assert accounts.find_user("bob").failed == 0 and accounts.authenticate("bob", SECRET)


def test_changing_an_unknown_user_is_an_error(accounts):
    for change in (
        lambda: accounts.disable("x"),
        lambda: accounts.enable("x"),
        lambda: accounts.set_password("x", SECRET),
    ):
        with pytest.raises(AccountError, match="no user"):
            change()


def test_an_outdated_hash_is_renewed_at_log_in(tmp_path, clock, accounts):
    accounts.add_user("ann", "admin", SECRET)
    stronger = Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    later = Accounts(tmp_path / "accounts.sqlite3", clock, stronger)
    later.authenticate("ann", SECRET)
    stored = later._database.rows("SELECT password FROM user")[0]["password"]
    assert "m=16,t=2" in stored
    later.authenticate("ann", SECRET)
    later.close()


def test_the_setup_token_makes_one_admin_once(accounts):
    token = accounts.setup_token()
    assert accounts.needs_setup()
    assert accounts.is_setup_token(token)
    assert accounts.use_setup_token(token, "ann", SECRET).role is Role.ADMIN
    with pytest.raises(AccessDenied):
        accounts.use_setup_token(token, "eve", SECRET)
    assert accounts.setup_token() is None
    assert not accounts.needs_setup()


def test_a_bad_name_or_password_does_not_use_up_the_setup_token(accounts):
    token = accounts.setup_token()
    with pytest.raises(AccountError):
        accounts.use_setup_token(token, "Ann", SECRET)
    with pytest.raises(AccountError):
        accounts.use_setup_token(token, "ann", "short")
    assert accounts.is_setup_token(token)


def test_a_wrong_an_older_and_an_expired_setup_token_are_refused(accounts, clock):
    first = accounts.setup_token()
    second = accounts.setup_token()
    assert not accounts.is_setup_token("x" * 43)
    assert not accounts.is_setup_token(first)
    assert accounts.is_setup_token(second)
    clock.advance(SETUP_VALID_S)
    with pytest.raises(AccessDenied):
        accounts.use_setup_token(second, "ann", SECRET)


def test_two_browsers_with_the_same_setup_link_make_one_admin(accounts):
    token, made, start = accounts.setup_token(), [], threading.Barrier(2)

    def redeem(name):
        start.wait(60)
        try:
            made.append(accounts.use_setup_token(token, name, SECRET))
        except AccessDenied:
            pass

    threads = [threading.Thread(target=redeem, args=(name,)) for name in ("ann", "eve")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(made) == 1
    assert len(accounts.list_users()) == 1


def test_the_file_holds_no_secret_in_clear_and_is_private(accounts, tmp_path):
    setup = accounts.setup_token()
    accounts.add_user("bob", "viewer", SECRET)
    session = accounts.open_session("bob")
    path = tmp_path / "accounts.sqlite3"
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for secret in (setup, session, SECRET):
        assert secret.encode() not in content
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in tmp_path.iterdir())
    assert path.exists()


def test_a_file_of_a_newer_scanpost_is_refused(tmp_path):
    path = tmp_path / "accounts.sqlite3"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(AccountError, match="newer"):
        Accounts(path)


def test_a_file_that_is_no_database_is_an_account_error(tmp_path):
    path = tmp_path / "accounts.sqlite3"
    path.write_bytes(b"not a database " * 100)
    with pytest.raises(AccountError, match="accounts.sqlite3"):
        Accounts(path)
