"""The bus actor over real sockets."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from wire_fakes import BusNode, FakeOutbox, closing, collect, fact, settings_of, until

from actors.bus import BEACON_S, LIVELY_S
from actors.rhythm import QUIET_S
from protocol.clock import ManualClock
from protocol.settings import Settings
from protocol.spool import open_spool
from protocol.wire import codec
from protocol.wire.bus import EVENT, FETCH, Station, connect_wire
from protocol.wire.events import ActorStatus, ArrivalUpdated, Head
from protocol.wire.lanes import BUS_IN, BUS_OUT, LANES, REPLAY, endpoints
from protocol.wire.messages import Envelope, envelope
from protocol.wire.nudges import Nudge
from tests.peers import free_port

STATUS = ActorStatus("router", 1, "ready", 1.0, "0", {"open": 2.0})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


@pytest.fixture
def outbox() -> FakeOutbox:
    return FakeOutbox()


@pytest.fixture
def node(settings: Settings, outbox: FakeOutbox) -> Iterator[BusNode]:
    made = BusNode(settings, outbox)
    yield made
    made.wire.close()


@pytest.fixture
def free_ports() -> list[int]:
    """Both sides of a lane must name the same port, so it is chosen before."""
    return [free_port() for _ in range(3)]


class Listener:
    """A subscriber that keeps what it hears, without any wisdom."""

    def __init__(self, settings: Settings, *prefixes: str) -> None:
        self.station = Station(endpoints(settings))
        self.station.open(BUS_OUT, bind=False, subscribe=prefixes)
        self.station.open(REPLAY, bind=False)
        self.frames: list[list[bytes]] = []
        self.replies: list[dict[str, Any]] = []
        self.close = self.station.close

    def listen(self) -> None:
        for lane, frames in self.station.poll(0.01)[0]:
            if lane == BUS_OUT:
                self.frames.append(frames)
            else:
                self.replies.append(codec.unpack_map(frames[1]))

    @property
    def heard(self) -> list[Envelope]:
        return [Envelope.from_map(codec.unpack_map(frames[1])) for frames in self.frames if len(frames) == 2]

    def facts(self) -> int:
        return sum(frames[0].startswith(b"ev.") for frames in self.frames)

    def types(self) -> list[str]:
        return [one.type for one in self.heard]


def joined(node: BusNode, listener: Listener) -> None:
    """Until the subscription works: the bus repeats its beacon to whoever joins."""
    until(lambda: "head" in listener.types(), node.turn, listener.listen)


def test_recorded_events_are_published_in_order(node: BusNode, settings: Settings, outbox: FakeOutbox) -> None:
    listener, teller = Listener(settings, "ev.", "sys.head."), connect_wire("cleaner", "0", settings)
    with closing(listener, teller):
        joined(node, listener)
        for number in range(50):
            outbox.record(fact(number))
            teller.committed()
        until(lambda: listener.types().count("rule.failed") == 50, node.turn, listener.listen)
        assert [one.seq for one in listener.heard if one.seq] == list(range(1, 51))
        assert listener.frames[-1][0] in (b"ev.rule.failed.", b"sys.head.")


def test_a_lost_nudge_delays_only(node: BusNode, settings: Settings, outbox: FakeOutbox) -> None:
    listener = Listener(settings, "ev.", "sys.head.")
    with closing(listener):
        joined(node, listener)
        outbox.record(fact())
        until(lambda: "rule.failed" in listener.types(), node.turn, listener.listen)


def test_it_starts_at_the_head_and_says_so(settings: Settings, outbox: FakeOutbox) -> None:
    outbox.record(fact(1), fact(2))
    node = BusNode(settings, outbox)
    listener = Listener(settings, "ev.", "sys.")
    with closing(listener, node.wire):
        joined(node, listener)
        until(lambda: "bus.started" in listener.types(), node.turn, listener.listen)  # perhaps behind the beacon
        started = next(one for one in listener.heard if one.type == "bus.started")
        assert started.data == {"bus_id": node.wire.bus_id, "epoch": 1, "head": 2}
        assert "rule.failed" not in listener.types()
        assert [f"sys.welcome.{node.wire.bus_id}.1.".encode()] in listener.frames


def test_the_beacon_tells_the_last_number(node: BusNode, settings: Settings, outbox: FakeOutbox) -> None:
    listener = Listener(settings, "sys.head.")
    with closing(listener):
        joined(node, listener)
        outbox.record(fact(1), fact(2))
        until(lambda: listener.heard[-1].data["last"] == 2, node.turn, listener.listen)
        assert listener.heard[-1].data == {"epoch": 1, "last": 2, "bus_id": node.wire.bus_id, "next_s": BEACON_S}


def test_the_beacon_becomes_seldom_where_nothing_is_published_and_says_when_it_comes_again(
    node: BusNode, outbox: FakeOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[float, Envelope]] = []
    clock = ManualClock()
    monkeypatch.setattr(node.actor, "context", replace(node.actor.context, clock=clock))
    monkeypatch.setattr(node.wire, "broadcast", lambda one: said.append((clock.monotonic(), one)))

    def beacons(seconds: float) -> list[tuple[float, Envelope]]:
        said.clear()
        for _ in range(round(seconds * 10)):
            clock.advance(0.1)
            node.actor.one_pass([])
        return [(at, one) for at, one in said if one.type == "head"]

    node.actor.one_pass([])
    calm = beacons(4 * QUIET_S)
    assert len(calm) == 4 and {one.data["next_s"] for _, one in calm} == {QUIET_S}
    beacons(1.5)
    outbox.record(fact())
    begun = clock.monotonic()
    lively = beacons(LIVELY_S + 2 * QUIET_S)
    assert lively[0][0] <= begun + BEACON_S + 0.1 and lively[0][1].data["last"] == 1
    assert 8 <= len([at for at, _ in lively if at <= begun + LIVELY_S]) <= 14
    for (before, one), (after, _) in zip(lively, lively[1:], strict=False):
        assert after - before <= one.data["next_s"] + 0.1
    assert lively[-1][1].data["next_s"] == QUIET_S


def test_progress_and_status_pass_through(node: BusNode, settings: Settings) -> None:
    listener, teller = Listener(settings, "tmp.", "sys."), connect_wire("router", "0", settings, "/n/router/0")
    with closing(listener, teller):
        joined(node, listener)
        teller.publish(ArrivalUpdated(5, "CT", 9))
        teller.publish(STATUS)
        until(lambda: {"arrival.updated", "actor.status"} <= {*listener.types()}, node.turn, listener.listen)
        assert [frames[0] for frames in listener.frames if frames[0][:3] == b"tmp"] == [b"tmp.arrival.updated.CT."]
        assert next(one for one in listener.heard if one.type == "actor.status").source == "/n/router/0"


def test_its_own_status_is_published_too(node: BusNode, settings: Settings) -> None:
    listener = Listener(settings, "sys.")
    with closing(listener):
        joined(node, listener)
        node.wire.publish(STATUS)
        until(lambda: "actor.status" in listener.types(), node.turn, listener.listen)


def test_a_late_joiner_gets_the_last_status_of_each_actor(node: BusNode, settings: Settings) -> None:
    tellers = [connect_wire("cleaner", str(number), settings, f"/n/cleaner/{number}") for number in range(2)]
    with closing(*tellers):
        for state in ("starting", "ready"):
            for teller in tellers:
                teller.publish(replace(STATUS, state=state))
        until(lambda: node.actor.figures()["forwarded"] == 4, node.turn)
        listener = Listener(settings, "sys.")
        with closing(listener):
            joined(node, listener)
            until(lambda: listener.types().count("actor.status") == 2, node.turn, listener.listen)
            states = {one.source: one.data["state"] for one in listener.heard if one.type == "actor.status"}
            assert states == {"/n/cleaner/0": "ready", "/n/cleaner/1": "ready"}


FORGED = envelope(STATUS, source="/n/evil/0", time=1.0)


@pytest.mark.parametrize(
    "forged",
    [
        replace(FORGED, root="ev").to_map(),
        replace(FORGED, root="phi").to_map(),
        replace(FORGED, seq=5).to_map(),
        replace(FORGED, type="no topic").to_map(),
        envelope(Head(9, 9, "evil"), source="/n/evil/0", time=1.0).to_map(),
        {**FORGED.to_map(), "specversion": "2.0"},
        {**FORGED.to_map(), "specversion": 1},
        {**FORGED.to_map(), "shard": 5},
        {"type": "actor.status"},
        {},
    ],
)
def test_what_may_not_be_sent_is_counted_and_not_published(
    node: BusNode, settings: Settings, forged: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    listener, teller = Listener(settings, ""), Station(endpoints(settings))
    with closing(listener, teller), caplog.at_level(logging.WARNING):
        joined(node, listener)
        teller.open(BUS_IN, bind=False)
        teller.send(BUS_IN, [EVENT, codec.pack(forged)])
        until(lambda: node.actor.figures().get("bus_unforwarded") == 1, node.turn)
        teller.send(BUS_IN, [EVENT, codec.pack(envelope(STATUS, source="/n/x/0", time=2.0).to_map())])
        until(lambda: "actor.status" in listener.types(), node.turn, listener.listen)
        assert [one.source for one in listener.heard if one.type not in ("head", "bus.started")] == ["/n/x/0"]
        assert "message ignored" in caplog.text


@pytest.mark.parametrize("frames", [[b"novelty", b"\x80"], [b""], [EVENT, b"\xc1"], [EVENT], [EVENT, b"\x80", b""]])
def test_unknown_kinds_warn(
    node: BusNode, settings: Settings, frames: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    teller = Station(endpoints(settings))
    with closing(teller), caplog.at_level(logging.WARNING):
        teller.open(BUS_IN, bind=False)
        teller.send(BUS_IN, frames)

        def strange() -> float:
            figures = node.actor.figures()
            return figures.get("wire_unknown", 0) + figures.get("wire_undecodable", 0)

        until(lambda: strange() == 1, node.turn)
        assert "message ignored" in caplog.text


def test_patient_data_is_not_published_and_not_replayed(node: BusNode, settings: Settings, outbox: FakeOutbox) -> None:
    listener = Listener(settings, "", "phi.")
    with closing(listener):
        joined(node, listener)
        outbox.record(fact(), phi={"name": "DOE^JOHN"})
        listener.station.send(REPLAY, [FETCH, codec.pack({"id": 1, "op": "fetch", "from": [1, 0]})])
        until(lambda: bool(listener.replies) and "rule.failed" in listener.types(), node.turn, listener.listen)
        assert len(listener.replies[0]["records"]) == 1
        everything = [*[part for frames in listener.frames for part in frames], codec.pack(listener.replies)]
        assert b"DOE" not in b"".join(everything)
        assert node.actor.figures()["wire_refused"] == 1


def test_two_askers_get_their_own_answers(node: BusNode, settings: Settings, outbox: FakeOutbox) -> None:
    outbox.record(*[fact(number) for number in range(10)])
    first, second = Listener(settings), Listener(settings)
    with closing(first, second):
        for number, listener in enumerate((first, second)):
            request = {"id": number, "op": "fetch", "from": [1, number * 5], "max": 2}
            listener.station.send(REPLAY, [FETCH, codec.pack(request)])
        until(lambda: bool(first.replies and second.replies), node.turn, first.listen, second.listen)
        assert [first.replies[0]["next"], second.replies[0]["next"]] == [[1, 2], [1, 7]]


def test_an_asker_that_went_away_harms_nobody(node: BusNode, settings: Settings, outbox: FakeOutbox) -> None:
    gone, staying = Listener(settings), Listener(settings)
    with closing(staying):
        gone.station.send(REPLAY, [FETCH, codec.pack({"id": 1, "op": "fetch", "from": [1, 0]})])
        nudges = collect(node.wire, lambda got: any(nudge.lane == "fetch" for nudge in got))
        gone.close()
        node.wire.wait(0.05)
        node.actor.one_pass(nudges)
        node.wire.answer(b"nobody", {})
        staying.station.send(REPLAY, [FETCH, codec.pack({"id": 1, "op": "fetch", "from": [1, 0]})])
        until(lambda: bool(staying.replies), node.turn, staying.listen)


def test_a_slow_subscriber_stalls_nobody(
    settings: Settings, outbox: FakeOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = LANES[BUS_OUT]
    small = replace(lane, bind_options={**lane.bind_options, "SNDHWM": 10}, connect_options={"RCVHWM": 10})
    monkeypatch.setitem(LANES, BUS_OUT, small)  # type: ignore[arg-type]
    node = BusNode(settings, outbox)
    slow, fast = Listener(settings, "ev.", "sys.head."), Listener(settings, "ev.", "sys.head.")
    with closing(slow, fast, node.wire):
        joined(node, slow)
        joined(node, fast)
        number = 3000
        for position in range(number):
            outbox.record(fact(position))
            if position % 5 == 4:  # fewer than its queue holds at once
                node.turn(0)
                have = position + 1
                until(lambda have=have: fast.facts() == have, fast.listen)  # type: ignore[misc]
        assert node.actor.figures()["published"] == number
        slow.listen()
        assert slow.types().count("rule.failed") < number


def test_over_tcp_on_loopback(tmp_path: Path, outbox: FakeOutbox, free_ports: list[int]) -> None:
    names = ("endpoint_in", "endpoint_out", "endpoint_replay")
    settings = settings_of(tmp_path, **{n: f"tcp://127.0.0.1:{p}" for n, p in zip(names, free_ports, strict=True)})
    node = BusNode(settings, outbox)
    listener = Listener(settings, "ev.", "sys.head.")
    with closing(listener, node.wire):
        joined(node, listener)
        outbox.record(fact())
        until(lambda: "rule.failed" in listener.types(), node.turn, listener.listen)


def test_published_from_a_real_spool(settings: Settings) -> None:
    spool = open_spool(settings.home, create=True)
    node = BusNode(settings, spool.outbox)
    listener = Listener(settings, "ev.", "sys.head.")
    with closing(listener, node.wire, spool):
        joined(node, listener)
        spool.outbox.record(*[fact(number) for number in range(5)])
        until(lambda: listener.types().count("rule.failed") == 5, node.turn, listener.listen)
        assert [one.data["arrival"] for one in listener.heard if one.seq] == list(range(5))


def test_the_bus_looks_into_the_outbox_when_it_is_told_to_and_else_only_if_anything_was_committed(
    node: BusNode, outbox: FakeOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    # each actor says now and then that it lives; the look finds what no nudge told
    looks: list[int] = []
    read = outbox.read
    monkeypatch.setattr(outbox, "read", lambda *some: looks.append(1) or read(*some))
    status = Nudge("status", envelope(STATUS, source="/n/router/0", time=1.0).to_map())
    node.actor.one_pass([status, status])
    assert not looks
    outbox.record(fact())
    node.actor.one_pass([status, Nudge("commits")])
    assert looks
    for committed in (None, False, True, False):  # at first it does not know what the nudge was about
        before = len(looks)
        if committed:
            outbox.record(fact())
        node.actor.one_pass([status])
        node.actor.one_pass([])
        assert committed is None or (len(looks) > before) == committed


def test_who_reads_the_outbox_by_himself_hears_one_word_of_many_events(
    node: BusNode, settings: Settings, outbox: FakeOutbox
) -> None:
    listener, other = Listener(settings, "sys.news.", "sys.head."), connect_wire("bookkeeper", "0", settings)
    with closing(listener, other):
        joined(node, listener)
        outbox.record(*[fact(number) for number in range(300)])
        until(lambda: "news" in listener.types(), node.turn, listener.listen)
        outbox.record(*[fact(number) for number in range(300)])  # within the tenth of a second: told later, and told
        until(
            lambda: any(one.data.get("last") == 600 for one in listener.heard if one.type == "news"),
            node.turn,
            listener.listen,
        )
        assert listener.types().count("news") <= 3
        until(
            lambda: any(nudge.lane == "events" for nudge in other.wait(0)), node.turn
        )  # to the bookkeeper it is a nudge
