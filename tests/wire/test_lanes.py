"""Addresses and socket options, against the table they were decided in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import zmq
from wire_fakes import settings_of

from protocol.errors import SettingsError
from protocol.wire.bus import Station
from protocol.wire.lanes import BUS_OUT, LANES, ROLES, check, endpoints, may_subscribe, options


def test_endpoints_are_sockets_of_the_home(tmp_path: Path) -> None:
    found = endpoints(settings_of(tmp_path))
    assert found["bus-in"] == f"ipc://{tmp_path}/run/bus-in.ipc"
    assert set(found) == set(LANES)


def test_a_long_home_gets_a_short_path(tmp_path: Path) -> None:
    home = tmp_path / ("x" * 120)
    home.mkdir()
    found = endpoints(settings_of(home))
    paths = [endpoint.removeprefix("ipc://") for endpoint in found.values()]
    assert all(len(os.fsencode(path)) <= 107 for path in paths)
    assert len(set(paths)) == len(LANES)
    os.rmdir(os.path.dirname(paths[0]))


def test_settings_name_other_addresses(tmp_path: Path) -> None:
    found = endpoints(settings_of(tmp_path, endpoint_out="tcp://127.0.0.1:5556"))
    assert found["bus-out"] == "tcp://127.0.0.1:5556"


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:1", "tcp://127.9.9.9:1", "tcp://localhost:1", "tcp://[::1]:1"])
def test_loopback_is_allowed(endpoint: str) -> None:
    check(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    ["tcp://*:5556", "tcp://0.0.0.0:1", "tcp://10.0.0.1:1", "tcp://127.evil.org:1", "tcp://[::]:1", "tcp://:1",
     "tcp://eth0:1", "udp://127.0.0.1:1", "inproc://x", "", "ipc://" + "x" * 108],
)  # fmt: skip
def test_what_reaches_beyond_this_machine_is_refused(endpoint: str) -> None:
    with pytest.raises(SettingsError, match="bus.endpoint_out"):
        check(endpoint, "endpoint_out")


def test_every_option_exists_and_is_set(tmp_path: Path) -> None:
    for lane in LANES.values():
        for bind in (True, False):
            for name in options(lane, bind=bind, endpoint="tcp://127.0.0.1:1"):
                assert hasattr(zmq, name)


def test_options_of_the_table() -> None:
    def of(lane: str, bind: bool, endpoint: str = "ipc:///x") -> dict[str, int]:
        return options(LANES[lane], bind=bind, endpoint=endpoint)

    assert of("arrivals", False) == {"IMMEDIATE": 1, "SNDHWM": 1000}
    assert of("offers", True)["SNDHWM"] == 1
    assert of("offers", False)["RCVHWM"] == 1
    assert of("bus-in", True)["RCVHWM"] == 100_000
    assert of("bus-in", False)["SNDHWM"] == 10_000
    assert of("bus-out", True)["SNDHWM"] == 20_000
    assert of("replay", True)["ROUTER_MANDATORY"] == 1
    assert [LANES[name].linger_ms for name in ("arrivals", "offers", "bus-in")] == [0, 0, 500]
    tcp = of("bus-out", False, "tcp://127.0.0.1:1")
    assert (tcp["HEARTBEAT_IVL"], tcp["HEARTBEAT_TIMEOUT"], tcp["HEARTBEAT_TTL"]) == (5000, 15_000, 20_000)
    for lane in LANES:
        assert of(lane, True)["MAXMSGSIZE"] == 1 << 20
        assert "XPUB_NODROP" not in of(lane, True)


def test_options_are_on_the_socket_before_it_is_bound(tmp_path: Path) -> None:
    station = Station(endpoints(settings_of(tmp_path)))
    try:
        station.open(BUS_OUT, bind=True)
        socket = station._sockets[BUS_OUT]
        assert socket.getsockopt(zmq.SNDHWM) == 20_000
        assert socket.getsockopt(zmq.MAXMSGSIZE) == 1 << 20
        assert socket.getsockopt(zmq.LINGER) == 0
    finally:
        station.close()


def test_each_lane_has_one_binder() -> None:
    bound = [lane for role in ROLES.values() for lane in role.bind]
    assert sorted(bound) == sorted(LANES)


def test_patient_data_cannot_be_subscribed_to() -> None:
    assert may_subscribe(b"ev.delivery.") == [b"ev.delivery."]
    assert may_subscribe(b"") == [b"ev.", b"tmp.", b"sys."]
    assert may_subscribe(b"phi.") == may_subscribe(b"p") == may_subscribe(b"evil") == []
