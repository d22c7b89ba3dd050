from __future__ import annotations

import pytest
from cleaner_rig import Rig


@pytest.fixture
def cleaner(tmp_path):
    made = []

    def make(**settings):
        made.append(Rig(tmp_path, **settings))
        return made[-1]

    yield make
    for one in made:
        one.world.close()
