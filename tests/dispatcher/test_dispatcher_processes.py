"""Dispatchers with real slot processes, real associations and real deaths."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
from dispatcher_fakes import SilentLog, deliveries, publish, receive, route, series, states, wait_for

from actors.base import make_context
from actors.dispatcher.actor import DispatcherActor
from protocol.clock import SystemClock
from protocol.fsops import RealFs
from protocol.settings import load_settings
from protocol.spool import open_spool
from protocol.states import Priority
from protocol.wire.nudges import NoWire, Nudge
from tests.dicom.dicom_fakes import RecordingHandler, running_scp
from tests.peers import HOST, StoreScp, dataset_bytes, free_port, needs_dcmtk

pytestmark = pytest.mark.slow
CALM = {"host": HOST, "called_ae": "PACS", "connect_timeout_s": 10.0, "acse_timeout_s": 20.0, "dimse_timeout_s": 20.0}
RETRY = {"first_s": 0.2, "factor": 2.0, "max_s": 1.0, "max_attempts": 3}
LIMIT_S = 90.0
OFFER = [Nudge("offers", {"count": 99})]


def at(port: int, **more):
    return {**CALM, "port": port, "retry": RETRY, **more}


class Peer:
    """Our own SCP as target: counts images and associations at once, and stops at the image it is told to."""

    def __init__(self) -> None:
        self.handler = RecordingHandler()
        self.handler.on_store = self._store
        self.hold_at = 0  # the n-th image waits until `go`
        self.slow_s = 0.0
        self.gated = False  # every image waits until `go`
        self.held, self.go = threading.Event(), threading.Event()
        self.most = 0
        self._lock, self._busy, self._count = threading.Lock(), 0, 0

    def _store(self, request) -> int:
        with self._lock:
            self._count += 1
            self._busy += 1
            self.most = max(self.most, self._busy)
            held = self._count == self.hold_at
        if held or self.gated:
            self.held.set()
            self.go.wait(LIMIT_S)
        elif self.slow_s:
            self.go.wait(self.slow_s)
        with self._lock:
            self._busy -= 1
        return 0

    def copies(self) -> Counter[str]:
        return Counter(request.sop_instance_uid for request in self.handler.stored)


class Site:
    """A home with a spool, targets, and dispatchers: one in this process, or real ones."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self.home, self._stack = home, stack
        self.spool = open_spool(home, create=True)
        stack.callback(self.spool.close)
        self.log = SilentLog()

    def targets(self, **targets) -> None:
        self.routing = publish(self.home, SystemClock(), targets)

    def peer(self) -> tuple[Peer, int]:
        peer = Peer()
        port = self._stack.enter_context(running_scp(peer.handler))
        self._stack.callback(peer.go.set)
        return peer, port

    def send(self, *names: str, number: int = 1, images: int = 5, **more) -> int:
        arrival = receive(self.spool, series(number, images))
        route(self.spool, arrival, *names, **more)
        return arrival

    def actor(self, slots: int = 2, actor_class=DispatcherActor) -> DispatcherActor:
        settings = load_settings(self.home, {"dispatcher.slots": slots}, {})
        wire = NoWire()
        actor = actor_class(make_context(settings, self.spool, wire=wire, log=self.log, routing=self.routing))
        actor.recover()
        self._stack.callback(actor.stop)
        return actor

    def process(self, instance: int = 0, slots: int = 2) -> subprocess.Popen[bytes]:
        environ = {**os.environ, "SCANPOST_HOME": str(self.home), "SCANPOST_BUS__ENABLED": "false"}
        environ["SCANPOST_DISPATCHER__SLOTS"] = str(slots)
        command = [sys.executable, "-m", "actors", "dispatcher", "--instance", str(instance)]
        process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)
        self._stack.callback(_end, process)
        return process

    def suspend(self, process: subprocess.Popen[bytes]) -> None:
        """Until it is resumed, or the end of the test."""
        suspended = psutil.Process(process.pid)
        self._stack.callback(suspended.resume)
        suspended.suspend()

    def finished(self) -> bool:
        return not set(states(self.spool)) & {"waiting", "sending", "retrying"}

    def retry(self, *ids: int) -> None:
        self.spool.deliveries.change(ids, "retry", self.spool.commands.ask("queue.retry", "test", {}))


def slots_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Of a dispatcher's process: they come out of its nursery."""
    return [child for child in psutil.Process(process.pid).children(recursive=True) if child.name() == "slot"]


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    process.wait(LIMIT_S)


@pytest.fixture
def site(tmp_path):
    with ExitStack() as stack:
        yield Site(tmp_path, stack)


