"""The ledger fixtures of tests/ledger, and bookkeepers on a real spool whose every effect is a crash point."""

import pytest

from tests.bookkeeper.office import Office
from tests.ledger.conftest import look, postgres, url

__all__ = ["look", "postgres", "url"]


@pytest.fixture
def office(tmp_path, url):
    made = Office(tmp_path / "home", url)
    yield made
    made.close()
