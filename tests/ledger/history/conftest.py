"""Ledgers with a small history in them, on both databases."""

import pytest

from tests.ledger.history.told import full_story, other_stories, tell_all


@pytest.fixture
def history(open_ledger):
    """The events that were recorded, in their order."""
    return tell_all(open_ledger(), [*full_story(), *other_stories()])
