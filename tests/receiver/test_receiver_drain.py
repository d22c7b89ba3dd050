"""A node before maintenance: nobody new is let in, what is open may finish, over restarts, until somebody ends it."""

from __future__ import annotations

from pathlib import Path

import pytest
from receiver_rig import RawSender, Rejected, dataset, publish, receiver
from test_receiver_process import Process

from protocol.spool import Spool, open_spool
from tests.network.system import wait_until

pytestmark = pytest.mark.slow
FOR_NOW = (2, 3, 2)  # PS3.8 table 9-21: rejected transiently, presentation, local limit exceeded


def drain(spool: Spool, *, end: bool = False) -> None:
    command = spool.commands.ask("node.resume" if end else "node.drain", "ann", {"reason": "new disk"})
    (spool.draining.end if end else spool.draining.begin)(command)


def rejected(port: int, calling: str = "RAW") -> tuple[int, ...]:
    with pytest.raises(Rejected) as caught:
        RawSender(port, calling)
    return tuple(caught.value.args)


def test_new_associations_are_refused_for_now_and_an_open_one_goes_on(tmp_path: Path) -> None:
    with receiver(tmp_path / "home") as rig:
        with RawSender(rig.port) as sender:
            drain(rig.spool)
            assert not rig.spool.draining.state().shut
            rig.actor.one_pass([])
            assert rig.spool.draining.state().shut
            assert rejected(rig.port, "OTHER") == FOR_NOW
            assert sender.store(b"1.2.3.4", dataset()) == 0
            sender.release()
        rig.until(lambda: rig.spool.draining.left().associations == 0)
        assert [one["reason"] for one in rig.events("association.rejected")] == ["the node is being drained: new disk"]
        assert rig.spool.draining.left().arrivals == {"open": 1} and not rig.spool.draining.left().nothing
        drain(rig.spool, end=True)
        rig.actor.one_pass([])
        RawSender(rig.port).release()


def test_a_receiver_that_starts_while_the_node_is_drained_lets_nobody_in(tmp_path: Path) -> None:
    home = tmp_path / "home"
    spool = open_spool(home, create=True)
    drain(spool)
    spool.close()
    with receiver(home) as rig:
        assert rejected(rig.port) == FOR_NOW


def test_a_target_that_was_asked_for_storage_commitment_may_still_report(tmp_path: Path) -> None:
    target = {"type": "dicom", "host": "127.0.0.1", "port": 1, "called_ae": "PACS"}
    targets = {"pacs": {**target, "commitment": True}, "other": {**target, "called_ae": "OTHER"}}
    with receiver(tmp_path / "home", routing={"targets": targets}) as rig:
        drain(rig.spool)
        rig.actor.one_pass([])
        RawSender(rig.port, "PACS").release()
        assert rejected(rig.port, "OTHER") == FOR_NOW


def test_several_workers_are_all_told_by_the_one_that_counts(tmp_path: Path) -> None:
    home = tmp_path / "home"
    spool = open_spool(home, create=True)
    publish(home, {"sources": {"raw": {"calling_ae": "RAW"}}})
    process = Process(home, RECEIVER__WORKERS="2")
    try:
        RawSender(process.port).release()
        drain(spool)

        def refused() -> bool:
            try:
                RawSender(process.port).release()
            except Rejected as exc:
                return exc.args == FOR_NOW
            return False

        wait_until(refused, 60, "two workers refuse")
        assert [rejected(process.port) for _ in range(4)] == [FOR_NOW] * 4
    finally:
        process.kill()
        spool.close()
