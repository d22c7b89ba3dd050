"""Another transfer syntax, the same pixels and values: judged by pydicom, DCMTK and GDCM."""

from __future__ import annotations

import struct
from pathlib import Path

import pydicom
import pytest
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames, parse_basic_offsets, parse_fragments
from pydicom.pixels.encoders.base import Encoder
from pydicom.uid import JPEGLSLossless, RLELossless

from protocol.errors import UnreadableImage
from protocol.routing.extras import lacking
from protocol.routing.syntaxes import COMPRESSING, DEFLATED, MADE, UNCOMPRESSED, name_of, uid_of
from tests.transcode.transcode_files import (
    BUNDLED,
    PLAIN,
    SHARED,
    changed,
    dcmtk,
    gdcm,
    needs_codecs,
    pixels,
    read,
    same_values,
    written,
)

np = pytest.importorskip("numpy", reason="an extra is missing (pip install .[test])")
needs_extra = pytest.mark.skipif("transcode" in lacking(), reason="an extra is missing (pip install .[test])")
COMPRESSED = [path for path in (*SHARED, *BUNDLED) if "UNC" not in path.name]
# Into every transfer syntax; of the larger ones those that differ in more than their series.
EVERYTHING = [*(path for path in SHARED if path.name.startswith("CT1_")), *BUNDLED, *PLAIN]
YBR_JPEG = [path for path in COMPRESSED if path.name in ("SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_jpeg_dcmtk.dcm")]


def named(path: Path) -> str:
    return path.stem


@pytest.mark.slow
@needs_extra
@needs_codecs
@pytest.mark.parametrize("path", [one for one in COMPRESSED if one not in YBR_JPEG], ids=named)
def test_decompressed_pixels_are_those_that_dcmtk_or_gdcm_decode(path, tmp_path):
    after = read(changed(path, "explicit", tmp_path))
    judge = gdcm if "4.9" in str(read(path).file_meta.TransferSyntaxUID) else dcmtk  # DCMTK has no JPEG 2000
    expected = judge(path, tmp_path)
    assert after.file_meta.TransferSyntaxUID == uid_of("explicit")
    if expected.PixelRepresentation != after.PixelRepresentation or expected.BitsStored != after.BitsStored:
        pytest.skip("the judge changed what the pixels mean")
    np.testing.assert_array_equal(pixels(after), pixels(expected))
    assert after.PhotometricInterpretation == expected.PhotometricInterpretation


@needs_extra
@needs_codecs
@pytest.mark.parametrize("path", YBR_JPEG, ids=named)
def test_lossy_jpeg_in_ybr_becomes_the_rgb_that_dcmtk_makes_of_it_but_for_rounding(path, tmp_path):
    after, expected = read(changed(path, "explicit", tmp_path)), dcmtk(path, tmp_path)
    assert after.PhotometricInterpretation == expected.PhotometricInterpretation == "RGB"
    assert after.PlanarConfiguration == 0
    difference = np.abs(pixels(after) - pixels(expected))
    assert difference.mean() < 1  # where colours of neighbours are interpolated, programs differ by a little


@pytest.mark.slow
@needs_extra
@pytest.mark.parametrize("path", EVERYTHING, ids=named)
def test_an_image_has_the_same_pixels_and_values_in_every_transfer_syntax_that_can_hold_it(path, tmp_path):
    before, bits = read(path), read(path).get("BitsAllocated")
    held = 0
    for to in MADE:
        try:
            data = changed(path, to, tmp_path)
        except UnreadableImage:
            # Not every image goes into every compression; but the headers of all can be rewritten.
            assert to not in UNCOMPRESSED or bits == 32 and to == uid_of("big-endian")
            continue
        held += 1
        after = read(data)
        assert after.file_meta.TransferSyntaxUID == to and after.SOPInstanceUID == before.SOPInstanceUID
        same_values(read(path), read(data))
        if "PixelData" in before and path not in YBR_JPEG and path.name != "badVR.dcm":
            np.testing.assert_array_equal(pixels(after), pixels(before))
    assert held >= 3