@contextmanager
def slots_gone(site: Site):
    """All slot processes that were alive before have ended after."""
    pids = [child.pid for child in psutil.Process().children() if "actors.dispatcher.slot" in child.cmdline()]
    yield
    assert not any(psutil.pid_exists(pid) for pid in pids)


def turn(actor: DispatcherActor, first=()):
    """A step for wait_for: the actor's own loop."""
    nudges = list(first)

    def step(wait_s: float) -> None:
        given = nudges + actor.context.wire.wait(wait_s)
        nudges.clear()
        actor.one_pass(given)

    return step


def pause(wait_s: float) -> None:
    threading.Event().wait(wait_s)


@needs_dcmtk
def test_targets_that_are_down_refuse_abort_or_hang_delay_nobody_and_are_retried_parked_and_brought_through(
    site, tmp_path
):
    bad = {"refuses": "--refuse", "aborts": "--abort-during", "hangs": "--sleep-during 60"}
    down = free_port()
    with ExitStack() as stack:
        good = stack.enter_context(StoreScp(tmp_path / "good"))
        peers = {
            name: stack.enter_context(StoreScp(tmp_path / name, options=option.split())) for name, option in bad.items()
        }
        patient = {"dimse_timeout_s": 7.0, "retry": {**RETRY, "max_attempts": 2}}
        settings = {name: at(peer.port, **(patient if name == "hangs" else {})) for name, peer in peers.items()}
        site.targets(good=at(good.port), down=at(down, probe=False), **settings)  # deliveries are the tries
        for number in (1, 2):
            site.send("good", "down", *bad, number=number)
        actor = site.actor(slots=4)
        done = lambda: [row["state"] for row in deliveries(site.spool) if row["target"] == "good"] == ["delivered"] * 2  # noqa: E731
        wait_for(done, LIMIT_S, turn(actor, OFFER))
        hanging = [row for row in deliveries(site.spool) if row["target"] == "hangs"]
        assert all(row["state"] in ("waiting", "sending") for row in hanging), "before its first timeout"
        wait_for(site.finished, LIMIT_S, turn(actor))
    rows = deliveries(site.spool)
    assert Counter(row["state"] for row in rows) == {"delivered": 2, "parked": 8}
    for row in rows:
        tries = [event.data for event in events(site.spool) if event.data.get("delivery") == row["id"]
                 and event.type == "delivery.attempt.failed"]  # fmt: skip
        assert len(tries) == {"good": 0, "hangs": 2}.get(row["target"], 3), row["target"]
    sent = sorted(image.dataset() for number in (1, 2) for image in series(number, 5))
    assert sorted(map(dataset_bytes, good.received())) == sent

    with StoreScp(tmp_path / "back", port=down) as back:  # somebody repaired it and asks again
        site.retry(*(row["id"] for row in rows if row["target"] == "down"))
        wait_for(lambda: states(site.spool).count("delivered") == 4, LIMIT_S, turn(actor))
        assert sorted(map(dataset_bytes, back.received())) == sent
    assert site.spool.accounting.balance() == []


@needs_dcmtk
@pytest.mark.slow
def test_a_target_that_is_away_is_asked_by_its_slots_until_it_is_back_and_no_attempt_is_used_up(site, tmp_path):
    away = free_port()
    site.targets(pacs=at(away, concurrency=1, retry={**RETRY, "max_attempts": None}))
    for number in (1, 2, 3):
        site.send("pacs", number=number)
    actor = site.actor(slots=2)
    probes = lambda: site.spool.targets.all().get("pacs") and site.spool.targets.all()["pacs"].probes >= 4  # noqa: E731
    wait_for(probes, LIMIT_S, turn(actor, OFFER))
    assert sum(row["attempts"] for row in deliveries(site.spool)) == 1
    with StoreScp(tmp_path / "back", port=away) as back:
        wait_for(site.finished, LIMIT_S, turn(actor))
        sent = sorted(image.dataset() for number in (1, 2, 3) for image in series(number, 5))
        assert sorted(map(dataset_bytes, back.received())) == sent
    assert sorted(row["attempts"] for row in deliveries(site.spool)) == [1, 1, 2]
    assert site.spool.targets.all()["pacs"].breaker == "closed"


def events(spool):
    return spool.outbox.read(spool.outbox.head()._replace(seq=0), limit=10_000)


