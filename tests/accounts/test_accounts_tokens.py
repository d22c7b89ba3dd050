"""Tokens for programs: scopes, what is left of the owner's role, end, revoking."""

import pytest

from protocol.accounts import Role, Scope
from protocol.accounts.tokens import MAX_PER_USER, PREFIX
from protocol.errors import AccountError

SECRET = "correct horse battery"


@pytest.fixture
def people(accounts):
    for name, role in (("ann", "admin"), ("olga", "operator"), ("vera", "viewer")):
        accounts.add_user(name, role, SECRET)
    return accounts


@pytest.mark.parametrize(
    ("owner", "scopes", "role", "phi"),
    [
        ("ann", ["read"], Role.VIEWER, False),
        ("ann", ["operate"], Role.OPERATOR, False),
        ("ann", ["admin", "phi"], Role.ADMIN, True),
        ("olga", ["operate", "phi"], Role.OPERATOR, True),
        ("vera", ["phi"], Role.VIEWER, True),
    ],
)
def test_a_token_may_what_its_scopes_say(people, owner, scopes, role, phi):
    session = people.tokens.find(people.tokens.create(owner, "script", scopes), "10.0.0.7")
    assert (session.user.name, session.user.role, session.phi) == (owner, role, phi)
    assert session.who == f"{owner} (token script)"


@pytest.mark.parametrize(("owner", "scope"), [("olga", "admin"), ("vera", "operate"), ("vera", "admin")])
def test_nobody_gives_away_more_than_they_have(people, owner, scope):
    with pytest.raises(AccountError, match="cannot give away"):
        people.tokens.create(owner, "script", [scope])


def test_a_token_follows_its_owner_down_and_dies_with_the_account(people):
    secret = people.tokens.create("olga", "script", ["operate"])
    people.set_role("olga", "viewer")
    assert people.tokens.find(secret).user.role is Role.VIEWER
    people.disable("olga")
    assert people.tokens.find(secret) is None


def test_a_token_ends_when_it_should_and_says_when_it_was_used(people, clock):
    secret = people.tokens.create("ann", "script", ["read"], expires=clock.now() + 100)
    assert people.tokens.find(secret, "10.0.0.7")
    token = people.tokens.list("ann")[0]
    assert (token.last_used, token.last_address) == (clock.now(), "10.0.0.7")
    clock.advance(100)
    assert people.tokens.find(secret) is None


def test_what_a_token_opens_ends_with_it(people, clock):
    end = clock.now() + 100
    assert people.tokens.find(people.tokens.create("ann", "short", ["read"], expires=end)).expires == end
    assert people.tokens.find(people.tokens.create("ann", "long", ["read"])).expires > end


def test_a_busy_program_writes_once_a_minute(people, clock):
    secret, begin = people.tokens.create("ann", "script", ["read"]), clock.now()
    used = []
    for _ in range(61):
        assert people.tokens.find(secret)
        used.append(people.tokens.list("ann")[0].last_used - begin)
        clock.advance(1)
    assert used == [0] * 60 + [60]


def test_tokens_of_all_are_listed_and_one_is_revoked_by_its_number(people):
    for owner in ("vera", "ann"):
        people.tokens.create(owner, "script", ["read"])
    assert [one.user for one in people.tokens.list()] == ["ann", "vera"]
    people.tokens.revoke("vera", people.tokens.list("vera")[0].id)
    assert [one.user for one in people.tokens.list()] == ["ann"]


def test_a_token_that_is_to_see_patients_reads_too(people):
    people.tokens.create("ann", "script", ["phi"])
    assert people.tokens.list("ann")[0].scopes == (Scope.READ, Scope.PHI)


def test_a_revoked_a_wrong_and_an_empty_token_open_nothing(people):
    secret = people.tokens.create("ann", "script", ["read"])
    assert people.tokens.find(secret[:-1]) is people.tokens.find("") is people.tokens.find(PREFIX) is None
    people.tokens.revoke("ann", "script", by="ann")
    assert people.tokens.find(secret) is None
    with pytest.raises(AccountError, match="no token"):
        people.tokens.revoke("ann", "script")


def test_nobody_revokes_the_token_of_another_by_its_number(people):
    people.tokens.create("ann", "script", ["read"])
    with pytest.raises(AccountError, match="no token"):
        people.tokens.revoke("vera", people.tokens.list("ann")[0].id)


def test_bad_names_scopes_ends_and_too_many_are_refused(people, clock):
    for name, scopes, expires, words in (
        ("<b>", ["read"], None, "name"),
        ("x", ["root"], None, "scopes are"),
        ("x", ["read"], clock.now(), "future"),
    ):
        with pytest.raises(AccountError, match=words):
            people.tokens.create("ann", name, scopes, expires=expires)
    for number in range(MAX_PER_USER):
        people.tokens.create("ann", f"t{number}", ["read"])
    with pytest.raises(AccountError, match="revoke some"):
        people.tokens.create("ann", "one more", ["read"])
    with pytest.raises(AccountError, match="already"):
        people.tokens.create("ann", "t0", ["read"])


def test_the_audit_tells_of_a_token_without_its_secret_and_so_does_the_file(people, tmp_path):
    secret = people.tokens.create("ann", "script", ["phi", "read"], by="ann", address="10.0.0.1")
    entry = people.audit_trail(1)[0]
    assert (entry.action, entry.object, entry.after["scopes"]) == ("token create", "ann", [Scope.READ, Scope.PHI])
    assert secret not in repr(entry)
    assert all(secret.encode() not in file.read_bytes() for file in tmp_path.iterdir())