@pytest.mark.slow
@needs_extra
@pytest.mark.parametrize("path", [one for one in BUNDLED if one not in YBR_JPEG][:6], ids=named)
@pytest.mark.parametrize("to", COMPRESSING, ids=name_of)
def test_what_was_compressed_without_loss_is_read_by_dcmtk_or_gdcm(path, to, tmp_path):
    plain, packed = tmp_path / "plain.dcm", tmp_path / "packed.dcm"
    plain.write_bytes(changed(path, "explicit", tmp_path))
    packed.write_bytes(changed(plain, to, tmp_path))
    expected = (gdcm if "4.90" in to else dcmtk)(packed, tmp_path)
    np.testing.assert_array_equal(pixels(read(plain)), pixels(expected))
    offsets = read(packed)
    assert len(offsets.PixelData) % 2 == 0 and offsets.PixelData[4:8] == struct.pack(
        "<L", 4 * int(offsets.get("NumberOfFrames", 1))
    )


# -- images made for one thing ----------------------------------------------------------------------------------------


def made(tmp_path: Path, name: str = "made.dcm", **changes) -> tuple[Path, pydicom.Dataset]:
    """A small image, with other values."""
    dataset = read(PLAIN[0])
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    path = tmp_path / name
    path.write_bytes(written(dataset))
    return path, dataset


@needs_extra
def test_pixels_with_bits_that_a_compression_would_drop_stay_as_they_are_or_are_refused(tmp_path):
    """An overlay in the unused bits (retired) or plain rubbish: lossless means all of it."""
    path, dataset = made(tmp_path, BitsStored=12, HighBit=11, PixelRepresentation=0)
    values = np.frombuffer(dataset.PixelData, "<u2") & 0x0FFF | 0x1000
    path, dataset = made(tmp_path, BitsStored=12, HighBit=11, PixelRepresentation=0, PixelData=values.tobytes())
    for to in COMPRESSING:
        try:
            packed = tmp_path / "packed.dcm"
            packed.write_bytes(changed(path, to, tmp_path))
        except UnreadableImage:
            continue
        assert read(changed(packed, "explicit", tmp_path)).PixelData == dataset.PixelData


@needs_extra
def test_a_compressed_frame_that_is_not_what_it_was_made_of_is_never_given_out(tmp_path, monkeypatch):
    encode = Encoder.encode

    def careless(self, source, **options):
        source = source.copy()
        source[-1, -1] ^= 1
        return encode(self, source, **options)

    monkeypatch.setattr(Encoder, "encode", careless)
    for to in COMPRESSING:
        with pytest.raises(UnreadableImage, match="does not keep"):
            changed(PLAIN[0], to, tmp_path)


@needs_extra
def test_the_basic_offset_table_points_at_each_frame(tmp_path):
    path = next(one for one in BUNDLED if one.name == "SC_rgb_rle_16bit_2frame.dcm")
    for to in COMPRESSING:
        after = read(changed(path, to, tmp_path))
        first, second = parse_basic_offsets(after.PixelData)
        count, places = parse_fragments(after.PixelData)
        assert (first, count) == (0, 3) and second == places[2] - places[1]  # the table is the first item
        np.testing.assert_array_equal(pixels(after), pixels(read(path)))


@needs_extra
def test_planar_colours_become_the_same_colours_by_pixel(tmp_path):
    dataset = read(changed(next(one for one in BUNDLED if one.name == "SC_rgb_rle.dcm"), "explicit", tmp_path))
    colours = dataset.pixel_array
    dataset.PixelData, dataset.PlanarConfiguration = colours.transpose(2, 0, 1).tobytes(), 1
    (tmp_path / "planar.dcm").write_bytes(written(dataset))
    for to in COMPRESSING:
        after = read(changed(tmp_path / "planar.dcm", to, tmp_path))
        assert after.PlanarConfiguration == (1 if to == RLELossless else 0)
        assert after.PhotometricInterpretation == ("YBR_RCT" if "4.90" in to else "RGB")
        np.testing.assert_array_equal(pixels(after), colours)
    native = read(changed(tmp_path / "planar.dcm", "implicit", tmp_path))
    assert native.PlanarConfiguration == 1 and native.PixelData == dataset.PixelData