def test_a_slot_killed_in_the_middle_is_continued_at_the_next_unconfirmed_image(site):
    peer, port = site.peer()
    peer.hold_at, peer.slow_s = 4, 0.12  # slower than a group: each image is recorded at once
    site.targets(a=at(port))
    site.send("a", images=8)
    actor = site.actor()
    wait_for(peer.held.is_set, LIMIT_S, turn(actor, OFFER))
    (child,) = actor._slots.children()
    os.kill(child.process.pid, signal.SIGKILL)
    peer.go.set()
    wait_for(site.finished, LIMIT_S, turn(actor))
    (row,) = deliveries(site.spool)
    assert (row["state"], row["attempts"]) == ("delivered", 1)
    copies = peer.copies()
    assert len(copies) == 8 and copies.total() == 9 and copies[series(1, 8)[3].sop_uid] == 2
    assert {event.data["deaths"] for event in events(site.spool) if event.type == "delivery.attempt.interrupted"} == {0}


def test_a_delivery_that_kills_its_slot_three_times_alone_is_set_aside(site):
    peer, port = site.peer()
    peer.hold_at = 1
    site.targets(a=at(port))
    site.send("a")
    actor = site.actor(slots=1)
    killed: set[int] = set()

    def kill_working() -> bool:
        for child in actor._slots.children():
            if child.state == "working" and child.process.pid not in killed:
                killed.add(child.process.pid)
                child.process.kill()
        return states(site.spool) == ["held"]

    wait_for(kill_working, LIMIT_S, turn(actor, OFFER))
    assert len(killed) == 3 and "died 3 times" in deliveries(site.spool)[0]["error"]


def test_a_slot_that_hangs_is_killed_and_its_delivery_goes_on(site):
    class Impatient(DispatcherActor):
        MARGIN_S = 0.3

    peer, port = site.peer()
    peer.hold_at = 3
    site.targets(a=at(port, connect_timeout_s=1.0, acse_timeout_s=2.0, dimse_timeout_s=2.0))
    site.send("a")
    actor = site.actor(actor_class=Impatient)
    wait_for(peer.held.is_set, LIMIT_S, turn(actor, OFFER))
    (child,) = actor._slots.children()
    os.kill(child.process.pid, signal.SIGSTOP)
    peer.go.set()
    wait_for(site.finished, LIMIT_S, turn(actor))
    assert states(site.spool) == ["delivered"] and actor.figures()["killed"] >= 1
    assert "slot_killed" in site.log.actions() and len(peer.copies()) == 5


def test_slots_that_cannot_start_are_tried_again_with_growing_waits(site):
    site.targets(a=at(1))
    actor = site.actor(slots=1)
    (site.home / "config" / "scanpost.toml").write_text("this is not TOML")
    site.send("a")
    died = lambda: [said for action, said in site.log.lines if action == "slot_died"]  # noqa: E731
    wait_for(lambda: len(died()) == 3, LIMIT_S, turn(actor))
    assert [said["again_in_s"] for said in died()] == [0.2, 0.4, 0.8] and died()[0]["code"] == 78
    assert states(site.spool) == ["waiting"]


def test_slots_start_with_the_first_work_sleep_when_idle_and_end_with_their_parent(site):
    peer, port = site.peer()
    site.targets(a=at(port))
    actor = site.actor(slots=3)
    for _ in range(3):
        actor.one_pass([])
    assert actor.figures()["slots"] == 0
    site.send("a")
    wait_for(site.finished, LIMIT_S, turn(actor, OFFER))
    wait_for(lambda: set(actor._slots.states()) == {"idle"}, LIMIT_S, turn(actor))
    (child,) = actor._slots.children()
    site.send("a", number=2)
    wait_for(site.finished, LIMIT_S, turn(actor, OFFER))
    assert [one.process.pid for one in actor._slots.children()] == [child.process.pid], "the same one again"
    with slots_gone(site):
        actor.stop()
    assert site.spool.workers.count("dispatcher") == 0 and child.process.returncode == 0


def test_an_association_serves_the_next_delivery_and_is_released_when_none_comes(site):
    peer, port = site.peer()
    site.targets(a=at(port, reuse_s=6.0))
    actor = site.actor(slots=1)
    for number in (1, 2, 3):
        site.send("a", number=number)
        wait_for(site.finished, LIMIT_S, turn(actor, OFFER))
    assert len(peer.handler.opened_ids) == 1 and not peer.handler.closed_ids and peer.copies().total() == 15
    wait_for(lambda: peer.handler.endings == ["released"], LIMIT_S, turn(actor))


