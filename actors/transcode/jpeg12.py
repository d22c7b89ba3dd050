"""A codec for JPEG with 12 bits per sample (process 4, PS3.5 section A.4.1), which none that pydicom brings along decodes.

It must not be asked about 8 bits, nor imported where GDCM may be missing.
"""

from __future__ import annotations

from typing import Any

NAME = "gdcm-12-bit"


def plugged_in() -> str:
    """Tell pydicom of it, once; the name to ask for it by. Raises ImportError: GDCM is not installed."""
    import gdcm  # noqa: F401
    from pydicom.pixels.decoders.base import JPEGExtended12BitDecoder

    if NAME not in JPEGExtended12BitDecoder.available_plugins:
        JPEGExtended12BitDecoder.add_plugin(NAME, (__name__, "decode_frame"))
    return NAME


def is_available(uid: str) -> bool:
    """Asked by pydicom."""
    return True


def decode_frame(source: bytes, runner: Any) -> bytes:
    """Asked by pydicom: one frame, 16 bits per sample, little endian. Raises ValueError."""
    import gdcm

    fragment, fragments = gdcm.Fragment(), gdcm.SequenceOfFragments.New()
    fragment.SetByteStringValue(source)
    fragments.AddFragment(fragment)
    value = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    value.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((runner.columns, runner.rows, 1))
    image.SetDataElement(value)
    kind = gdcm.PhotometricInterpretation.GetPIType(str(runner.photometric_interpretation))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
    image.SetPixelFormat(gdcm.PixelFormat(runner.samples_per_pixel, 16, 12, 11, runner.pixel_representation))
    pixels = image.GetBuffer()
    if pixels is None:
        raise ValueError("GDCM cannot decode it")
    decoded = bytes(pixels.encode("utf-8", "surrogateescape"))
    if len(decoded) != 2 * runner.rows * runner.columns * runner.samples_per_pixel:
        raise ValueError("GDCM decoded another size")
    return decoded
