"""The node as pages ask it: its spool, its ledger, its routing; acts of people. It must not know HTTP.

Everything blocks and runs in threads: few, with an open spool each, and others for the ledger, so that a database that
hangs holds up no page that does not need it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from protocol.clock import Clock
from protocol.errors import LedgerUnavailable, SpoolMissing
from protocol.fsops import RealFs
from protocol.ledger.engine import Connection, reader, reading
from protocol.routing.versions import RoutingVersions
from protocol.settings import Settings
from protocol.spool import Spool, open_spool
from protocol.spool.commands import Command
from protocol.spool.places import Places

T = TypeVar("T")
THREADS = 4
LEDGER_WAIT_S = 10.0
"""So long a page waits for the ledger; then it is shown without."""
ANSWER_WAIT_S = 5.0
LOOK_S = 0.03
KEPT_PARTS = 10_000  # of versions of the routing: people look through their history


class Node:
    """Opens what it needs at the first question, so that the page may be there before the spool is."""

    def __init__(self, settings: Settings, clock: Clock, poke: Callable[[], None] = lambda: None) -> None:
        """`poke` tells the bus that something was committed; it may come to nothing."""
        self.settings, self.clock, self.places = settings, clock, Places(settings.home)
        self.routing = RoutingVersions(self.places.routing, RealFs(), clock, KEPT_PARTS)
        self._poke = poke
        self._here = threading.local()
        self._spools: list[Spool] = []
        self._lock = threading.Lock()
        self._spool_threads = ThreadPoolExecutor(THREADS, "page-spool")
        self._ledger_threads = ThreadPoolExecutor(THREADS, "page-ledger")
        self._engine = reader(settings.ledger.url)

    @property
    def name(self) -> str:
        """The node's name, under which the ledger has its rows."""
        return self.settings.node.name

    async def run(self, call: Callable[[], T]) -> T:
        """Something else that blocks (files)."""
        return await asyncio.get_running_loop().run_in_executor(self._spool_threads, call)

    async def spool(self, call: Callable[[Spool], T]) -> T:
        """Ask the spool. Raises SpoolMissing, SpoolNewer, and what the call raises."""
        return await self.run(lambda: call(self._open()))

    async def ledger(self, call: Callable[[Connection], T]) -> T:
        """Ask the ledger, on a connection that cannot change anything. Raises LedgerUnavailable, also if it takes too long."""

        def ask() -> T:
            with reading(self._engine) as connection:
                return call(connection)

        asked = asyncio.get_running_loop().run_in_executor(self._ledger_threads, ask)
        try:
            return await asyncio.wait_for(asked, LEDGER_WAIT_S)
        except TimeoutError as exc:
            raise LedgerUnavailable(f"no answer for {LEDGER_WAIT_S:.0f} s") from exc

    async def nudge(self) -> None:
        """Something was committed: who waits need not wait for its next look."""
        await self.run(self._poke)

    async def act(
        self, kind: str, by: str, arguments: Mapping[str, Any], executor: str = "router", wait_s: float = ANSWER_WAIT_S
    ) -> Command:
        """Write down what somebody wants and wait a while for the answer; its state is "new" if there is none yet."""
        id = await self.spool(lambda spool: spool.commands.ask(kind, by, arguments, executor))
        await self.nudge()
        end = self.clock.monotonic() + wait_s
        while True:
            command = await self.spool(lambda spool: spool.commands.find(id))
            if command.state != "new" or self.clock.monotonic() >= end or not await self._runs(executor):
                return command
            await asyncio.sleep(LOOK_S)

    async def _runs(self, executor: str) -> bool:
        return await self.spool(lambda spool: spool.fs.is_locked(spool.places.run / f"{executor}.lock"))

    def close(self) -> None:
        """Let go of everything; a database that hangs is left alone."""
        for threads in (self._spool_threads, self._ledger_threads):
            threads.shutdown(wait=threads is self._spool_threads, cancel_futures=True)
        for spool in self._spools:
            spool.close()
        self._spools.clear()
        self._engine.dispose()

    def _open(self) -> Spool:
        spool: Spool | None = getattr(self._here, "spool", None)
        if spool is None:
            if not self.places.database.exists():
                raise SpoolMissing("there is no spool here yet; `scanpost up` makes it")
            settings = self.settings
            spool = open_spool(settings.home, source=f"/{settings.node.name}/webgui/0", clock=self.clock,
                               durability=settings.receiver.durability)  # fmt: skip
            self._here.spool = spool
            with self._lock:
                self._spools.append(spool)
        return spool
