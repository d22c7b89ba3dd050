"""Ways in which other routers fail at their door (known-failures 24, 38, 44), over real sockets. Names say the scenario."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from receiver_rig import HOST, RawSender, Rejected, dataset, receiver, send

from protocol.testing.images import TestImage

pytestmark = pytest.mark.slow
ELSEWHERE = "127.0.0.2"
EVIL = "$(touch pwned);`id`"


def test_24_one_malformed_dataset_in_a_series_does_not_end_the_association_or_cost_another_image(
    tmp_path: Path,
) -> None:
    malformed = [
        b"\x08\x00\x16\x00UI\xff\x7fnonsense",
        b"",
        dataset()[:-7],
        dataset(series=None),
        b"\x08\x00\x05\x00SQ\0\0\xff\xff\xff\xff" * 2000,
        bytes(10_000),
    ]
    with receiver(tmp_path / "home") as rig, RawSender(rig.port) as sender:
        for number, bad in enumerate(malformed, 1):
            uid = f"1.2.3.{number}".encode()
            assert sender.store(uid, bad) == 0
            assert sender.store(uid, dataset(sop=uid)) == 0
        sender.release()
        assert rig.until_closed() == ["released"]
        assert set(rig.stored()) == {f"1.2.3.{number}" for number in range(1, len(malformed) + 1)}
        assert rig.spool.arrivals.open_ones()[0].images == len(malformed)
        assert rig.spool.accounting.figures().images["quarantined"] == len(malformed) and rig.healthy()


def test_38_nothing_that_a_peer_says_or_is_called_reaches_a_shell_or_a_name_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def trap(name: str) -> Any:
        def called(*args: Any, **more: Any) -> Any:
            asked.append(name)
            raise OSError(name)

        return called

    monkeypatch.chdir(tmp_path)
    with receiver(tmp_path / "home", receiver__unknown_sources="accept") as rig:
        for place, names in ((socket, ("gethostbyaddr", "getnameinfo", "getfqdn", "gethostbyname", "getaddrinfo")),
                             (os, ("system", "popen", "posix_spawn", "execve", "fork")), (subprocess, ("Popen",))):  # fmt: skip
            for name in names:
                monkeypatch.setattr(place, name, trap(name))
        sock = socket.socket()
        sock.connect((HOST, rig.port))  # the test itself must not ask for an address either
        monkeypatch.setattr(socket, "create_connection", lambda *args, **more: sock)
        with RawSender(rig.port, EVIL[:16], called=EVIL[:16]) as sender:
            assert sender.store(b"1.2.3.4", dataset()) == 0
            for uid in (b"$(touch pwned)", b"`id`", b"../../x;reboot", b"|sh"):
                assert sender.store(uid, dataset(sop=uid)) == 0
            sender.release()
        assert rig.until_closed() == ["released"]
        (opened,) = rig.events("association.opened")
        assert opened["calling_ae"] == EVIL[:16] and opened["address"] == HOST
        assert rig.spool.accounting.figures().images["quarantined"] == 4
    assert asked == [] and not (tmp_path / "pwned").exists()


def test_44_slow_loris_and_thousands_of_connections_end_in_time_and_keep_no_scanner_out(tmp_path: Path) -> None:
    with receiver(tmp_path / "home", receiver__acse_timeout_s=3.0) as rig, rig.associate("CT1") as early:
        silent = socket.create_connection((HOST, rig.port), timeout=60)
        dripping = socket.create_connection((HOST, rig.port), timeout=60)
        over = threading.Event()

        def drip() -> None:
            for byte in b"\x01\x00\x00\x00\x00\xff" + bytes(255):
                try:
                    dripping.send(bytes((byte,)))
                except OSError:
                    return
                if over.wait(0.05):
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        before, flood = threading.active_count(), list[socket.socket]()
        try:
            assert send(early, TestImage(instance=1), tmp_path) == 0
            for number in range(2000):
                flood.append(socket.create_connection((HOST, rig.port), timeout=60, source_address=(ELSEWHERE, 0)))
                if number % 400 == 399:
                    assert send(early, TestImage(instance=number), tmp_path) == 0, "one that was there before"
                    with rig.associate("CT2") as late:
                        assert send(late, TestImage(series=2, instance=number), tmp_path) == 0, "and one that comes"
                if len(flood) > 300:
                    flood.pop(0).close()
            assert threading.active_count() - before < 300
            rig.until(lambda: len(rig.events("association.rejected")) >= 1)
            for sock in (silent, dripping):
                while sock.recv(100):
                    pass
        finally:
            over.set()
            thread.join()
            for sock in (*flood, silent, dripping):
                sock.close()
        assert "no association request within 3 s" in {e["reason"] for e in rig.events("association.rejected")}
        rig.until(lambda: len(rig.stored()) == 11)  # an open association's last row may wait for company
        assert rig.healthy()


def test_44_an_address_has_no_more_associations_than_it_may_however_slowly_it_sends(tmp_path: Path) -> None:
    with receiver(tmp_path / "home", receiver__max_associations_per_address=5) as rig:
        slow = [RawSender(rig.port, address=ELSEWHERE) for _ in range(5)]
        try:
            for number, sender in enumerate(slow):
                uid = f"1.2.9.{number}".encode()
                sender.sock.sendall(sender.begin(uid, dataset(sop=uid))[: -number - 1])
            with pytest.raises(Rejected):
                RawSender(rig.port, address=ELSEWHERE)
            with rig.associate() as association:
                assert [send(association, TestImage(instance=n), tmp_path) for n in range(1, 21)] == [0] * 20
        finally:
            for sender in slow:
                sender.sock.close()
        rig.until_closed(6)
        assert len(rig.stored()) == 20, "what was half sent is nowhere"


def test_44_two_hundred_associations_that_idle_or_drip_do_not_stop_a_fast_sender(tmp_path: Path) -> None:
    with receiver(tmp_path / "home", receiver__max_associations=201) as rig:
        idle = [RawSender(rig.port, address=ELSEWHERE) for _ in range(100)]
        dripping = [RawSender(rig.port, address=ELSEWHERE) for _ in range(100)]
        over = threading.Event()

        def drip() -> None:
            while not over.wait(1.0):
                for sender in dripping:
                    sender.sock.send(b"x")

        thread = threading.Thread(target=drip)
        try:
            for number, sender in enumerate(dripping):
                uid = f"1.2.9.{number}".encode()
                sender.sock.sendall(sender.begin(uid, dataset(sop=uid) + bytes(500))[:-400])
            thread.start()
            with rig.associate() as association:
                assert [send(association, TestImage(instance=n), tmp_path) for n in range(1, 201)] == [0] * 200
            rig.until_closed(1)
            assert rig.actor.figures()["associations"] == 200, "all the others are still there"
        finally:
            over.set()
            if thread.ident:
                thread.join()
            for sender in (*idle, *dripping):
                sender.sock.close()
        rig.until_closed(201)
        assert len(rig.stored()) == 200 and rig.healthy()
