"""Carries out what people asked of the router; every command is answered once, whatever goes wrong.
It must not let one command stop the others or repeat itself: what fails is answered with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.router import selftests
from actors.router.arguments import Arguments
from actors.router.patience import Patience, for_everybody, where
from actors.router.queue import QueueActs
from actors.router.routing import Routing
from actors.router.series import SeriesActs
from actors.router.singles import Singles
from protocol import selftest
from protocol.clock import Clock
from protocol.errors import NotFound, SpoolError, StepRefused
from protocol.spool import Spool
from protocol.spool.commands import Command

EXECUTOR = "router"
AT_ONCE = 50


class Commands:
    """The router's desk."""

    def __init__(self, spool: Spool, routing: Routing, singles: Singles, clock: Clock, log: Any) -> None:
        self._spool, self._log = spool, log
        self._patience = Patience()
        series, queue = SeriesActs(spool, routing, singles, clock, log), QueueActs(spool, routing, clock)
        self._acts: dict[str, Callable[[Command], bool | None]] = {
            **{f"series.{act}": series.act for act in ("route", "reroute", "hold", "release", "discard", "keep")},
            **{f"queue.{act}": queue.act for act in ("retry", "hold", "release", "cancel", "priority", "redirect")},
            "target.pause": queue.pause,
            "target.resume": queue.resume,
            "act.stop": lambda command: spool.commands.stop(Arguments(command).act(), command.id, command.by),
            "node.drain": lambda command: spool.draining.begin(command.id),
            "node.resume": lambda command: spool.draining.end(command.id),
            selftest.BEGIN: lambda command: selftests.begin(spool, routing, command),
            "commitment.retry": lambda command: spool.commitments.retry(Arguments(command).commitment(), command.id),
        }

    def round(self) -> tuple[int, bool]:
        """Carry out what waits: how many were looked at, and whether a long one is not finished yet."""
        waiting = self._spool.commands.pending(EXECUTOR, AT_ONCE)
        finished = [self._one(command) for command in waiting]
        return len(waiting), len(waiting) == AT_ONCE or not all(finished)

    def _one(self, command: Command) -> bool:
        act = self._acts.get(command.kind)
        try:
            if act is None:
                raise StepRefused(f"the router cannot do {command.kind}")
            if act(command) is False:
                self._patience.forget(command.id)  # a part went well
                return False
        except (StepRefused, NotFound) as exc:
            self._fail(command, str(exc))
        except Exception as exc:
            self._unexpected(command, exc)
        else:
            self._patience.forget(command.id)
            self._log.info("command_done", command=command.id, kind=command.kind, by=command.by)
        return True

    def _unexpected(self, command: Command, exc: Exception) -> None:
        if for_everybody(exc):
            raise exc
        self._log.error("command_broke", command=command.id, kind=command.kind, error=where(exc))
        if isinstance(exc, SpoolError) and not self._patience.failed(command.id):
            return  # a busy database, say: once more in the next pass
        progress = self._spool.commands.find(command.id).progress
        changed = f"{progress.done} were done before" if progress is not None else "nothing was changed"
        words = f"it went wrong inside ({type(exc).__name__}); {changed}, the router's log says where"
        self._fail(command, words)

    def _fail(self, command: Command, answer: str) -> None:
        self._patience.forget(command.id)
        try:
            self._spool.commands.fail(command.id, answer)
        except NotFound:
            return  # answered already: its effect was committed before whatever failed
        self._log.info("command_failed", command=command.id, kind=command.kind, by=command.by, answer=answer)