def test_a_stop_releases_an_idle_association(site):
    peer, port = site.peer()
    site.targets(a=at(port, reuse_s=60.0))
    actor = site.actor(slots=1)
    site.send("a")
    wait_for(site.finished, LIMIT_S, turn(actor, OFFER))
    actor.stop()
    peer.handler.wait(lambda: peer.handler.endings == ["released"])


def test_one_delivery_over_several_associations_is_continued_after_its_slot_was_killed(site):
    peer, port = site.peer()
    peer.hold_at = 40
    site.targets(a=at(port, associations=3))
    site.send("a", images=100)
    actor = site.actor(slots=1)
    wait_for(peer.held.is_set, LIMIT_S, turn(actor, OFFER))
    wait_for(lambda: len(peer.handler.stored) >= 90, LIMIT_S, turn(actor))
    wait_for(lambda: deliveries(site.spool)[0]["sent"] >= 64, LIMIT_S, turn(actor))
    recorded = deliveries(site.spool)[0]["sent"]
    (child,) = actor._slots.children()
    child.process.kill()
    peer.go.set()
    wait_for(site.finished, LIMIT_S, turn(actor))
    copies = peer.copies()
    assert states(site.spool) == ["delivered"] and len(copies) == 100 and peer.most <= 6
    assert copies.total() - 100 <= 100 - recorded, "what was recorded is not sent again"
    assert site.spool.accounting.balance() == []


def test_a_look_every_second_finds_what_no_offer_told(site):
    peer, port = site.peer()
    site.targets(a=at(port))
    for number in (1, 2, 3):
        site.send("a", number=number)
    actor = site.actor(slots=2)
    wait_for(site.finished, LIMIT_S, turn(actor))
    assert peer.copies().total() == 15


def test_progress_is_published_at_most_four_times_a_second(site):
    peer, port = site.peer()
    peer.slow_s = 0.02
    site.targets(a=at(port))
    site.send("a", images=30)
    actor = site.actor()
    begin = time.monotonic()
    told = []
    actor.context.wire.publish = told.append
    wait_for(site.finished, LIMIT_S, turn(actor, OFFER))
    wait_for(lambda: told and told[-1].sent == 30, LIMIT_S, turn(actor))
    sent = [event.sent for event in told]
    assert sent == sorted(set(sent)) and told[0].total == 30
    assert 2 <= len(sent) <= 4 * (time.monotonic() - begin) + 2


def test_sigterm_finishes_the_image_and_gives_the_rest_back(site):
    peer, port = site.peer()
    peer.hold_at = 3
    site.targets(a=at(port))
    site.send("a")
    process = site.process()
    wait_for(peer.held.is_set, LIMIT_S, pause)
    slots = slots_of(process)
    for one in (process.pid, *(slot.pid for slot in slots)):  # as supervisord tells the whole group
        os.kill(one, signal.SIGTERM)
    pause(0.2)
    peer.go.set()
    assert process.wait(LIMIT_S) == 0 and not any(slot.is_running() for slot in slots)
    (row,) = deliveries(site.spool)
    assert (row["state"], row["progress"], row["attempts"]) == ("waiting", 3, 0)
    site.process()
    wait_for(site.finished, LIMIT_S, pause)
    assert peer.copies().total() == 5


def test_when_the_parent_is_killed_its_slot_keeps_its_claim_finishes_its_image_and_gives_back(site):
    peer, port = site.peer()
    peer.hold_at = 3
    site.targets(a=at(port, concurrency=1))
    site.send("a")
    first = site.process()
    wait_for(peer.held.is_set, LIMIT_S, pause)
    (slot,) = slots_of(first)
    first.kill()
    first.wait()
    site.process()
    wait_for(lambda: RealFs().is_locked(site.home / "run" / "dispatcher-0.lock"), LIMIT_S, pause)
    pause(1.5)  # time enough to rob it
    assert slot.is_running() and states(site.spool) == ["sending"] and peer.copies().total() == 2
    peer.go.set()
    wait_for(site.finished, LIMIT_S, pause)
    assert states(site.spool) == ["delivered"] and peer.copies().total() == 5
    wait_for(lambda: not slot.is_running(), LIMIT_S, pause)


def in_the_middle(site):
    """A peer that has some of the images, the dispatcher that sends them, and its slot."""
    peer, port = site.peer()
    peer.slow_s = 0.1
    site.targets(a=at(port, concurrency=1))
    site.send("a", images=30)
    first = site.process()
    wait_for(lambda: len(peer.handler.stored) > 5, LIMIT_S, pause)
    (slot,) = slots_of(first)
    return peer, first, slot


