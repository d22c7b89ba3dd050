"""The sets of images that are sent: generated, with random pixels, so that nobody compresses or caches them away.
It must not send anything; `renew` gives every file new UIDs, so that a receiver sees new images in each repetition.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file

# name: (file of pydicom's, side of the image in pixels, images, series); performance.md
SETS = {"MR": ("MR_small.dcm", 130, 2000, 10), "CT": ("CT_small.dcm", 512, 1000, 5)}
_ROOT = "1.2.826.0.1.3680043.8.498."  # with 18 digits behind it 44 characters: even, so no padding moves a byte
_STUDY, _SERIES, _IMAGE = 1, 2, 3
_TWELVE_BITS = bytes(value & 0x0F for value in range(256))


@dataclass
class ImageSet:
    """Files of one set in `parts` folders (one for each association), and where in each file its UIDs stand."""

    name: str
    folders: list[Path]
    paths: list[list[Path]]
    series: list[list[int]]
    places: dict[int, list[int]]
    file_bytes: int
    rng: random.Random

    @property
    def count(self) -> int:
        """Images in all parts."""
        return sum(map(len, self.paths))

    @property
    def bytes(self) -> int:
        """Of all files."""
        return self.count * self.file_bytes

    def renew(self) -> None:
        """New study, series and instance UIDs for every file, in place, outside of what is measured."""
        for paths, numbers in zip(self.paths, self.series, strict=True):
            run = self.rng.randrange(10**8, 10**9)
            for number, (path, series) in enumerate(zip(paths, numbers, strict=True)):
                uids = {
                    _STUDY: _uid(run, _STUDY, 0),
                    _SERIES: _uid(run, _SERIES, series),
                    _IMAGE: _uid(run, _IMAGE, number),
                }
                fd = os.open(path, os.O_WRONLY)
                try:
                    for kind, places in self.places.items():
                        for place in places:
                            os.pwrite(fd, uids[kind], place)
                finally:
                    os.close(fd)


def make(name: str, folder: Path, share: float = 1.0, parts: int = 1, times: float = 1.0) -> ImageSet:
    """Write one set below `folder`: `share` makes it smaller, `times` larger; split evenly over `parts` folders."""
    source, side, count, series = SETS[name]
    per_part = max(2, round(count * share * times / parts))
    series_per_part = max(1, round(series / parts))
    rng = random.Random(1)
    template, pixels = _template(source, side)
    places = {kind: _all_places(template, _uid(0, kind, 0)) for kind in (_STUDY, _SERIES, _IMAGE)}
    made = ImageSet(name, [], [], [], places, len(template), rng)
    for part in range(parts):
        below = folder / f"{name}-{parts}-{part}"
        numbers = [number * series_per_part // per_part for number in range(per_part)]
        for one in set(numbers):  # a folder each, so that DCMTK sends one series after the other, as scanners do
            (below / f"series{one}").mkdir(parents=True, exist_ok=True)
        paths = [below / f"series{one}" / f"{number:05}.dcm" for number, one in enumerate(numbers)]
        for path in paths:
            path.write_bytes(
                template[:pixels] + _random_pixels(rng, 2 * side * side) + template[pixels + 2 * side * side :]
            )
        made.folders.append(below)
        made.paths.append(paths)
        made.series.append(numbers)
    made.renew()
    return made


def _uid(run: int, kind: int, number: int) -> bytes:
    return f"{_ROOT}{run or 10**8:09}{kind}{number:08}".encode()


def _template(source: str, side: int) -> tuple[bytes, int]:
    """A whole Part 10 file and where its pixels begin."""
    image = pydicom.dcmread(str(get_testdata_file(source)))
    image.Rows = image.Columns = side
    image.StudyInstanceUID = _uid(0, _STUDY, 0).decode()
    image.SeriesInstanceUID = _uid(0, _SERIES, 0).decode()
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = _uid(0, _IMAGE, 0).decode()
    marker = b"\x5a" * (2 * side * side)
    image.PixelData = marker
    buffer = BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    data = buffer.getvalue()
    return data, data.index(marker)


def _random_pixels(rng: random.Random, size: int) -> bytes:
    """Little endian 16 bit words with 12 bits used."""
    pixels = bytearray(rng.randbytes(size))
    pixels[1::2] = pixels[1::2].translate(_TWELVE_BITS)
    return bytes(pixels)


def _all_places(data: bytes, wanted: bytes) -> list[int]:
    found, at = [], data.find(wanted)
    while at >= 0:
        found.append(at)
        at = data.find(wanted, at + 1)
    return found
