"""The process of a child that an actor starts and may start again: settings, log, and an end whose code says why.
It must not know what the child does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from actors.life import end_now
from actors.log import Wanted, configure
from protocol.errors import ConfigurationError, DiskFailed, SpoolError
from protocol.loglevel import place
from protocol.settings import Settings, load_settings

EXIT_FAILED = 1
EXIT_SPOOL = 75  # EX_TEMPFAIL of sysexits.h: the spool failed us, not what the child worked on
EXIT_CONFIGURATION = 78  # EX_CONFIG of sysexits.h


def run(actor: str, file: str, work: Callable[[Settings, Any], None], **told: object) -> int:
    """Let `work` work, with the settings and a log; returns the exit code of an orderly end, every other one is immediate.

    Args:
        actor: the kind that the log names.
        file: name of the log file.
        told: values that stand in each of its lines.
    """
    try:
        settings = load_settings()
    except ConfigurationError as exc:
        print(f"scanpost: {exc}", file=sys.stderr)
        return EXIT_CONFIGURATION
    log = configure(actor, settings.log_folder / file, Wanted(place(settings, actor), actor), **told)
    try:
        work(settings, log)
        return 0
    except DiskFailed as exc:
        log.critical("disk_failed", reason=str(exc), exc_info=True)
        return end_now(EXIT_SPOOL)
    except SpoolError as exc:
        log.error("process_failed", reason=str(exc), kind=type(exc).__name__)
        return end_now(EXIT_SPOOL)
    except BaseException:
        log.critical("process_failed", exc_info=True)
        return end_now(EXIT_FAILED)
