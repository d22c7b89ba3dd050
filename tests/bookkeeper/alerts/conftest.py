"""Alert desks over worlds in memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.bookkeeper.alerts.alert_rig import AlertRig

IN_MEMORY = Path("/dev/shm")


@pytest.fixture
def rig():
    """A maker of nodes; in memory where there is one: a sync costs nothing there."""
    folder = Path(tempfile.mkdtemp(dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None))
    made = []

    def make(**settings):
        made.append(AlertRig(folder / f"home{len(made)}", **settings))
        return made[-1]

    yield make
    for one in made:
        one.world.close()
    shutil.rmtree(folder)
