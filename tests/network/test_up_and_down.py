"""`scanpost up`, `down`, `restart` with real processes: ready line, killed actors, a killed supervisord, orderly end."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import psutil
import pytest

from protocol.fsops import RealFs
from tests.network.evidence import events
from tests.network.system import Node, wait_until
from tests.peers import HOST

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def supervisord(node: Node) -> int:
    return int((node.home / "run" / "supervisord.pid").read_text())


def receiver_of(node: Node) -> psutil.Process:
    pid = node.pid("receiver")
    assert pid is not None
    return psutil.Process(pid)


def held_locks(node: Node) -> list[str]:
    fs = RealFs()
    return [path.name for path in (node.home / "run").glob("*.lock") if fs.is_locked(path)]


def listens(port: int) -> bool:
    with socket.socket() as peer:
        return peer.connect_ex((HOST, port)) == 0


def nothing_is_left(node: Node) -> None:
    assert node.processes() == [] and held_locks(node) == []
    assert not listens(node.port) and not listens(node.web)


def test_up_survives_what_dies_below_it_and_ctrl_c_ends_everything(tmp_path: Path) -> None:
    """1 `up` says ready; 2 a second `up` is refused; 3 killed actors are back; 4 supervisord is killed: its programs go on,
    and `up` replaces it and them; 5 a restarted actor serves again; 6 Ctrl-C leaves nothing behind and exits with 0."""
    with Node(tmp_path, dispatchers=2) as node:
        ready = next(line for line in node.lines if line.startswith("ready"))
        assert f"http://127.0.0.1:{node.web}/" in ready and f"SCANPOST@127.0.0.1:{node.port}" in ready
        assert "setup?token=" in ready

        second = node.cli("up", check=False)
        assert second.returncode == 1 and len(second.stderr.splitlines()) == 1 and "already running" in second.stderr, (
            second
        )

        killed_actors_are_back_at_once(node)
        a_killed_supervisord_is_replaced(node)

        before = node.pid("cleaner")
        assert node.cli("restart", "cleaner").returncode == 0
        assert node.pid("cleaner") != before
        assert node.cli("restart", "nobody", check=False).returncode == 2

        node.process.send_signal(signal.SIGINT)
        assert node.process.wait(90) == 0
        nothing_is_left(node)
        assert {event.data["actor"] for event in events(node, "actor.stopped")} == {
            "bus", "receiver", "router", "dispatcher", "cleaner", "bookkeeper"}  # fmt: skip


def killed_actors_are_back_at_once(node: Node) -> None:
    for actor in ("router", "dispatcher-0"):
        killed = node.kill(actor)
        wait_until(lambda: node.pid(actor) not in (None, killed), 30, f"{actor} is started again")  # noqa: B023
    assert node.cli("echo", HOST, str(node.port)).returncode == 0


def a_killed_supervisord_is_replaced(node: Node) -> None:
    receiver, first = receiver_of(node), supervisord(node)
    assert node.process is not None
    node.process.send_signal(signal.SIGSTOP)  # so that we see the time without supervisord
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(first) or psutil.Process(first).status() == "zombie", 60, "death")
    assert receiver.is_running()
    assert node.cli("echo", HOST, str(node.port)).returncode == 0

    node.process.send_signal(signal.SIGCONT)
    wait_until(lambda: any("serves again" in line for line in node.lines), 90, f"a new start: {node.lines}")
    assert not receiver.is_running()
    assert supervisord(node) != first


def test_a_detached_node_without_bus_goes_on_and_down_ends_it_even_without_supervisord(tmp_path: Path) -> None:
    node = Node(tmp_path)
    try:
        started = node.cli("up", "-d", "--dispatchers", "2", "--no-bus")
        assert started.stdout.startswith("ready ") and "dispatchers 2" in started.stdout
        assert node.pid("bus") is None and node.pid("receiver") is not None
        actors = node.status()["actors"]
        assert "dispatcher-1" in actors and "bus" not in actors
        os.kill(supervisord(node), signal.SIGKILL)
        assert "stopped" in node.cli("down").stderr
        nothing_is_left(node)
        assert "nothing was running" in node.cli("down").stderr
    finally:
        node.stop()
