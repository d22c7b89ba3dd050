from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from router_rig import Rig

IN_MEMORY = Path("/dev/shm")


@pytest.fixture
def folder():
    """In memory where there is one: crash tests make hundreds of small databases."""
    made = Path(tempfile.mkdtemp(dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def rig(folder):
    made = []

    def make(*rules, **more):
        made.append(Rig(folder, *rules, **more))
        return made[-1]

    yield make
    for one in made:
        one.world.close()