@needs_extra
def test_a_compressed_icon_is_decompressed_with_its_image_and_a_native_one_stays(tmp_path):
    dataset = read(PLAIN[0])
    icon = pydicom.Dataset()
    icon.Rows, icon.Columns, icon.SamplesPerPixel, icon.PhotometricInterpretation = 4, 6, 1, "MONOCHROME2"
    icon.BitsAllocated = icon.BitsStored = 8
    icon.HighBit, icon.PixelRepresentation = 7, 0
    icon.PixelData = bytes(range(24))
    icon["PixelData"].VR = "OB"
    dataset.IconImageSequence = [icon]
    plain, packed = tmp_path / "plain.dcm", tmp_path / "packed.dcm"
    plain.write_bytes(written(dataset))
    packed.write_bytes(changed(plain, "rle", tmp_path))
    assert read(packed).IconImageSequence[0].PixelData == bytes(range(24))

    from pydicom.pixels import get_encoder

    frame = get_encoder(RLELossless).encode(
        bytes(range(24)), rows=4, columns=6, samples_per_pixel=1, number_of_frames=1, bits_allocated=8, bits_stored=8,
        photometric_interpretation="MONOCHROME2", pixel_representation=0, planar_configuration=0,
    )  # fmt: skip
    both = read(packed)
    both.IconImageSequence[0].PixelData = encapsulate([frame])
    both.IconImageSequence[0]["PixelData"].is_undefined_length = True
    packed.write_bytes(written(both))
    for to in ("explicit", "implicit", "big-endian", "deflated"):
        after = read(changed(packed, to, tmp_path))
        assert after.IconImageSequence[0].PixelData == bytes(range(24))
        np.testing.assert_array_equal(pixels(after), pixels(dataset))
    for to in ("jpeg-ls", "jpeg2000-lossless"):  # the frame of RLE would be taken for one of the new compression
        after = read(changed(packed, to, tmp_path))
        assert after.IconImageSequence[0].PixelData == bytes(range(24))
        assert not after.IconImageSequence[0]["PixelData"].is_undefined_length
        np.testing.assert_array_equal(pixels(after), pixels(dataset))


@needs_extra
@pytest.mark.parametrize("frames", ["1", None])
@pytest.mark.parametrize(
    "name", ["MR3_RLE.dcm", "MR3_JPLL.dcm", "MR3_JLSL.dcm", "MR3_J2KR.dcm", "MR3_JPLY.dcm", "US1_J2KI.dcm"]
)
def test_frames_beyond_those_that_the_image_says_are_not_lost_without_a_word(name, frames, tmp_path):
    dataset = read(next(one for one in SHARED if one.name == name))
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    half = len(frame) // 4 * 2
    for fragments, whole in (([frame, frame], False), ([frame[:half], frame[half:]], True)):
        dataset.PixelData = encapsulate(fragments, has_bot=False)
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.NumberOfFrames = frames
        if frames is None:
            del dataset.NumberOfFrames
        (tmp_path / "two.dcm").write_bytes(written(dataset))
        if whole:
            assert changed(tmp_path / "two.dcm", "explicit", tmp_path)
            continue
        with pytest.raises(UnreadableImage, match="more frames than the image says"):
            changed(tmp_path / "two.dcm", "explicit", tmp_path)


@needs_extra
@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 0)])
def test_an_extended_offset_table_that_would_give_one_frame_for_another_is_refused(order, tmp_path):
    dataset = read(next(one for one in SHARED if one.name == "MR3_JLSL.dcm"))
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    data, offsets, lengths = encapsulate_extended([frame, frame])
    tables = [[table[8 * at : 8 * at + 8] for at in order] for table in (offsets, lengths)]
    dataset.PixelData, dataset.NumberOfFrames = data, 2
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = map(b"".join, tables)
    (tmp_path / "two.dcm").write_bytes(written(dataset))
    if order == (0, 1):
        after = read(changed(tmp_path / "two.dcm", "explicit", tmp_path))
        assert after.NumberOfFrames == 2 and "ExtendedOffsetTable" not in after
    else:
        with pytest.raises(UnreadableImage, match="offset table"):
            changed(tmp_path / "two.dcm", "explicit", tmp_path)


@needs_extra
def test_lossy_compression_stays_on_record(tmp_path):
    path = next(one for one in BUNDLED if one.name == "JPEG2000.dcm")
    dataset = read(path)
    dataset.LossyImageCompression, dataset.LossyImageCompressionRatio = "01", "14.2"
    (tmp_path / "lossy.dcm").write_bytes(written(dataset))
    for to in ("explicit", "jpeg-ls"):
        after = read(changed(tmp_path / "lossy.dcm", to, tmp_path))
        assert after.LossyImageCompression == "01" and after.LossyImageCompressionRatio == 14.2


