"""Takes an upload in: the files of a request to disk as they come, each placed in the spool as soon as it is whole.
It must not know pages. Two uploads at a time; each has a thread, a folder and an association of its own.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import BodyPartReader, web

from protocol.errors import StepRefused
from protocol.routing.sources import source_for
from protocol.spool import Spool, open_spool
from webgui.areas.upload.archives import TooMuch, is_zip, members
from webgui.areas.upload.placing import CALLING_AE, Placed, Placing, Terms
from webgui.inputs import Invalid
from webgui.node import Node

T = TypeVar("T")
AT_ONCE = 2
MOST_FILES = 50_000
MOST_BYTES = 64 * 10**9
"""Of one upload, unpacked."""
KEPT_RESULTS = 2000
"""Files that the answer names one by one; what went wrong first."""
LONGEST_NAME = 200
STALE_S = 86_400.0
PIECE = 1 << 20


@dataclass
class Report:
    """What became of an upload: counts by outcome, files with outcome and reason, the series that they are in."""

    counts: Counter[str] = field(default_factory=Counter)
    files: list[dict[str, Any]] = field(default_factory=list)
    series: set[int] = field(default_factory=set)
    bytes: int = 0

    def add(self, name: str, placed: Placed) -> None:
        """One file more."""
        self.counts[placed.outcome] += 1
        if placed.series:
            self.series.add(placed.series)
        good = placed.outcome in ("stored", "duplicate")
        if not good or sum(self.counts.values()) <= KEPT_RESULTS:
            self.files.append({"name": name[-LONGEST_NAME:], "outcome": placed.outcome, "reason": placed.reason,
                               "series": placed.series or None})  # fmt: skip
        if len(self.files) > 2 * KEPT_RESULTS:
            self.files = self.files[-KEPT_RESULTS:]

    def plain(self) -> dict[str, Any]:
        """For programs."""
        bad = [one for one in self.files if one["outcome"] not in ("stored", "duplicate")]
        rest = [one for one in self.files if one["outcome"] in ("stored", "duplicate")]
        return {"counts": dict(self.counts), "series": sorted(self.series), "bytes": self.bytes,
                "files": [*bad, *rest][:KEPT_RESULTS], "total": sum(self.counts.values())}  # fmt: skip


class Uploads:
    """The uploads of this process."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(AT_ONCE)

    async def take(self, request: web.Request, node: Node, address: str) -> Report:
        """Raises StepRefused (drained, no room, too many at once), Invalid (nothing, or more than an upload may have)."""
        if not request.content_type.startswith("multipart/"):
            raise Invalid({"files": "send the files as multipart/form-data"})
        if self._room.locked():
            raise StepRefused("others are uploading; try again in a minute")
        async with self._room:
            one = await Upload.begin(node, address)
            try:
                return await one.run(request)
            finally:
                await one.end()


class Upload:
    """One of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, "upload")
        self._spool: Spool | None = None
        self._placing: Placing | None = None
        self._whole = False
        self.report = Report()

    @classmethod
    async def begin(cls, node: Node, address: str) -> Upload:
        """Opens its association. Raises StepRefused."""
        made = cls(node.places.home / "uploads" / f"{time.time_ns():x}")
        configuration = (await node.run(node.routing.current)).configuration
        receiver, match = node.settings.receiver, source_for(configuration.sources, CALLING_AE, address)
        source = configuration.sources.get(match.name) if match.name else None
        if source is not None and not source.accept:
            await made.end()
            raise StepRefused(f"source {match.name} may not send here, and uploads are its")
        terms = Terms(address, receiver.ae_title, match.name, source.charset if source else None, configuration.keywords,
                      int(node.settings.spool.reserve_gb * 1e9), int(receiver.max_object_gb * 1e9))  # fmt: skip
        try:
            await made._run(lambda: made._open(node, terms))
        except BaseException:
            await made.end()
            raise
        return made

    def _open(self, node: Node, terms: Terms) -> None:
        settings = node.settings
        _sweep(self._folder.parent)
        self._folder.mkdir(mode=0o700, parents=True)
        self._spool = open_spool(settings.home, source=f"/{settings.node.name}/webgui/upload", clock=node.clock,
                                 durability=settings.receiver.durability)  # fmt: skip
        self._placing = Placing(self._spool, terms)

    async def run(self, request: web.Request) -> Report:
        """All files of the request."""
        reader = await request.multipart()
        try:
            while (part := await reader.next()) is not None:
                if isinstance(part, BodyPartReader) and part.filename:
                    path = self._folder / "file"
                    await self._save(part, path)
                    await self._run(partial(self._place, part.filename, path))
        except TooMuch as exc:
            raise Invalid({"files": f"{exc}; what came before it was stored"}) from exc
        self._whole = True
        if not self.report.counts:
            raise Invalid({"files": "choose at least one file"})
        return self.report

    async def end(self) -> None:
        """Ends the association and removes what was written for the time being."""
        await self._run(self._close)
        self._thread.shutdown(wait=False)

    def _close(self) -> None:
        try:
            if self._placing is not None:
                self._placing.close(self._whole)
        finally:
            if self._spool is not None:
                self._spool.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _save(self, part: BodyPartReader, path: Path) -> None:
        assert self._placing is not None
        with path.open("wb") as file:
            while piece := await part.read_chunk(PIECE):
                self._count(len(piece))
                await self._run(partial(file.write, piece))
        await self._run(partial(self._placing.check_room, 0))

    def _count(self, size: int) -> None:
        self.report.bytes += size
        if self.report.bytes > MOST_BYTES:
            raise TooMuch(f"one upload may have {MOST_BYTES / 1e9:g} GB, unpacked")

    def _place(self, name: str, path: Path) -> None:
        assert self._placing is not None
        if not is_zip(path):
            self._one(name, path, "")
            return
        self.report.bytes -= path.stat().st_size  # what is in it counts
        inner = path.with_name("member")
        for member, problem in members(path, inner, self._unpacked):
            self._one(f"{name}/{member}", inner, problem)

    def _unpacked(self, size: int) -> None:
        assert self._placing is not None
        self._count(size)
        self._placing.check_room(size)

    def _one(self, name: str, path: Path, problem: str) -> None:
        assert self._placing is not None
        if sum(self.report.counts.values()) >= MOST_FILES:
            raise TooMuch(f"one upload may have {MOST_FILES} files")
        if not problem and is_zip(path) and path.name == "member":
            problem = "an archive inside an archive is not opened"
        self.report.add(name, Placed("skipped", problem) if problem else self._placing.place(path))

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


def _sweep(folder: Path) -> None:
    """Remove what uploads left that died long ago."""
    with suppress(OSError):
        for one in folder.iterdir():
            if time.time() - one.stat().st_mtime > STALE_S:
                shutil.rmtree(one, ignore_errors=True)


UPLOADS = web.AppKey("uploads", Uploads)
