"""Backtests and target tests as processes of their own: started, watched, ended; a few at a time, and their results kept for a while.
It must not know HTTP or rules; a job that nobody ends is ended after its time.
"""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from protocol.clock import Clock

COMMAND = (sys.executable, "-m", "protocol.ledger.trial_job")
LADDER = (sys.executable, "-m", "actors.targets.ladder_job")
SELF_TEST = (sys.executable, "-m", "actors.selftest")
AT_ONCE = 2
"""Jobs of all users together: each takes the cores for seconds that the node needs, too."""
KEPT = 20
KEPT_S = 3600.0
LONGEST_S = 900.0
END_S = 5.0
LINE_LIMIT = 32 << 20  # the result is one line


class JobRefused(Exception):
    """Not now: this user has one, or too many are under way."""


@dataclass
class Job:
    """One job. `state` is running, done, failed or cancelled."""

    id: str
    owner: str
    begun: float
    state: str = "running"
    done: int = 0
    total: int = 0
    result: dict[str, Any] | None = None
    error: str = ""
    process: asyncio.subprocess.Process | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def to_data(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "id": self.id, "state": self.state, "done": self.done, "total": self.total, "result": self.result,
            "error": self.error,
        }  # fmt: skip


class Jobs:
    """The jobs of this process. Only for its event loop."""

    def __init__(self, clock: Clock, command: Sequence[str] = COMMAND, noun: str = "backtest") -> None:
        self._clock, self._command, self._noun = clock, command, noun
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    async def start(self, owner: str, line: str) -> Job:
        """Give a new process its job. Raises JobRefused."""
        self._forget()
        running = [job for job in self._jobs.values() if job.state == "running"]
        if any(job.owner == owner for job in running):
            raise JobRefused(f"you have a {self._noun} under way; wait for it, or cancel it")
        if len(running) >= AT_ONCE:
            raise JobRefused(f"too many {self._noun}s are under way; try again in a minute")
        job = Job(uuid.uuid4().hex, owner, self._clock.monotonic())
        self._jobs[job.id] = job
        job.task = asyncio.create_task(self._run(job, line))
        return job

    def find(self, id: str, owner: str) -> Job | None:
        """A job of this user."""
        self._forget()
        job = self._jobs.get(id)
        return job if job is not None and job.owner == owner else None

    async def cancel(self, job: Job) -> None:
        """End it; its result, if it has one, is forgotten."""
        if job.state == "running":
            job.state = "cancelled"
            if job.task is not None:
                job.task.cancel()
                await asyncio.gather(job.task, return_exceptions=True)
        self._jobs.pop(job.id, None)

    async def close(self) -> None:
        """End all."""
        for job in list(self._jobs.values()):
            await self.cancel(job)

    async def _run(self, job: Job, line: str) -> None:
        try:
            async with asyncio.timeout(LONGEST_S):
                await self._listen(job, line)
        except TimeoutError:
            job.error = f"it took longer than {LONGEST_S / 60:.0f} minutes"
        except (OSError, ValueError) as exc:
            job.error = f"it could not run: {type(exc).__name__}"
        finally:
            await _end(job.process)
            if job.state == "running":
                job.state = "done" if job.result is not None else "failed"
                job.error = job.error or ("" if job.result is not None else "it ended without a result")

    async def _listen(self, job: Job, line: str) -> None:
        pipe = asyncio.subprocess.PIPE
        job.process = await asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=pipe, limit=LINE_LIMIT)
        assert job.process.stdin is not None and job.process.stdout is not None
        job.process.stdin.write(line.encode() + b"\n")
        await job.process.stdin.drain()
        async for raw in job.process.stdout:
            told = json.loads(raw)
            job.done, job.total = told.get("done", job.done), told.get("total", job.total)
            job.result, job.error = told.get("result", job.result), told.get("error", job.error)

    def _forget(self) -> None:
        """Old results, and the oldest where there are too many."""
        now = self._clock.monotonic()
        over = [job for job in self._jobs.values() if job.state != "running"]
        for at, job in enumerate(reversed(over)):
            if at >= KEPT or now - job.begun > KEPT_S:
                del self._jobs[job.id]


async def _end(process: asyncio.subprocess.Process | None) -> None:
    """Ask it to end with its helpers, then make it."""
    if process is None or process.returncode is not None:
        return
    process.terminate()
    waiting = asyncio.ensure_future(process.wait())
    done, _ = await asyncio.wait([waiting], timeout=END_S)
    if not done:
        process.kill()
        await waiting
