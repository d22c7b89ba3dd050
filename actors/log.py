"""Structured logs of an actor: one JSON object per line on stdout, which supervisord keeps in files.
No patient data and no free text out of DICOM at any level; every line has a fixed `action`.

Debug lines are written while somebody wants them (protocol/loglevel.py).
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from actors.unneeded import without
from protocol import loglevel

with without("rich"):  # for tracebacks in colour, which no log has: 65 ms and 4 MB for each process
    import structlog

# Libraries that quote values of the objects they read, or names made of them; their warnings may hold patient data.
_TALKATIVE = ("pydicom", "pynetdicom", "asyncssh")
LOOK_S = 1.0


class Wanted:
    """Whether debug lines of this actor are wanted now; looks into the file at most once a second, and never fails."""

    def __init__(
        self,
        file: Path,
        actor: str,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file, self._actor, self._now, self._monotonic = file, actor, now, monotonic
        self._look_at = float("-inf")
        self._found = False

    def __call__(self) -> bool:
        moment = self._monotonic()
        if moment >= self._look_at:
            self._look_at = moment + LOOK_S
            self._found = loglevel.read(self._file, self._actor, self._now()) is not None
        return self._found


class Output:
    """Stdout as long as somebody reads it; when supervisord died, the same file that supervisord wrote.

    An actor must outlive its supervisor: a broken pipe is no reason to fail.
    """

    def __init__(self, stream: TextIO, file: Path | None) -> None:
        self._stream: TextIO | None = stream
        self._file = file
        self._begun = ""  # of a line whose end is still to come; its logger holds a lock meanwhile

    def write(self, text: str) -> int:
        """A line goes out whole: other processes of the same actor write into the same pipe."""
        self._begun += text
        if self._begun.endswith("\n"):
            line, self._begun = self._begun, ""
            self._send(line)
        return len(text)

    def flush(self) -> None:
        """Every line is flushed."""

    def _send(self, text: str) -> None:
        if self._stream is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
                return
            except (OSError, ValueError):
                self._stream = None
                self._keep_stdout_quiet()
        if self._file is not None:
            self._append(text)

    def _append(self, text: str) -> None:
        assert self._file is not None
        try:
            with open(self._file, "a", encoding="utf-8") as file:
                file.write(text)
        except OSError:
            self._file = None  # a full disk: there is no place left to complain

    @staticmethod
    def _keep_stdout_quiet() -> None:
        # Whatever else prints in this process (and the flush at exit) must not meet the broken pipe again.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.close(null)


def _logger_class(wanted: Callable[[], bool]) -> Any:
    usual: Any = structlog.make_filtering_bound_logger(logging.DEBUG)

    class Logger(usual):  # type: ignore[misc]
        """Writes debug lines while they are wanted, and those `always`. A value that is a function is asked for only then."""

        def debug(self, event: str, *, always: bool = False, **values: Any) -> None:
            if always or wanted():
                told = {name: value() if callable(value) else value for name, value in values.items()}
                super().debug(event, **told)

    return Logger


def configure(program: str, file: Path | None = None, wanted: Callable[[], bool] = lambda: False, **fixed: Any) -> Any:
    """Set up logging of this process and return its logger: ``log.info("arrival_closed", arrival=12)``.

    Args:
        program: what the lines say under `actor`.
        file: where lines go when stdout is gone.
        wanted: whether debug lines are to be written now; asked for each, from any thread.
        fixed: more keys that every line has.
    """
    output = Output(sys.stdout, file)
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("action"),
        structlog.processors.JSONRenderer(default=str),
    ]
    structlog.configure(
        processors=shared,
        wrapper_class=_logger_class(wanted),
        logger_factory=structlog.PrintLoggerFactory(output),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    logger = structlog.get_logger().bind(actor=program, pid=os.getpid(), **fixed)
    _redirect_libraries(logger)
    return logger


def _redirect_libraries(logger: Any) -> None:
    """Warnings and errors of libraries that use the standard logging become lines of ours."""
    handler = _Bridge(logger)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
        warnings.filterwarnings("ignore", module=name)


class _Bridge(logging.Handler):
    """From the standard logging into structlog."""

    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        write = self._logger.error if record.levelno >= logging.ERROR else self._logger.warning
        write("library", library=record.name, text=record.getMessage(), exc_info=record.exc_info)
