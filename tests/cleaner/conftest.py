from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from cleaner_rig import Rig

IN_MEMORY = Path("/dev/shm")


@pytest.fixture
def folder():
    """In memory where there is one: a sync costs nothing there."""
    made = Path(tempfile.mkdtemp(dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def cleaner(folder):
    made = []

    def make(**settings):
        made.append(Rig(folder, **settings))
        return made[-1]

    yield make
    for one in made:
        one.world.close()
