"""From the settings of a target to the object that sends there. It must not import a kind that is not used."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from actors.targets.interface import Target
from actors.targets.transcoding import Syntaxes
from protocol.routing import targets as settings


def make_target(target: settings.Target, scratch: Path | None = None) -> Target:
    """The sending side of these settings. Raises ConfigurationError: a library, key or secret that they need is missing.

    `scratch`: a folder on a disk, for images that are changed on their way; None: the system's.
    """
    if isinstance(target, settings.DicomTarget):
        from actors.targets.dicom import DicomTarget

        return DicomTarget(target, scratch)
    made = _made(target)
    if target.transfer_syntaxes is None:
        return made
    from actors.targets.limited import LimitedTarget

    return LimitedTarget(made, Syntaxes(target.transfer_syntaxes, target.transcode, scratch))


def _made(target: settings.DicomWebTarget | settings.FolderTarget | settings.S3Target | settings.SftpTarget) -> Target:
    if isinstance(target, settings.DicomWebTarget):
        from actors.targets.dicomweb import DicomWebTarget

        return DicomWebTarget(target)
    if isinstance(target, settings.FolderTarget):
        from actors.targets.folder import FolderTarget

        return FolderTarget(target)
    if isinstance(target, settings.S3Target):
        from actors.targets.s3 import S3Target

        return S3Target(target)
    if isinstance(target, settings.SftpTarget):
        from actors.targets.sftp import SftpTarget

        return SftpTarget(target)
    assert_never(target)