def test_a_slot_that_is_suspended_while_its_parent_is_killed_does_not_keep_its_delivery_for_ever(site):
    peer, first, slot = in_the_middle(site)
    slot.suspend()
    first.kill()
    first.wait()
    site.process(instance=1)  # any dispatcher will do
    wait_for(site.finished, LIMIT_S, pause)
    assert states(site.spool) == ["delivered"] and len(peer.copies()) == 30 and peer.copies().total() <= 31
    assert not slot.is_running()


@pytest.mark.parametrize("slot_is", ["killed", "suspended"])
def test_a_dispatcher_that_is_suspended_keeps_no_delivery_from_the_others(site, slot_is):
    peer, first, slot = in_the_middle(site)
    site.suspend(first)
    slot.suspend()
    if slot_is == "killed":
        slot.kill()
    site.process(instance=1)
    wait_for(site.finished, LIMIT_S, pause)
    assert states(site.spool) == ["delivered"] and len(peer.copies()) == 30 and peer.copies().total() <= 31
    psutil.Process(first.pid).resume()  # what it buries then is nobody's any more
    site.send("a", number=2)
    wait_for(site.finished, LIMIT_S, pause)
    assert states(site.spool) == ["delivered", "delivered"]


def test_parent_and_slots_killed_together_count_no_death_and_the_next_goes_on(site):
    peer, port = site.peer()
    peer.hold_at, peer.slow_s = 3, 0.12
    site.targets(a=at(port))
    site.send("a")
    first = site.process()
    wait_for(peer.held.is_set, LIMIT_S, pause)
    for one in (first.pid, *(child.pid for child in psutil.Process(first.pid).children(recursive=True))):
        os.kill(one, signal.SIGKILL)
    first.wait()
    peer.go.set()
    assert states(site.spool) == ["sending"]
    site.process()
    wait_for(site.finished, LIMIT_S, pause)
    assert states(site.spool) == ["delivered"] and len(peer.copies()) == 5 and peer.copies().total() == 6


def test_three_dispatchers_share_fifty_deliveries_to_two_targets_within_the_limits(site):
    (peer_a, port_a), (peer_b, port_b) = site.peer(), site.peer()
    peer_a.gated = peer_b.gated = True
    site.targets(a=at(port_a, concurrency=1, dimse_timeout_s=60.0), b=at(port_b, concurrency=2, dimse_timeout_s=60.0))
    for number in range(50):
        urgent = number in (40, 41)
        priority = Priority.URGENT if urgent else Priority.NORMAL
        site.send("a" if number % 2 else "b", number=number + 1, images=3, priority=priority)
    for instance in range(3):
        site.process(instance)
    # Three at once are more than the two slots of one dispatcher.
    wait_for(lambda: (peer_a.most, peer_b.most) == (1, 2), LIMIT_S, pause)
    peer_a.go.set()
    peer_b.go.set()
    wait_for(site.finished, LIMIT_S, pause)
    assert states(site.spool) == ["delivered"] * 50
    for peer, most in ((peer_a, 1), (peer_b, 2)):
        copies = peer.copies()
        assert len(copies) == 75 and copies.total() == 75 and peer.most <= most
    assert peer_b.most == 2, "two at once where two are allowed"
    owners = {
        event.data["owner"].split("/")[1].split("-")[0]
        for event in events(site.spool)
        if event.type == "delivery.claimed"
    }
    assert len(owners) >= 2, "they share"
    for peer, first in ((peer_a, 42), (peer_b, 41)):
        order = [int(request.sop_instance_uid.split(".")[-2]) for request in peer.handler.stored]
        assert order.index(first) < 9, "urgent goes first"
    assert site.spool.accounting.balance() == []


def test_an_urgent_delivery_goes_while_every_slot_is_busy(site):
    (slow, slow_port), (quick, quick_port) = site.peer(), site.peer()
    slow.gated = True
    site.targets(slow=at(slow_port, dimse_timeout_s=30.0), quick=at(quick_port))
    actor = site.actor(slots=1)
    site.send("slow", number=1)
    wait_for(slow.held.is_set, LIMIT_S, turn(actor, OFFER))
    site.send("quick", number=2)
    site.send("quick", number=3, priority=Priority.URGENT)
    wait_for(lambda: states(site.spool).count("delivered") == 1, LIMIT_S, turn(actor, OFFER))
    assert [row["priority"] for row in deliveries(site.spool) if row["state"] == "delivered"] == [0]
    assert len(quick.copies()) == 5, "the normal one still waits for the slot"
    slow.go.set()
    wait_for(lambda: states(site.spool) == ["delivered"] * 3, LIMIT_S, turn(actor, OFFER))
