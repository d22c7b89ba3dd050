from __future__ import annotations

import pytest
from router_rig import Rig


@pytest.fixture
def rig(tmp_path):
    made = []

    def make(*rules, **more):
        made.append(Rig(tmp_path, *rules, **more))
        return made[-1]

    yield make
    for one in made:
        one.world.close()
