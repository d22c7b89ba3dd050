"""Accounts with a manual clock and a cheap hash, so that tests take milliseconds."""

import pytest
from argon2 import PasswordHasher

from protocol.accounts import Accounts
from protocol.accounts.passwords import Passwords
from protocol.clock import ManualClock

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def accounts(tmp_path, clock):
    made = Accounts(tmp_path / "accounts.sqlite3", clock, Passwords(CHEAP))
    yield made
    made.close()
