"""Targets that are down, refuse, abort or hang: the good one does not notice, they are retried, parked, and brought through."""

from __future__ import annotations

import pytest

from protocol.wire.messages import Envelope
from tests.network import evidence
from tests.network.evidence import arrived, digests, doctor, events, send, series
from tests.network.system import USUAL, Node, rule, target, wait_until
from tests.peers import StoreScp, free_port, needs_dcmtk

pytestmark = [needs_dcmtk, pytest.mark.slow, pytest.mark.timeout(240)]

BAD = ("down", "refuses", "aborts", "hangs")
ATTEMPTS = 3
# max_s also bounds how long a target is left alone after failures in a row.
RETRY = {"first_s": 0.5, "factor": 4, "max_s": 2.5, "give_up_after_s": None, "max_attempts": ATTEMPTS}
SILENCE_S = 6.0  # how long the hanging target is listened to at first
FOR_ALL, FOR_GOOD = series(1, 8), series(2, 8, modality="MR")


class Sinks:
    """The good target and the bad ones; `mend` replaces each bad one by a good one at the same port."""

    def __init__(self, folder) -> None:
        self._folder = folder
        self.good = StoreScp(folder / "good", options=("+uf",))
        self.bad = {
            "refuses": StoreScp(folder / "refuses", options=("--refuse",)),
            "aborts": StoreScp(folder / "aborts", options=("--abort-during",)),
            "hangs": StoreScp(folder / "hangs", options=("--sleep-during", "100")),
        }
        self.ports = {"good": self.good.port, "down": free_port()} | {n: sink.port for n, sink in self.bad.items()}

    def mend(self) -> None:
        for sink in self.bad.values():
            sink.stop()
        self.bad = {name: StoreScp(self._folder / f"{name}-mended", self.ports[name], options=("+uf",)) for name in BAD}

    def stop(self) -> None:
        for sink in (self.good, *self.bad.values()):
            sink.stop()


def publish(node: Node, sinks: Sinks, silence_s: float) -> None:
    targets = {
        name: target(port, retry=RETRY, concurrency=1, dimse_timeout_s=silence_s) for name, port in sinks.ports.items()
    }
    targets["down"]["probe"] = False  # each try is to be a delivery's attempt
    node.route(targets, [rule("all", "Modality == 'CT'", *targets), rule("mr", "Modality == 'MR'", "good")])


def of(found: list[Envelope], type_: str, name: str) -> list[Envelope]:
    return [event for event in found if event.type == type_ and event.data["target"] == name]


def test_bad_targets_do_not_delay_the_good_one_and_are_retried_then_parked_then_brought_through(tmp_path):
    sinks = Sinks(tmp_path)
    node = Node(tmp_path / "home", environment=USUAL)
    try:
        publish(node, sinks, SILENCE_S)
        with node:
            send(node, tmp_path / "scanner", FOR_ALL)
            send(node, tmp_path / "scanner", FOR_GOOD)
            wait_until(lambda: len(of(events(node), "delivery.completed", "good")) == 2, 60, "the good target has all")
            assert arrived(sinks.good) == digests([*FOR_ALL, *FOR_GOOD])
            publish(node, sinks, 0.5)  # the first attempt still listens for long; the next two need not
            wait_until(lambda: len(events(node, "delivery.parked")) == len(BAD), 120, "all bad ones are parked", 0.2)
            found = events(node)
            the_good_one_was_first(found)
            for name in BAD:
                retried_with_growing_waits_then_parked(found, name)
            parked_is_shown(node)

            sinks.mend()
            node.cli("queue", "retry", "--all-parked")
            wait_until(lambda: evidence.images(node)["delivered"] == 16, 90, "all is brought through")
            for name in BAD:
                assert arrived(sinks.bad[name]) == digests(FOR_ALL), name
            assert arrived(sinks.good) == digests([*FOR_ALL, *FOR_GOOD])  # and nothing twice
            assert not doctor(node)["bad"]
    finally:
        node.stop()
        sinks.stop()


def the_good_one_was_first(found: list[Envelope]) -> None:
    """By the order of events in the outbox, whatever the speed of this machine."""
    order = [(event.type, event.data.get("target")) for event in found]
    claimed = order.index(("delivery.claimed", "hangs"))
    timed_out = order.index(("delivery.attempt.failed", "hangs"))
    completed = [place for place, what in enumerate(order) if what == ("delivery.completed", "good")]
    assert len(completed) == 2 and claimed < timed_out and max(completed) < timed_out
    first = of(found, "delivery.attempt.failed", "hangs")[0]
    assert f"no answer within {SILENCE_S:g} s" in first.data["error"]


def retried_with_growing_waits_then_parked(found: list[Envelope], name: str) -> None:
    failed, claimed = of(found, "delivery.attempt.failed", name), of(found, "delivery.claimed", name)
    assert [event.data["attempt"] for event in failed] == list(range(1, ATTEMPTS + 1)), name
    waits = [event.data["retry_at"] - event.time for event in failed[:-1]]
    # 0.5 s, then four times that, +-10 %; counted from the failure, while the event is a commit later.
    assert 0 < waits[0] < 0.6 and 1.2 < waits[1] < 2.3, (name, waits)
    for again, before in zip(claimed[1:], failed, strict=False):
        assert again.time >= before.data["retry_at"], name
    (parked,) = of(found, "delivery.parked", name)
    assert failed[-1].data["retry_at"] == 0 and parked.data["attempts"] == ATTEMPTS
    assert parked.data["error"] == failed[-1].data["error"] != ""


def parked_is_shown(node: Node) -> None:
    document = node.status()
    assert document["deliveries"]["parked"] == len(BAD) and document["images"]["in_delivery"] == len(FOR_ALL)
    for name in BAD:
        shown = document["targets"][name]
        assert shown["state"] == "failing" and shown["parked"] == 1 and shown["last_error"], shown
    assert document["targets"]["good"]["state"] == "up"
    warned = [text for check, text in doctor(node)["warning"] if check == "target"]
    assert [name for name in BAD if any(text.startswith(f"{name}: 1 parked") for text in warned)] == list(BAD)
