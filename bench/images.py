"""The sets of images that are sent: generated, with random pixels, so that nobody compresses or caches them away."""

from __future__ import annotations

import random
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

SETS = {"MR": ("MR_small.dcm", 130, 600, 6), "CT": ("CT_small.dcm", 512, 200, 2)}  # file, side, images, series


def make(name: str, folder: Path, share: float = 1.0) -> int:
    """Write one set below `folder`, unless it is there; returns how many images. `share` makes it smaller."""
    source, side, count, series = SETS[name]
    count = max(series, int(count * share))
    folder.mkdir(parents=True, exist_ok=True)
    if len(list(folder.glob("*.dcm"))) == count:
        return count
    rng = random.Random(1)
    template = pydicom.dcmread(str(get_testdata_file(source)))
    template.Rows = template.Columns = side
    template.StudyInstanceUID = generate_uid()
    uids = [generate_uid() for _ in range(series)]
    for number in range(count):
        template.SeriesInstanceUID = uids[number % series]
        template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        template.InstanceNumber = number + 1
        template.PixelData = rng.randbytes(2 * side * side)
        template.save_as(folder / f"{number:05}.dcm", enforce_file_format=True)
    return count
