"""Policies over several worker processes: what is counted is counted once, whoever serves, and whoever dies."""

from __future__ import annotations

import json
import select
from collections.abc import Iterator
from pathlib import Path

import pytest
from receiver_rig import HOST, RawSender, Rejected, dataset, publish
from test_receiver_process import Process

from protocol.spool import Cursor, open_spool
from tests.network.system import wait_until

pytestmark = pytest.mark.slow
ELSEWHERE = "127.0.0.2"
FOR_NOW = (2, 3, 2)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    open_spool(home, create=True).close()
    publish(home, {"sources": {"raw": {"calling_ae": "RAW", "max_associations": 3, "max_images_per_s": 0.1}}})
    return home


@pytest.fixture
def process(home: Path) -> Iterator[Process]:
    running = Process(
        home, RECEIVER__WORKERS="3", RECEIVER__MAX_ASSOCIATIONS="5", RECEIVER__ALLOW=json.dumps([HOST]),
        RECEIVER__MAX_ASSOCIATIONS_PER_ADDRESS="4",
    )  # fmt: skip
    yield running
    running.kill()


def reasons(home: Path) -> list[str]:
    spool = open_spool(home)
    try:
        found = [one for one in spool.outbox.read(Cursor(0, 0), 10_000) if one.type == "association.rejected"]
        return [one.data["reason"] for one in found]
    finally:
        spool.close()


def filled(home: Path) -> list[Path]:
    """Files with an image; those made ahead are empty."""
    return [file for file in home.rglob("*.dcm") if file.stat().st_size]


def test_limits_hold_over_all_workers_and_a_worker_that_dies_gives_its_places_back(
    home: Path, process: Process
) -> None:
    three = [RawSender(process.port) for _ in range(3)]  # one at each worker
    with pytest.raises(Rejected) as caught:
        RawSender(process.port)
    assert caught.value.args == FOR_NOW
    with RawSender(process.port, "OTHER"):
        with pytest.raises(Rejected) as caught:
            RawSender(process.port, "ANOTHER")
        assert caught.value.args == FOR_NOW
    process.workers()[0].kill()
    process.until("worker_died")
    process.once("mended")
    again = RawSender(process.port)
    with pytest.raises(Rejected):
        RawSender(process.port)
    for sender in (*three, again):
        sender.sock.close()
    said = reasons(home)
    assert said[0] == "source 'raw' has 3 associations open, its limit"
    assert said[1] == "127.0.0.1 has 4 associations open, the limit of an address"


def test_the_pace_of_a_source_is_one_over_all_workers_and_an_order_to_stop_ends_the_wait(
    home: Path, process: Process
) -> None:
    senders = [RawSender(process.port) for _ in range(3)]  # one at each worker
    for number, sender in enumerate(senders):
        uid = f"1.2.3.{number}".encode()
        sender.sock.sendall(sender.begin(uid, dataset(sop=uid)))
    spool = open_spool(home)
    try:
        wait_until(lambda: len(filled(home)) == 3, 60, "all three are here")  # rows follow the answers
        answered, _, _ = select.select([sender.sock for sender in senders], [], [], 20)
        assert len(answered) == 1, "the others wait for their turn, in ten seconds and in twenty"
        process.process.terminate()
        assert [sender.answer() for sender in senders] == [0, 0, 0]
        for sender in senders:
            sender.sock.close()
        process.process.wait(90)
        figures = spool.accounting.figures()
        assert (figures.received, figures.refused) == (3, 0)
    finally:
        spool.close()


def test_an_address_that_is_not_allowed_never_reaches_a_worker(home: Path, process: Process) -> None:
    with pytest.raises((EOFError, ConnectionError)):
        RawSender(process.port, address=ELSEWHERE)
    process.until("turned_away")
    RawSender(process.port).release()
    assert reasons(home) == ["the address is not in receiver.allow"]
