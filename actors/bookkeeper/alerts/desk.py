"""Alerts as the bookkeeper has them: its parts in turn, each guarded, so that what one cannot answer stops none of the others.
It must never wait for a server, and nothing here may keep events from the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from actors.bookkeeper.alerts.calls import Step
from actors.bookkeeper.alerts.post import Post
from actors.bookkeeper.alerts.readings import Reader
from actors.bookkeeper.alerts.rules import Notifications
from actors.bookkeeper.alerts.trying import try_channel
from actors.bookkeeper.alerts.watch import Looks, Watch
from actors.bookkeeper.alerts.words import clock_words
from actors.bookkeeper.hand import Hand, ThreadHand
from actors.rhythm import REST_S
from protocol.errors import DiskFailed, OutOfSpace, SpoolError

if TYPE_CHECKING:
    from actors.base import Context
    from protocol.settings.alerts import Alerts as Limits
    from protocol.spool.commands import Command

WATCH_EVERY_S, RULES_EVERY_S, POST_EVERY_S = 10.0, 2.0, 2.0
LEAST_WATCH_S = 1.0
LETTERS_S = 5.0
"""So soon at least while a letter waits for its time."""
AGAIN_S = 30.0
"""After an error of a part."""
STOP_WAIT_S = 5.0
TEST = "alerts.test"
FAILED = "alerts.failed."


def watch_every_s(limits: Limits) -> float:
    """How often it is looked: no limit in seconds that somebody shortened may be longer by a look."""
    return min(WATCH_EVERY_S, max(LEAST_WATCH_S, min(limits.target_down_s, limits.clear_after_s, limits.actor_down_s)))


class Part:
    """Something that is done every so often, and left alone for a while after an error."""

    def __init__(self, name: str, every_s: float, work: Callable[[], None]) -> None:
        self.name, self.every_s, self.work = name, every_s, work
        self.due = float("-inf")
        self.failed = True  # a former process may have left its alert


class AlertDesk:
    """See the module. One thread calls."""

    def __init__(self, context: Context, *, reader: Looks | None = None, post: Post | None = None) -> None:
        self._context = context
        when = clock_words(context.settings.node.zone)
        self._notifications = Notifications(context)
        self._post = post or Post(context, when)
        watch = Watch(context, reader or Reader(context), when)
        every_s = watch_every_s(context.settings.alerts)
        self._rest_s = every_s if every_s < WATCH_EVERY_S else REST_S
        self._tester: Hand = ThreadHand(context.wire.wake)
        self._trying: Command | None = None
        self._parts = (
            Part("watch", every_s, lambda: watch.look(self._notifications.unset)),
            Part("rules", RULES_EVERY_S, self._notifications.round),
            Part("tell", every_s, watch.tell),
            Part("post", POST_EVERY_S, self._post.round),
            Part("test", 1.0, self._tests),
        )

    def round(self) -> None:
        """Whatever is due. Lets through only what has to end the process (DiskFailed)."""
        for part in self._parts:
            now = self._context.clock.monotonic()
            if now < part.due and not (part.name == "post" and self._post.busy):
                continue
            try:
                part.work()
                part.due = now + part.every_s
                self._works(part)
            except (DiskFailed, MemoryError):
                raise
            except OutOfSpace as exc:
                part.due = now + AGAIN_S
                self._context.log.warning("alerts_not_recorded", part=part.name, error=str(exc))
            except Exception:
                part.due = now + AGAIN_S
                self._context.log.error("alerts_failed", part=part.name, exc_info=True)
                self._fails(part)

    @property
    def patience_s(self) -> float:
        """After how many seconds the next round is to come, at the latest, if nothing is committed."""
        return min(self._rest_s, LETTERS_S) if self._post.waiting else self._rest_s

    def _fails(self, part: Part) -> None:
        """Who looks for trouble and cannot is trouble, and the other parts tell it."""
        part.failed = True
        text = f"the part of the bookkeeper for alerts that is called {part.name} fails; see log/bookkeeper.log"
        with suppress(SpoolError):
            self._context.spool.notices.raise_alert(FAILED + part.name, text)

    def _works(self, part: Part) -> None:
        if part.failed:
            part.failed = False
            self._context.spool.notices.clear_alert(FAILED + part.name)

    def stop(self) -> None:
        """Let letters on their way arrive; whoever takes longer gets them again from the next process."""
        self._post.wait(STOP_WAIT_S)

    # ---- tests of a channel that the page asks for ------------------------------------------------------------------
    def _tests(self) -> None:
        if self._trying is not None:
            self._finish(self._trying)
            return
        pending = self._context.spool.commands.pending("bookkeeper")
        command = next((one for one in pending if one.kind == TEST), None)
        if command is not None:
            self._trying = command
            settings, channel = self._context.settings, str(command.arguments.get("channel", ""))
            self._tester.give(partial(try_channel, settings.alerts, settings.node.name, channel))

    def _finish(self, command: Command) -> None:
        if self._tester.busy:
            return
        self._trying = None
        try:
            steps = self._tester.take()
        except Exception as exc:
            steps = [Step("test", False, 0.0, f"internal error: {type(exc).__name__}")]
        answer = json.dumps({"ok": all(one.ok for one in steps), "steps": [one.__dict__ for one in steps]})
        if all(one.ok for one in steps):
            self._context.spool.commands.finish(command.id, answer)
        else:
            self._context.spool.commands.fail(command.id, answer)
