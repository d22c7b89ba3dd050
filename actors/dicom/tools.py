"""What `scanpost echo` and `scanpost send` do: reports with DCMTK's exit codes. It must not print or use the spool."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from actors.dicom import statuses
from actors.dicom.frame import OutgoingImage
from actors.dicom.part10 import read_part10
from actors.dicom.scu import (
    VERIFICATION_CONTEXT,
    Association,
    Context,
    Node,
    StoreResult,
    open_association,
    pack_contexts,
)
from protocol.errors import NetworkError, UnreadableImage

# Exit codes of dcmsend(1); echoscu(1) knows 0 and 1 here.
DONE = 0
ECHO_FAILED = 1
NO_INPUT_FILES = 21
INVALID_INPUT_FILE = 22
NO_VALID_INPUT_FILES = 23
CANNOT_NEGOTIATE = 61
CANNOT_SEND = 62
NO_CONTEXT = 65


@dataclass(frozen=True)
class EchoReport:
    """What came of a C-ECHO. `step` is where it ended: connect, associate, context, echo or done."""

    ok: bool
    step: str
    message: str
    status: int | None
    elapsed_s: float

    @property
    def exit_code(self) -> int:
        return DONE if self.ok else ECHO_FAILED


@dataclass(frozen=True)
class FileReport:
    """What came of one file; `result` is None if the peer gave no answer, `code` the exit code it asks for."""

    path: Path
    ok: bool
    message: str
    code: int = DONE
    result: StoreResult | None = None


@dataclass
class SendReport:
    """What came of all files, in the order of their ends."""

    files: list[FileReport] = field(default_factory=list)
    associations: int = 0
    elapsed_s: float = 0.0

    @property
    def sent(self) -> int:
        return sum(file.ok for file in self.files)

    @property
    def failed(self) -> int:
        return len(self.files) - self.sent

    @property
    def exit_code(self) -> int:
        """As dcmsend: the gravest fault decides; invalid files count only if no other fault happened."""
        codes = {file.code for file in self.files if not file.ok}
        if not self.files:
            return NO_INPUT_FILES
        if codes == {INVALID_INPUT_FILE} and not self.sent:
            return NO_VALID_INPUT_FILES
        for code in (CANNOT_NEGOTIATE, CANNOT_SEND, NO_CONTEXT, INVALID_INPUT_FILE):
            if code in codes:
                return code
        return DONE


Progress = Callable[[FileReport, int, int], None]
"""Called after each file with (its report, files done, files in all)."""


def echo(node: Node) -> EchoReport:
    """One C-ECHO; never raises NetworkError, the report says it."""
    start = time.monotonic()

    def report(ok: bool, step: str, message: str, status: int | None = None) -> EchoReport:
        return EchoReport(ok, step, message, status, time.monotonic() - start)

    try:
        association = open_association(node, [VERIFICATION_CONTEXT])
    except NetworkError as exc:
        step = "connect" if type(exc).__name__ == "TargetUnreachable" else "associate"
        return report(False, step, str(exc))
    with association:
        if not association.accepts(*VERIFICATION_CONTEXT):
            return report(False, "context", f"{node} accepts the association, but no verification")
        try:
            status = association.echo()
        except NetworkError as exc:
            return report(False, "echo", str(exc))
    if status != statuses.SUCCESS:
        return report(False, "echo", f"{node} answered {statuses.describe(status)}", status)
    return report(True, "done", f"{node} answered", status)


def send_files(node: Node, paths: Iterable[Path], on_progress: Progress | None = None) -> SendReport:
    """Send Part 10 files (folders: all files below) as they are; one association per 128 contexts.

    Never raises NetworkError or UnreadableImage: each file's report says what came of it.
    """
    start = time.monotonic()
    report = SendReport()
    files = list(_files(paths))

    def done(file: FileReport) -> None:
        report.files.append(file)
        if on_progress is not None:
            on_progress(file, len(report.files), len(files))

    images: dict[Context, list[OutgoingImage]] = {}
    for path in files:
        try:
            image = read_part10(path)
            images.setdefault((image.sop_class_uid, image.transfer_syntax_uid), []).append(image)
        except UnreadableImage as exc:
            done(FileReport(path, False, str(exc), INVALID_INPUT_FILE))
    for group in pack_contexts(images):
        report.associations += 1
        _send_group(node, group, [image for context in group for image in images[context]], done)
    report.elapsed_s = time.monotonic() - start
    return report


def _send_group(
    node: Node, group: list[Context], images: list[OutgoingImage], done: Callable[[FileReport], None]
) -> None:
    try:
        association = open_association(node, group)
    except NetworkError as exc:
        for image in images:
            done(FileReport(image.path, False, str(exc), CANNOT_NEGOTIATE))
        return
    with association:
        for image, following in zip(images, [*images[1:], None], strict=True):
            done(_send_one(association, image, following))


def _send_one(association: Association, image: OutgoingImage, following: OutgoingImage | None) -> FileReport:
    if not association.accepts(image.sop_class_uid, image.transfer_syntax_uid):
        message = f"no presentation context for {image.sop_class_uid} in {image.transfer_syntax_uid}"
        return FileReport(image.path, False, message, NO_CONTEXT)
    try:
        result = association.store(image, following)
    except NetworkError as exc:
        return FileReport(image.path, False, str(exc), CANNOT_SEND)
    except UnreadableImage as exc:
        return FileReport(image.path, False, str(exc), INVALID_INPUT_FILE)
    ok = result.category != "failure"
    return FileReport(image.path, ok, str(result), DONE if ok else CANNOT_SEND, result)


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(entry for entry in path.rglob("*") if entry.is_file())
        else:
            yield path