@needs_extra
@pytest.mark.parametrize("said", [None, "", "00"])
@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("MR3_JPLY.dcm", "ISO_10918_1"), ("MR3_JLSN.dcm", "ISO_14495_1"), ("CT1_J2KI.dcm", "ISO_15444_1"),
        ("CT1_JPLL.dcm", None), ("CT1_J2KR.dcm", None), ("MR3_RLE.dcm", None),
    ],
)  # fmt: skip
def test_that_pixels_are_lossy_is_put_on_record_where_only_the_transfer_syntax_said_it(name, method, said, tmp_path):
    dataset = read(next(one for one in SHARED if one.name == name))
    for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if keyword in dataset:
            delattr(dataset, keyword)
    if said is not None:
        dataset.LossyImageCompression = said
    (tmp_path / "silent.dcm").write_bytes(written(dataset))
    for to in ("explicit", "implicit", "jpeg-ls"):
        if uid_of(to) == dataset.file_meta.TransferSyntaxUID:
            continue
        after = read(changed(tmp_path / "silent.dcm", to, tmp_path))
        assert after.get("LossyImageCompression") == ("01" if method else said)
        assert after.get("LossyImageCompressionMethod") == method
        assert (after.get("LossyImageCompressionRatio", 0) > 1) is bool(method)


@needs_extra
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Rows": 0}, "no sense"),
        ({"Rows": 40000, "Columns": 40000}, "larger than what is changed here"),
        ({"NumberOfFrames": 200_000_000}, "more than an image can hold"),
        ({"NumberOfFrames": 3}, "as long as the image says"),
        ({"SamplesPerPixel": 7}, "no sense"),
        ({"BitsAllocated": 1}, "1 bits"),
        ({"PhotometricInterpretation": "YBR_FULL_422"}, "YBR_FULL_422"),
    ],
)
def test_what_an_image_says_of_itself_is_checked_before_anything_is_compressed(changes, words, tmp_path):
    path, _ = made(tmp_path, **changes)
    with pytest.raises(UnreadableImage, match=words):
        changed(path, "jpeg-ls", tmp_path)


@needs_extra
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Rows": 40000, "Columns": 40000}, "larger than what is changed here"),
        ({"NumberOfFrames": 2}, "frames|cannot be decompressed"),
        ({"Rows": 77}, "cannot be decompressed|not as large"),
        ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, "more than the image says|cannot be decompressed"),
    ],
)
def test_compressed_pixels_that_do_not_fit_their_image_are_refused(changes, words, tmp_path):
    dataset = read(next(one for one in BUNDLED if one.name == "MR_small_jpeg_ls_lossless.dcm"))
    assert dataset.file_meta.TransferSyntaxUID == JPEGLSLossless
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    (tmp_path / "odd.dcm").write_bytes(written(dataset))
    with pytest.raises(UnreadableImage, match=words):
        changed(tmp_path / "odd.dcm", "explicit", tmp_path)


def test_what_is_no_image_cannot_be_compressed_and_what_is_unknown_cannot_be_changed(tmp_path):
    report = next(one for one in PLAIN if one.name == "reportsi.dcm")
    with pytest.raises(UnreadableImage, match="no pixels"):
        changed(report, "rle", tmp_path)
    dataset = read(PLAIN[0])
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
    dataset.PixelData = encapsulate([b"moving pictures!"])
    video = tmp_path / "video.dcm"
    video.write_bytes(written(dataset))
    with pytest.raises(UnreadableImage, match="no way"):
        changed(video, "explicit", tmp_path)


def test_a_deflated_bomb_is_refused(tmp_path, monkeypatch):
    path = next(one for one in PLAIN if one.name == "image_dfl.dcm")
    assert read(path).file_meta.TransferSyntaxUID == DEFLATED
    monkeypatch.setattr("actors.transcode.deflating.MAX_INFLATED_BYTES", 10_000)
    with pytest.raises(UnreadableImage, match="too large"):
        changed(path, "explicit", tmp_path)


def test_a_full_disk_is_no_fault_of_the_image(tmp_path, monkeypatch):
    monkeypatch.setattr("actors.transcode.change.KEEP_FREE_BYTES", 1 << 62)
    with pytest.raises(OSError, match="No space left"):
        changed(PLAIN[0], "implicit", tmp_path)
