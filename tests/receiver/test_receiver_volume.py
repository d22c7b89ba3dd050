"""Very many single images over one association: every one is there, the books balance, and nothing gets out of step."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from receiver_rig import receiver

from tests.peers import needs_dcmtk, storescu

pytestmark = [needs_dcmtk, pytest.mark.slow]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.soak)])
def test_very_many_images_in_one_association_arrive_in_one_arrival(tmp_path: Path, count: int) -> None:
    image = Path(str(get_testdata_file("MR_small.dcm")))
    with receiver(tmp_path / "home", receiver__durability="relaxed") as rig:
        done = storescu(
            rig.port, [image], ["--repeat", str(count), "+IR", str(count)], calling="LONGSCAN", timeout_s=280
        )
        assert done.returncode == 0, done.stderr
        assert rig.until_closed() == ["released"]
        (closed,) = rig.events("association.closed")
        figures = rig.spool.accounting.figures()
        assert (closed["images"], figures.received, figures.duplicates, figures.refused) == (count, count, 0, 0)
        (arrival,) = rig.spool.arrivals.open_ones()
        assert arrival.images == count
        assert rig.healthy()
