"""Libraries that only some targets need, as extras of the installation: which, and whether they are here.
It must not import or install them.
"""

from __future__ import annotations

from importlib.util import find_spec

from protocol.routing.syntaxes import EXTRA

EXTRAS = {"s3": "obstore", "sftp": "asyncssh"}
"""Type of target (and name of the extra) -> the module it cannot do without."""

CODECS = ("numpy", "gdcm", "jpeg_ls", "openjpeg", "rle", "pylibjpeg")
"""The modules of the extra `transcode`, which targets that transcode compressed images need."""


def lacking() -> frozenset[str]:
    """Types of target that cannot work on this machine; and `transcode`, if pixels cannot be decoded or compressed."""
    found = {kind for kind, module in EXTRAS.items() if find_spec(module) is None}
    if any(find_spec(module) is None for module in CODECS):
        found.add(EXTRA)
    return frozenset(found)


def words(kind: str) -> str:
    """What is wrong where one is lacking."""
    if kind == EXTRA:
        return "compressed images cannot be transcoded: the libraries for it are not installed"
    return f"targets of type {kind} need the library {EXTRAS[kind]}, which is not installed"


def cure(kind: str) -> str:
    """And what helps."""
    return f"install it: pip install scanpost[{kind}]"
