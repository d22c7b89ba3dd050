"""One object that came in one go: judged, then written, sealed and, if so promised, synced; its row follows.
It must not know PDUs or sockets. What comes in parts is the business of objects.py.

The success is answered when the file is whole, and with `durability = "fsync"` synced: it says itself who sent it and what it
is, so it outlives the death of this process, and its row follows while the sender prepares the next image.
"""

from __future__ import annotations

from functools import partial

from actors.dicom.service import StoreCommand
from actors.dicom.statuses import OUT_OF_RESOURCES, PROCESSING_FAILURE, STORED_MISMATCH, SUCCESS
from actors.receiver.associations import Latest, Served
from actors.receiver.judging import header_of, judged, key_of
from actors.receiver.outcomes import Outcomes
from actors.receiver.terms import Refusal, beyond
from protocol.errors import OutOfSpace, SpoolError, UnreadableImage
from protocol.header.scan import Header
from protocol.spool.images import Images, Receipt, Saved
from protocol.spool.part10 import FileMeta


def store(outcomes: Outcomes, served: Served, command: StoreCommand, pieces: list[memoryview]) -> int:
    """Take it in; the status to answer. Raises DiskFailed."""
    size = sum(map(len, pieces))
    served.latest = None
    try:
        status: int | Refusal = _taken(outcomes, served, command, pieces, size)
    except OutOfSpace as exc:
        status = Refusal(OUT_OF_RESOURCES, str(exc))
    except (SpoolError, OSError) as exc:
        if outcomes.ends_process(exc):
            raise
        outcomes.log.error("image_failed", association=served.id.hex(), reason=told(exc))
        status = Refusal(PROCESSING_FAILURE, told(exc))
    return outcomes.reply(served, command, status, size)


def _taken(
    outcomes: Outcomes, served: Served, command: StoreCommand, pieces: list[memoryview], size: int
) -> int | Refusal:
    terms = served.terms
    refusal = terms.before(command.sop_class_uid) or terms.too_large(size) or beyond(outcomes.max_bytes, size)
    if refusal is not None:
        return refusal
    outcomes.reserve.take(size)
    header, unreadable = _header(served, command, pieces, size)
    found = judged(served, command, header, unreadable)
    if found.refusal is not None:
        return found.refusal
    if found.reason is not None:
        return _set_aside(outcomes, served, command, pieces, key_of(served, header), found.reason)
    assert served.writer is not None and header is not None
    file, meta = served.writer.put(
        key_of(served, header), command.sop_class_uid, command.sop_instance_uid, command.transfer_syntax_uid, pieces,
        sync=outcomes.images.sync,
    )  # fmt: skip
    served.pending = partial(described, outcomes.images, served, file, meta, header)
    if found.status == STORED_MISMATCH:
        outcomes.of_other_class(served)
    else:
        served.latest = Latest(command, header, file[: file.rindex("/")])
    return found.status


def _header(
    served: Served, command: StoreCommand, pieces: list[memoryview], size: int
) -> tuple[Header | None, str | None]:
    """The header, or why it cannot be read."""
    if not size:
        return None, "the data set is empty"
    try:
        header = header_of(served, command, pieces, whole=True)
        assert header is not None
        return header.of_length(size), None
    except UnreadableImage as exc:
        return None, str(exc)


def described(images: Images, served: Served, file: str, meta: FileMeta, header: Header) -> Saved:
    """A finished file that is still to get its row."""
    saved = images.described(file, meta, served.source, header)
    return saved._replace(resend=True) if served.terms.resend else saved


def _set_aside(
    outcomes: Outcomes, served: Served, command: StoreCommand, pieces: list[memoryview], key: bytes, reason: str
) -> int:
    """It goes to quarantine, which is rare: where it has to be durable, room for that has to be there before the success."""
    writer, images = served.writer, outcomes.images
    assert writer is not None
    file, meta = writer.put(
        key, command.sop_class_uid, command.sop_instance_uid, command.transfer_syntax_uid, pieces, sync=False
    )  # fmt: skip
    move = partial(images.set_aside, file, meta, reason, served.source)
    if not images.sync:
        served.pending = move
        return SUCCESS
    try:
        saved = move()
    except (SpoolError, OSError) as exc:
        if not outcomes.ends_process(exc):
            writer.drop(file)
        raise
    # From here on the outcome of a failure is unknown: the bytes stay, and are adopted at the next start.
    counted(outcomes, served, outcomes.committer.commit(saved))
    return SUCCESS


def counted(outcomes: Outcomes, served: Served, receipt: Receipt) -> None:
    """An object has its row before it is answered. Raises SpoolError: it has none."""
    if receipt.outcome == "failed":
        raise SpoolError(f"the image could not be recorded ({type(receipt.error).__name__})")
    served.count(receipt)
    outcomes.counts.add(receipt.outcome)


def told(exc: Exception) -> str:
    """An error as people may read it: an OSError's own text would name a path."""
    return (exc.strerror if isinstance(exc, OSError) else str(exc)) or type(exc).__name__
