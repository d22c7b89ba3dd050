"""Images in many transfer syntaxes, and what other programs make of them. It must not use what it judges."""

from __future__ import annotations

import shutil
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.filewriter import dcmwrite
from pydicom.tag import Tag

from actors.dicom.part10 import read_part10
from actors.transcode.change import Job, change
from protocol.routing.syntaxes import uid_of
from protocol.spool.images import ImageFile
from protocol.spool.part10 import fresh
from tests.dicom.dicom_fakes import SHARED_SYNTAXES

SHARED = sorted(SHARED_SYNTAXES.glob("*.dcm"))
BUNDLED = [
    Path(str(get_testdata_file(name)))
    for name in (
        "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "JPGExtended.dcm",
        "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle.dcm", "SC_rgb_rle_16bit_2frame.dcm", "J2K_pixelrep_mismatch.dcm",
        "JPEG2000.dcm", "693_J2KI.dcm", "examples_jpeg2k.dcm", "rtdose_rle.dcm", "color3d_jpeg_baseline.dcm",
        "SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_dcmtk_+eb+cr.dcm",
    )
    if get_testdata_file(name, download=False)
]  # fmt: skip
PLAIN = [
    Path(str(get_testdata_file(name)))
    for name in (
        "CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "SC_rgb.dcm", "reportsi.dcm", "rtplan.dcm",
        "rtdose.dcm", "waveform_ecg.dcm", "examples_overlay.dcm", "examples_palette.dcm", "vlut_04.dcm", "badVR.dcm",
        "SC_rgb_small_odd_big_endian.dcm", "eCT_Supplemental.dcm", "emri_small.dcm",
    )
    if get_testdata_file(name, download=False)
]  # fmt: skip
_PIXELS = {
    "PixelData",
    "PlanarConfiguration",
    "PhotometricInterpretation",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
}

needs_codecs = pytest.mark.skipif(
    shutil.which("dcmdjpeg") is None, reason="DCMTK (dcmdjpeg, dcmdjpls, dcmdrle) is not installed"
)


def spooled(path: Path, number: int = 1) -> ImageFile:
    """A file as the spool would name it."""
    one = read_part10(path)
    return ImageFile(
        number.to_bytes(16, "big"), path, one.dataset_offset, one.length or 0, one.sop_class_uid, one.sop_instance_uid,
        one.transfer_syntax_uid,
    )  # fmt: skip


def changed(path: Path, to: str, scratch: Path) -> bytes:
    """The file in another transfer syntax, as a Part 10 file. Raises what `change` raises."""
    image = spooled(path)
    with open(scratch / "changed", "w+b") as out:
        size = change(Job(path, image.offset, image.bytes, image.transfer_syntax_uid, uid_of(to)), out, lambda: None)
        out.seek(0)
        data = out.read()
    assert len(data) == size
    return fresh(image.sop_class_uid, image.sop_instance_uid, uid_of(to)) + data


def read(data: bytes | Path) -> pydicom.Dataset:
    return pydicom.dcmread(BytesIO(data) if isinstance(data, bytes) else data)


def pixels(dataset: pydicom.Dataset, *, raw: bool = True) -> Any:
    """As pydicom decodes them, with whatever it has."""
    return pydicom.pixels.pixel_array(dataset, raw=raw).astype("int64")


def dcmtk(path: Path, folder: Path) -> pydicom.Dataset:
    """The file as DCMTK's programs decompress it."""
    out = folder / "dcmtk.dcm"
    syntax = str(read(path).file_meta.TransferSyntaxUID)
    tool = {"5": "dcmdrle", "80": "dcmdjpls", "81": "dcmdjpls"}.get(syntax.rpartition(".")[2], "dcmdjpeg")
    subprocess.run([tool, str(path), str(out)], check=True, capture_output=True, timeout=60)
    return read(out)


def gdcm(path: Path, folder: Path) -> pydicom.Dataset:
    """The file as GDCM's program decompresses it."""
    out = folder / "gdcm.dcm"
    subprocess.run(["gdcmconv", "--raw", str(path), str(out)], check=True, capture_output=True, timeout=60)
    return read(out)


def same_values(before: pydicom.Dataset, after: pydicom.Dataset) -> None:
    """Every element is there with its bytes, but for pixels and what describes how they lie, and group lengths.

    Both are as they were read, so that little endian values are bytes that nobody decoded.
    """
    kept = [tag for tag in sorted(before.keys()) if Tag(tag).element != 0 and keyword_for_tag(tag) not in _PIXELS]
    assert [tag for tag in sorted(after.keys()) if keyword_for_tag(tag) not in _PIXELS] == kept
    swapped = before.original_encoding[1] != after.original_encoding[1]
    for tag in kept:
        old, new = before.get_item(tag), after.get_item(tag)
        raw = isinstance(old, RawDataElement) and isinstance(new, RawDataElement)
        if raw and isinstance(old.value, bytes) and isinstance(new.value, bytes) and "SQ" not in (old.VR, new.VR):
            value = _swapped(new.value, new.VR or old.VR) if swapped else new.value
            assert value == old.value, f"{tag} {old.VR} {new.VR}"
        elif before[tag].VR == after[tag].VR == "SQ":
            for one, other in zip(before[tag].value, after[tag].value, strict=True):
                same_values(one, other)
        elif "UN" not in (before[tag].VR, after[tag].VR):
            assert before[tag].value == after[tag].value, f"{tag} {old.VR} {new.VR}"


def _swapped(value: bytes, vr: str) -> bytes:
    width = {"US": 2, "SS": 2, "OW": 2, "AT": 2, "UL": 4, "SL": 4, "FL": 4, "OF": 4, "OL": 4, "FD": 8, "OD": 8}.get(
        vr, 1
    )
    return b"".join(value[at : at + width][::-1] for at in range(0, len(value), width))


def written(dataset: pydicom.Dataset) -> bytes:
    out = BytesIO()
    dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()
