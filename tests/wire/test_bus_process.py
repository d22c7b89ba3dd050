"""The bus as a process of its own: killed, replaced by its standby, missed by nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from wire_fakes import closing, fact, settings_of

from protocol.spool import open_spool
from protocol.wire.bus import connect_wire
from protocol.wire.lanes import endpoints
from protocol.wire.tap import tap


@contextmanager
def bus_process(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "actors", "bus"]
    process = subprocess.Popen(command, env={**os.environ, "SCANPOST_HOME": str(home)}, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_kill_9_and_standby_cost_a_tap_nothing(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    spool = open_spool(tmp_path, create=True)
    teller = connect_wire("cleaner", "0", settings)
    with closing(teller, spool), bus_process(tmp_path) as first:
        with tap(endpoints(settings), ["sys.head"], count=1, timeout_s=60) as beacon:
            assert next(beacon)  # a tap begins where the bus that answers it is
        listening = tap(endpoints(settings), ["rule.*"], count=30, timeout_s=60)
        with closing(listening), bus_process(tmp_path) as standby:
            heard = []
            for number in range(30):
                if number == 10:
                    first.send_signal(signal.SIGKILL)
                    first.wait()
                spool.outbox.record(fact(number))
                teller.committed()
                if number in (5, 25):
                    heard += [next(listening).data["arrival"] for _ in range(number + 1 - len(heard))]
            heard += [one.data["arrival"] for one in listening]
            assert sorted(heard) == list(range(30))
            assert heard[:6] == list(range(6))
            standby.send_signal(signal.SIGTERM)
            assert standby.wait(60) == 0
