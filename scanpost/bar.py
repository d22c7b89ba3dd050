"""Progress bars: of `scanpost send` (images, bytes, rate), and of work that is counted; drawn only where somebody looks.
They must not know what the work is.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

if TYPE_CHECKING:
    from actors.dicom.bulk import FileReport


class Bar:
    """Draws on stderr while its `with` lasts."""

    def __init__(self, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[done]}/{task.fields[images]} images"), BarColumn(), DownloadColumn(),
            TransferSpeedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[failed]}"),
            console=console or Console(stderr=True), transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("send", total=None, done=0, images="?", failed="")
        self._done = self._failed = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._progress.stop()

    def found(self, images: int, size: int) -> None:
        self._progress.update(self._task, total=size, images=images)

    def moved(self, size: int) -> None:
        self._progress.advance(self._task, size)

    def ended(self, file: FileReport) -> None:
        self._done += file.ok
        self._failed += not file.ok
        failed = f"[red]{self._failed} failed" if self._failed else ""
        self._progress.update(self._task, done=self._done, failed=failed)


class CountBar:
    """Draws how much of some work is done, on stderr while its `with` lasts; nothing where nobody looks."""

    def __init__(self, what: str, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.completed}/{task.total} " + what), BarColumn(), TimeRemainingColumn(), console=console,
            transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._task = self._progress.add_task(what, total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._progress.stop()

    def done(self, count: int, total: int) -> None:
        """So much of it; may be called from any thread."""
        self._progress.update(self._task, completed=count, total=total)
