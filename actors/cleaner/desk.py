"""What people ask of the cleaner: to clean now, to let go of a quarantined object; each command is answered once.
It must not delete images itself, and no command shortens a retention: it can only lift the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from actors.cleaner.selftests import clear_away
from protocol import selftest
from protocol.errors import NotFound, OutOfSpace, StepRefused
from protocol.spool import Spool
from protocol.spool.commands import Command

EXECUTOR = "cleaner"
AT_ONCE = 50


@dataclass
class Cleaned:
    """What went since somebody asked."""

    arrivals: int = 0
    files: int = 0


class Desk:
    """The cleaner's commands. `asked`: somebody wants it to clean whatever the window, until nothing is left to go."""

    def __init__(self, spool: Spool, log: Any) -> None:
        self._spool, self._log = spool, log
        self._waiting: dict[int, Cleaned] = {}

    @property
    def asked(self) -> bool:
        return bool(self._waiting)

    def look(self) -> None:
        """Take what is new, and do at once what is quick. A command to clean waits until that is done; after a death it
        is found again, since it is answered last.
        """
        for command in self._spool.commands.pending(EXECUTOR, AT_ONCE):
            if command.kind == "clean.now":
                self._waiting.setdefault(command.id, Cleaned())
            else:
                self._at_once(command)

    def count(self, arrivals: int, files: int) -> None:
        """So much went."""
        for cleaned in self._waiting.values():
            cleaned.arrivals += arrivals
            cleaned.files += files

    def swept(self) -> None:
        """There is nothing more that may go."""
        for id, cleaned in list(self._waiting.items()):
            text = f"{cleaned.arrivals} series and {cleaned.files} files were deleted"
            self._answer(id, text if cleaned.arrivals or cleaned.files else "nothing may go yet")

    def refuse(self, why: str) -> None:
        """It cannot be done now."""
        for id in list(self._waiting):
            self._answer(id, why, failed=True)

    def _at_once(self, command: Command) -> None:
        try:
            if command.kind == selftest.END:
                clear_away(self._spool, command)
            elif command.kind == "quarantine.discard":
                self._spool.quarantine.discard(str(command.arguments.get("receipt", "")), command.id)
            else:
                raise StepRefused(f"the cleaner cannot do {command.kind}")
            self._log.info("command_done", command=command.id, kind=command.kind, by=command.by)
        except (StepRefused, NotFound) as exc:
            self._answer(command.id, str(exc), failed=True)
        except OutOfSpace as exc:  # nothing was changed; what makes room must not wait for it
            self._log.error("command_not_answered", command=command.id, error=str(exc))
        except OSError as exc:  # these files, not the disk (DiskFailed): asked for ever, they would keep all others
            self._answer(command.id, f"files cannot be removed: {exc.strerror}; the cleaner tries again", failed=True)

    def _answer(self, id: int, text: str, *, failed: bool = False) -> None:
        try:
            (self._spool.commands.fail if failed else self._spool.commands.finish)(id, text)
        except NotFound:
            pass  # answered already
        except OutOfSpace as exc:
            self._log.error("command_not_answered", command=id, error=str(exc))
            return  # next time
        self._waiting.pop(id, None)
        self._log.info("command_failed" if failed else "command_done", command=id, answer=text)
