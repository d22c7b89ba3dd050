"""A self-test as a process of its own: `python -m actors.selftest` reads what to do as one line of JSON, sends a synthetic study to
this node by C-STORE, follows it through the spool, has it cleared away, and tells each step as a line of JSON.
It must not change anything but by commands, as a person would.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from protocol import selftest
from protocol.clock import Clock, SystemClock
from protocol.errors import ScanpostError
from protocol.settings import Settings, load_settings
from protocol.spool import Spool, open_spool
from protocol.spool.commands import Command
from protocol.states import CommandState

IMAGES = 5
ANSWER_S, SEND_S, LOOK_S = 15.0, 60.0, 0.05
UNFINISHED = ("waiting", "sending", "retrying", "confirming")
Tell = Callable[[dict[str, Any]], None]


class Failed(Exception):
    """The test cannot go on; the text says why."""


class SelfTest:
    """One test. `steps` grows while it runs: name, title, ok, seconds, text."""

    def __init__(self, settings: Settings, spool: Spool, by: str, target: str, tell: Tell, clock: Clock) -> None:
        self._settings, self._spool, self._by, self._tell, self._clock = settings, spool, by, tell, clock
        self._target, self._study = target, selftest.fresh_study_uid()
        self._pause = threading.Event()
        self.arrival = 0
        self.steps: list[dict[str, Any]] = []

    def run(self) -> dict[str, Any]:
        """The whole way; what came of it as plain values."""
        error = ""
        try:
            self._begin()
            self._send()
            self._follow()
        except Failed as exc:
            error = str(exc)
        finally:
            self._end()
        return self.result(bool(self.steps) and all(step["ok"] for step in self.steps) and not error, error)

    def result(self, ok: bool | None, error: str = "") -> dict[str, Any]:
        """What is known so far; `ok` None: it goes on."""
        where = "the built-in sink" if self._target in ("", selftest.SINK) else self._target
        return {
            "ok": ok,
            "study_uid": self._study,
            "arrival": self.arrival,
            "target": where,
            "steps": self.steps,
            "error": error,
        }

    # ---- the way ----------------------------------------------------------------------------------------------------
    def _begin(self) -> None:
        began = self._clock.monotonic()
        command = self._ask(selftest.BEGIN, {"target": self._target}, "router")
        self._step("announced", "Announced", command.state is CommandState.DONE, self._clock.monotonic() - began,
                   command.answer or "the router does not answer: does it run?")  # fmt: skip

    def _send(self) -> None:
        from actors.dicom.bulk import send_files
        from actors.dicom.scu import Node
        from actors.selftest_images import write

        receiver = self._settings.receiver
        host = "127.0.0.1" if receiver.host in ("0.0.0.0", "::") else receiver.host
        with tempfile.TemporaryDirectory(prefix="scanpost-selftest-") as folder:
            files = write(Path(folder), self._study, IMAGES)
            began = self._clock.monotonic()
            report = send_files(Node(host, receiver.port, receiver.ae_title, selftest.CALLING_AE), files)
        took = self._clock.monotonic() - began
        why = next((one.message for one in report.files if not one.ok), "")
        text = f"{report.sent} of {len(files)} images by C-STORE" + (f": {why}" if why else "")
        self._step("received", "Received", report.sent == len(files), took, text)

    def _follow(self) -> None:
        """Each step as soon as the spool has it."""
        idle_s = max(self._settings.router.quiet_s, self._settings.router.idle_s)
        end = self._clock.monotonic() + idle_s + SEND_S
        while self._clock.monotonic() < end:
            story = self._story()
            if story is not None and self._seen(story):
                return
            self._pause.wait(LOOK_S)
        raise Failed(f"it did not come through within {idle_s + SEND_S:.0f} s")

    def _seen(self, story: dict[str, Any]) -> bool:
        """Tell what is new; whether that was the last."""
        arrival, decisions, deliveries = story["arrival"], story["decisions"], story["deliveries"]
        self.arrival = arrival["id"]
        if arrival["closed"] and not self._has("complete"):
            self._step("complete", "Complete", True, arrival["closed"] - arrival["last_image"], "no more images came")
        if decisions and not self._has("decided"):
            self._step(
                "decided",
                "Decided",
                True,
                decisions[0]["time"] - arrival["closed"],
                "the rules were asked, and do not count",
            )
        row = deliveries[0] if deliveries else None
        if row is None or row["state"] in UNFINISHED:
            return False
        took = (row["finished"] or self._clock.now()) - decisions[0]["time"]
        good = row["state"] == "delivered"
        self._step(
            "sent",
            "Sent",
            good,
            took,
            f"to {self.result(None)['target']}" if good else f"{row['state']}: {row['error']}",
        )
        return True

    def _end(self) -> None:
        """Nothing of it stays, whatever came of it."""
        began, story = self._clock.monotonic(), self._story()
        if story is None:
            return
        left = [one["id"] for one in story["deliveries"] if one["state"] not in ("delivered", "cancelled")]
        if left:
            self._ask_command("queue.cancel", {"ids": left, "reason": "self-test has ended"}, "router")
        told = ", ".join(f"{step['name']} {step['seconds']:.2f} s" for step in self.steps if step["ok"])
        command = self._ask(selftest.END, {"told": told}, "cleaner")
        self.steps.append({
            "name": "cleared", "title": "Cleared away", "ok": command.state is CommandState.DONE,
            "seconds": self._clock.monotonic() - began,
            "text": "" if command.state is CommandState.DONE else command.answer or "the cleaner does not answer: does it run?",
        })  # fmt: skip

    # ---- small things -----------------------------------------------------------------------------------------------
    def _has(self, name: str) -> bool:
        return any(step["name"] == name for step in self.steps)

    def _step(self, name: str, title: str, ok: bool, seconds: float, text: str) -> None:
        self.steps.append({"name": name, "title": title, "ok": ok, "seconds": max(0.0, seconds), "text": text})
        self._tell(self.result(None))
        if not ok:
            raise Failed(f"{title.lower()}: {text}")

    def _story(self) -> dict[str, Any] | None:
        found = self._spool.arrivals.list(study_uid=self._study, limit=1)
        return self._spool.arrivals.story(found[0]["id"], with_images=False) if found else None

    def _ask(self, kind: str, more: dict[str, Any], executor: str) -> Command:
        return self._ask_command(kind, {"study_uid": self._study, **more}, executor)

    def _ask_command(self, kind: str, arguments: dict[str, Any], executor: str) -> Command:
        id = self._spool.commands.ask(kind, self._by, arguments, executor)
        end = self._clock.monotonic() + ANSWER_S
        while (command := self._spool.commands.find(id)).state is CommandState.NEW and self._clock.monotonic() < end:
            self._pause.wait(LOOK_S)
        return command


def run(settings: Settings, by: str, target: str = "", tell: Tell = lambda told: None) -> dict[str, Any]:
    """One self-test to `target`, empty: the built-in sink; `tell` hears how far it is. Raises SpoolMissing."""
    clock = SystemClock()
    spool = open_spool(settings.home, source=f"/{settings.node.name}/selftest/0", clock=clock)
    try:
        return SelfTest(settings, spool, by, target, tell, clock).run()
    finally:
        spool.close()


def main() -> int:
    """The job on standard input: home, by, target."""

    def say(**told: Any) -> None:
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()

    try:
        wanted = json.loads(sys.stdin.readline())
        settings = load_settings(home=Path(wanted["home"]))
        say(result=run(settings, str(wanted["by"]), str(wanted["target"]), lambda told: say(result=told)))
    except (ScanpostError, ValueError, KeyError, TypeError) as exc:
        say(error=str(exc))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
