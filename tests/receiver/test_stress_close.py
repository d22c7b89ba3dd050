"""Real processes against each other on one spool: images committed while others close, decide, claim and send."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from stress_roles import PER_SERIES, SERIES

from protocol.spool import open_spool

SCRIPT = Path(__file__).with_name("stress_roles.py")
ROOT = SCRIPT.parents[2]
pytestmark = pytest.mark.slow


class Role:
    def __init__(self, name: str, home: Path, durability: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), name, str(home), durability], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{SCRIPT.parent}"},
        )  # fmt: skip

    def ready(self) -> None:
        assert self.process.stdout is not None and self.process.stdout.readline() == "ready\n"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def result(self) -> Any:
        """Ends its stdin, which tells it to end, and reads what it did."""
        out, _ = self.process.communicate(timeout=90)
        assert self.process.returncode == 0
        return json.loads(out)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.mark.parametrize("durability", ["fsync", "relaxed"])
def test_every_image_is_in_exactly_one_arrival_and_is_sent_exactly_once(tmp_path: Path, durability: str) -> None:
    open_spool(tmp_path, create=True, durability=durability).close()
    roles = {name: Role(name, tmp_path, durability) for name in ("receive", "route", "send")}
    try:
        for role in roles.values():
            role.ready()
        for role in roles.values():
            role.go()
        received = roles["receive"].result()
        seen = {int(arrival): count for arrival, count in roles["route"].result().items()}
        sent = roles["send"].result()
    finally:
        for role in roles.values():
            role.kill()
    spool = open_spool(tmp_path)
    try:
        assert len(received) == SERIES * PER_SERIES
        arrivals = [spool.arrivals.story(one["id"]) for one in spool.arrivals.list(limit=10_000)]
        places = Counter(image["receipt"] for arrival in arrivals for image in arrival["images"])
        assert places == Counter(received.values()), "each in exactly one arrival, none lost, none invented"
        assert Counter(sent) == places, "each was claimed and sent exactly once"
        assert {story["arrival"]["id"]: len(story["images"]) for story in arrivals} == seen, "none joined after closing"
        assert len(arrivals) > SERIES, "nothing was ever closed while images came in: the test proved nothing"
        assert {story["arrival"]["state"] for story in arrivals} == {"delivered"}
        assert spool.accounting.balance(files=True) == []
    finally:
        spool.close()
