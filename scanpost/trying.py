"""What `scanpost rules test` asks rules about: DICOM files, a pasted header, an arrival of the spool or of the ledger.
It only reads; a file that cannot be read is told and stops none of the others.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.errors import ScanpostError, UnreadableHeader
from scanpost.asking import opened, routing_of
from scanpost.common import Options, say
from scanpost.publishing import read_draft

if TYPE_CHECKING:
    from protocol.routing.judging import Case
    from protocol.routing.model import RoutingConfiguration
    from protocol.settings import Settings

HEADER_BYTES = 256 * 1024  # read of a file at first; more only if its header proves longer


@dataclass
class Origin:
    """What the person says of the origin, for images that came from no scanner."""

    calling_ae: str = ""
    address: str = ""
    called_ae: str = ""
    source: str | None = None
    received: float = field(default_factory=time.time)

    def case(self, images: Sequence[dict[str, Any]], zone: tzinfo | None) -> Case:
        """These images as if they had come in so."""
        from protocol.routing.trying import case_of_images

        return case_of_images(
            images, self.received, zone, calling_ae=self.calling_ae, address=self.address, called_ae=self.called_ae,
            source=self.source,
        )  # fmt: skip


@dataclass
class Tried:
    """One case with a title; `notes` are what a person should know about it."""

    title: str
    case: Case
    notes: list[str] = field(default_factory=list)


def rules_of(options: Options, file: Path | None) -> tuple[RoutingConfiguration, int]:
    """The routing configuration of a file, or the current one with its revision. Raises RoutingError."""
    if file is not None:
        from protocol.routing.parse import build

        name, draft = read_draft(file)
        return build(draft.data, name), 0
    version = routing_of(options.settings()).current()
    return version.configuration, version.number


def of_header(file: str, origin: Origin, zone: tzinfo | None) -> Tried:
    """A pasted header; `-`: standard input. Raises UnreadableHeader."""
    from protocol.header.pasted import read_pasted

    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8", "replace")
    except OSError as exc:
        raise UnreadableHeader(f"{file}: cannot be read: {exc.strerror}") from exc
    images = read_pasted(text)
    return Tried(f"pasted header, {count(len(images))}", origin.case(images, zone))


def of_files(
    paths: Sequence[Path], configuration: RoutingConfiguration, origin: Origin, zone: tzinfo | None
) -> list[Tried]:
    """The series that the files belong to, in the order in which they are met. Tells what cannot be read."""
    series: dict[str, list[dict[str, Any]]] = {}
    for path in _files(paths):
        try:
            values = header_of(path, configuration.keywords)
        except ScanpostError as exc:
            say(f"{path}: {exc}")
            continue
        series.setdefault(str(values.get("SeriesInstanceUID", path)), []).append(values)
    return [Tried(f"series {uid}, {count(len(images))}", origin.case(images, zone)) for uid, images in series.items()]


def header_of(path: Path, extra: frozenset[str]) -> dict[str, Any]:
    """The header values of a Part 10 file as the receiver would have scanned them. Raises UnreadableImage."""
    from actors.dicom.part10 import read_part10
    from protocol.header.scan import scan, scan_head

    image = read_part10(path)
    with path.open("rb") as opened_file:
        opened_file.seek(image.dataset_offset)
        beginning = opened_file.read(HEADER_BYTES)
        header = scan_head(beginning, image.transfer_syntax_uid, extra=extra)
        if header is None:
            header = scan(beginning + opened_file.read(), image.transfer_syntax_uid, extra=extra)
    return {**header.values, "TransferSyntaxUID": image.transfer_syntax_uid}


def of_arrival(options: Options, number: int, configuration: RoutingConfiguration) -> Tried:
    """An arrival as it came in: from the spool, or from the ledger once it is gone. Raises NotFound, LedgerUnavailable."""
    settings = options.settings()
    case = _of_spool(options, number, settings)
    if case is not None:
        from protocol.routing.trying import untold_lines

        notes = untold_lines(configuration, case, routing_of(settings))
        return Tried(f"arrival {number}, {count(len(case.subject.images))}", case, notes)
    from protocol.ledger.asking import recorded_case

    case, notes = recorded_case(
        settings.ledger.url, settings.node.name, number, configuration, settings.node.zone, routing_of(settings)
    )
    return Tried(f"arrival {number} of the ledger, {count(len(case.subject.images))}", case, notes)


def _of_spool(options: Options, number: int, settings: Settings) -> Case | None:
    """None if the spool does not know it, or only by its name any more."""
    from actors.router.verdicts import case_of
    from protocol.errors import NotFound, SpoolMissing

    try:
        with opened(options, reading=True) as (_, spool):
            headers = spool.arrivals.subject(number)
    except (NotFound, SpoolMissing):
        return None
    return case_of(headers, settings.node.zone) if headers.differing and headers.common else None


def received_at(text: str | None, zone: tzinfo | None) -> float:
    """A time of receipt as a person writes it, without a zone by the node's clock; seconds UTC."""
    if text is None:
        return time.time()
    try:
        at = datetime.fromisoformat(text)
    except ValueError as exc:
        raise click.BadParameter(f"{text!r} is no ISO 8601 time", param_hint="--received") from exc
    return (at if at.tzinfo else at.replace(tzinfo=zone) if zone else at.astimezone()).timestamp()


def count(images: int) -> str:
    """`1 image`, `20 images`."""
    return f"{images} image" + ("" if images == 1 else "s")


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*") if one.is_file())
        else:
            yield path
