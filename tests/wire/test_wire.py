"""Wires of actors: one battery for the real one and the one without sockets, then what only sockets do."""

from __future__ import annotations

import inspect
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from wire_fakes import closing, collect, settings_of, until

from protocol.clock import SystemClock
from protocol.errors import WireError
from protocol.settings import Settings
from protocol.wire import codec
from protocol.wire.bus import HubWire, NoWire, Nudge, SocketWire, Station, Wire, connect_wire
from protocol.wire.events import ActorStatus
from protocol.wire.lanes import ARRIVALS, BUS_IN, LANES, OFFERS, endpoints

STATUS = ActorStatus("router", 1, "ready", 1.0, "0", {})
ACTORS = ["bus", "receiver", "router", "dispatcher", "bookkeeper", "cleaner", "webgui", "scanpost"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


@pytest.fixture(params=[*ACTORS, "no wire"])
def wire(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Wire]:
    made: Wire = NoWire() if request.param == "no wire" else connect_wire(request.param, "0", settings)
    with closing(made):
        yield made


# ---- the contract of both ------------------------------------------------------------------------------------------
def test_every_wire_has_the_whole_interface(wire: Wire) -> None:
    wanted = {name: method for name, method in inspect.getmembers(Wire, inspect.isfunction) if not name.startswith("_")}
    for name, method in wanted.items():
        assert list(inspect.signature(getattr(type(wire), name)).parameters) == list(
            inspect.signature(method).parameters
        )


def test_messages_to_nobody_are_harmless(wire: Wire) -> None:
    for _ in range(3):
        wire.arrived(1, {"a": 1})
        wire.offer(1000)
        wire.committed()
        wire.publish(STATUS)
    wire.wait(0)
    assert set(wire.figures().values()) >= set() and all(value >= 0 for value in wire.figures().values())


def test_waiting_ends_after_the_time_without_a_nudge(wire: Wire) -> None:
    began = SystemClock().monotonic()
    assert wire.wait(0.05) == []
    assert SystemClock().monotonic() - began >= 0.045


def test_a_wake_before_waiting_is_kept(wire: Wire) -> None:
    wire.wake()
    wire.wake()
    assert wire.wait(60) == [Nudge("wake")]
    assert wire.wait(0) == []


def test_another_thread_wakes(wire: Wire) -> None:
    waker = threading.Timer(0.02, wire.wake)
    waker.start()
    assert wire.wait(60) == [Nudge("wake")]
    waker.join()


def test_a_signal_handler_wakes(wire: Wire) -> None:
    before = signal.signal(signal.SIGUSR1, lambda number, frame: wire.wake())
    kick = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        kick.start()
        assert wire.wait(60) == [Nudge("wake")]
        kick.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_after_close_everything_is_quiet(wire: Wire) -> None:
    wire.close()
    wire.close()
    wire.wake()
    wire.arrived(1)
    wire.offer(1)
    wire.committed()
    wire.publish(STATUS)
    assert wire.wait(0) == []


# ---- lanes -------------------------------------------------------------------------------------------------------
def lane(name: str) -> Callable[[list[Nudge]], bool]:
    return lambda got: any(nudge.lane == name for nudge in got)


def test_receiver_nudges_router(settings: Settings) -> None:
    router, receiver = connect_wire("router", "0", settings), connect_wire("receiver", "0", settings)
    with closing(receiver, router):
        got = collect(router, lane("arrivals"), lambda: receiver.arrived(7, {"images": [b"x", "y"]}))
        assert got[0] == Nudge("arrivals", {"arrival": 7, "images": [b"x", "y"]})


def test_offers_reach_every_dispatcher(settings: Settings) -> None:
    router = connect_wire("router", "0", settings)
    dispatchers = [connect_wire("dispatcher", str(number), settings) for number in range(3)]
    with closing(*dispatchers, router):
        reached: set[int] = set()

        def drain() -> None:
            for number, one in enumerate(dispatchers):
                if one.wait(0.005):
                    reached.add(number)

        until(lambda: len(reached) == 3, lambda: router.offer(3, {"target": "pacs"}), drain)


def test_offers_to_a_dispatcher_that_does_not_look_do_not_block(settings: Settings) -> None:
    router, dispatcher = connect_wire("router", "0", settings), connect_wire("dispatcher", "0", settings)
    with closing(dispatcher, router):
        collect(dispatcher, lane("offers"), lambda: router.offer(1))
        until(lambda: router.figures()["wire_dropped"] > 50, lambda: router.offer(1000, {"fill": "x" * 1000}))


def test_actors_nudge_the_bus(settings: Settings) -> None:
    hub, cleaner = connect_wire("bus", "0", settings), connect_wire("cleaner", "0", settings, "/n/cleaner/0")
    with closing(cleaner, hub):
        cleaner.committed()
        cleaner.publish(STATUS)
        got = collect(hub, lambda got: len(got) >= 2)
        assert [nudge.lane for nudge in got] == ["commits", "status"]
        assert got[1].data["source"] == "/n/cleaner/0"
        assert got[1].data["data"]["actor"] == "router"


def test_other_threads_only_queue_and_the_owner_sends_while_it_waits(settings: Settings) -> None:
    hub, receiver = connect_wire("bus", "0", settings), connect_wire("receiver", "0", settings)
    with closing(receiver, hub):
        senders = [threading.Thread(target=receiver.publish, args=(STATUS,)) for _ in range(20)]
        committer = threading.Thread(target=lambda: [receiver.committed() for _ in range(100)])
        for one in [*senders, committer]:
            one.start()
        for one in [*senders, committer]:
            one.join()
        enough = lambda got: lane("commits")(got) and sum(nudge.lane == "status" for nudge in got) == 20  # noqa: E731
        got = collect(hub, enough, lambda: receiver.wait(0.005))
        assert sum(nudge.lane == "commits" for nudge in got) == 1


def test_waiting_in_a_foreign_thread_is_refused(settings: Settings) -> None:
    receiver = connect_wire("receiver", "0", settings)
    found: list[BaseException] = []

    def wait() -> None:
        try:
            receiver.wait(0)
        except WireError as exc:
            found.append(exc)

    with closing(receiver):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join()
        assert len(found) == 1


def test_last_words_reach_the_bus_when_an_actor_stops(settings: Settings) -> None:
    hub = connect_wire("bus", "0", settings)
    with closing(hub):
        teller = connect_wire("scanpost", "cli", settings)
        teller.committed()
        teller.close()
        assert collect(hub, lane("commits")) == [Nudge("commits")]


def test_closing_without_a_bus_does_not_hang(settings: Settings) -> None:
    teller = connect_wire("cleaner", "0", settings)
    teller.committed()
    began = SystemClock().monotonic()
    teller.close()
    assert SystemClock().monotonic() - began < 30


# ---- two on one lane -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("actor", ["bus", "router"])
def test_a_second_binder_is_refused_and_the_first_keeps_hearing(settings: Settings, actor: str) -> None:
    first = connect_wire(actor, "0", settings)
    teller = connect_wire("receiver", "0", settings)
    with closing(teller, first):
        with pytest.raises(WireError, match="already bound"):
            connect_wire(actor, "1", settings)
        collect(first, lane("commits" if actor == "bus" else "arrivals"), teller.committed, lambda: teller.arrived(1))


def test_a_lane_is_free_again_after_close(settings: Settings) -> None:
    connect_wire("router", "0", settings).close()
    connect_wire("router", "0", settings).close()


def test_senders_find_a_restarted_router(settings: Settings) -> None:
    receiver = connect_wire("receiver", "0", settings)
    with closing(receiver):
        for _ in range(3):
            router = connect_wire("router", "0", settings)
            with closing(router):
                collect(router, lane("arrivals"), lambda: receiver.arrived(1), lambda: receiver.wait(0.01))


# ---- what nobody understands ----------------------------------------------------------------------------------------
@pytest.fixture
def stranger(settings: Settings) -> Iterator[Station]:
    station = Station(endpoints(settings))
    yield station
    station.close()


@pytest.mark.parametrize(
    ("frames", "figure"),
    [
        ([b"novelty", codec.pack({})], "wire_unknown"),
        ([b"arrived"], "wire_unknown"),
        ([b"arrived", codec.pack({}), b"more"], "wire_unknown"),
        ([b""], "wire_unknown"),
        ([b"arrived", b"\xc1"], "wire_undecodable"),
        ([b"arrived", codec.pack([1])], "wire_undecodable"),
        ([b"arrived", b""], "wire_undecodable"),
    ],
)
def test_strange_messages_are_counted_warned_of_and_skipped(
    settings: Settings, stranger: Station, frames: list[bytes], figure: str, caplog: pytest.LogCaptureFixture
) -> None:
    router = connect_wire("router", "0", settings)
    with closing(router), caplog.at_level(logging.WARNING):
        stranger.open(ARRIVALS, bind=False)
        until(lambda: stranger.send(ARRIVALS, frames), lambda: router.wait(0.01))
        good = [b"arrived", codec.pack({"arrival": 9})]
        got = collect(router, lane("arrivals"), lambda: stranger.send(ARRIVALS, good))
        assert got[0].data == {"arrival": 9}
        assert router.figures()[figure] == 1
        assert "message ignored" in caplog.text


def test_a_flood_of_strange_messages_does_not_fill_the_log(
    settings: Settings, stranger: Station, caplog: pytest.LogCaptureFixture
) -> None:
    hub = connect_wire("bus", "0", settings)
    with closing(hub), caplog.at_level(logging.WARNING):
        stranger.open(BUS_IN, bind=False)
        for _ in range(1000):
            stranger.send(BUS_IN, [b"novelty", b"\x80"])
        until(lambda: hub.figures().get("wire_unknown") == 1000, lambda: hub.wait(0.01))
        assert len(caplog.records) <= 10


def test_what_cannot_be_encoded_is_dropped_without_an_exception(settings: Settings) -> None:
    receiver = connect_wire("receiver", "0", settings)
    with closing(receiver):
        receiver.arrived(1, {"odd": object()})
        receiver.arrived(1, {"large": 1 << 70})
        receiver.arrived(1, {"long": b"x" * (1 << 20)})
        assert receiver.figures()["wire_unsendable"] == 3


def test_a_full_lane_drops_instead_of_blocking(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LANES, BUS_IN, replace(LANES[BUS_IN], connect_options={"SNDHWM": 5}))  # type: ignore[arg-type]
    cleaner = connect_wire("cleaner", "0", settings)
    with closing(cleaner):
        for _ in range(100):
            cleaner.committed()
        assert cleaner.figures()["wire_dropped"] > 50


def test_real_wires_are_wires() -> None:
    assert issubclass(HubWire, SocketWire)
    assert OFFERS in LANES
