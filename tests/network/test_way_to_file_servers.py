"""A series goes to a bucket and to an SFTP server that are away at first: both have it when they are back, bit by bit."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from tests.moto import KEY, SECRET, S3Server, needs_moto
from tests.network import evidence
from tests.network.evidence import digest, doctor, events, send, series
from tests.network.system import Node, rule, wait_until
from tests.peers import HOST, needs_dcmtk
from tests.relay import Relay
from tests.sshd import Sshd, needs_sshd
from tests.targets.files import dataset_in

pytestmark = [needs_dcmtk, needs_moto, needs_sshd, pytest.mark.slow, pytest.mark.timeout(240)]

IMAGES = series(1, 12)
RETRY = {"first_s": 0.5, "factor": 2, "max_s": 2, "give_up_after_s": 3600, "max_attempts": None}
MARKER = ".done"


def targets(bucket: str, store: Relay, sshd: Sshd, drop: Relay) -> dict:
    common = {"layout": "{PatientID}/{SeriesInstanceUID}", "done": MARKER, "retry": RETRY, "timeout_s": 20}
    return {
        "store": {
            "type": "s3", "bucket": bucket, "endpoint": f"http://{HOST}:{store.port}", "allow_http": True,
            "access_key": "${S3_KEY}", "secret_key": "${S3_SECRET}", **common,
        },
        "drop": sshd.settings(port=drop.port, **common),
        "nobody": sshd.settings(port=drop.port, host_key=None, **common),
    }  # fmt: skip


def contents(files: dict[str, bytes]) -> Counter[str]:
    """Digests of the data sets of all images; the only other files are markers, one beside each series."""
    images = {name: data for name, data in files.items() if name.endswith(".dcm")}
    folders = {name.rpartition("/")[0] for name in images}
    assert {name: data for name, data in files.items() if name not in images} == {
        f"{one}/{MARKER}": b"" for one in folders
    }
    return Counter(hashlib.sha256(dataset_in(data)[1]).hexdigest() for data in images.values())


def test_what_was_away_has_every_image_once_it_is_back(tmp_path):
    server, sshd = S3Server(), Sshd()
    node = Node(tmp_path / "home", environment={"S3_KEY": KEY, "S3_SECRET": SECRET})
    try:
        bucket = server.bucket()
        with Relay(server.port) as store, Relay(sshd.port) as drop, node:
            store.gone()
            drop.gone()
            node.route(targets(bucket, store, sshd, drop), [rule("all", "True", "store", "drop")])
            send(node, tmp_path / "scanner", IMAGES)
            wait_until(lambda: failed(node) == {"store", "drop"}, 60, "both are tried in vain")
            assert node.cli("target", "test", "store", check=False).returncode == 1
            store.listen()
            drop.listen()
            wait_until(lambda: evidence.images(node)["delivered"] == len(IMAGES), 90, node.logs)
            assert contents(server.objects(bucket)) == contents(sshd.files()) == Counter(map(digest, IMAGES))
            assert not doctor(node)["bad"]
            nothing_of_the_patient_is_logged(node, sshd)
            the_way_is_shown_step_by_step(node)
            a_server_that_nobody_vouched_for_gets_nothing(node, tmp_path, sshd)
    finally:
        node.stop()
        server.close()
        sshd.close()


def failed(node: Node) -> set[str]:
    return {event.data["target"] for event in events(node, "delivery.attempt.failed")}


def nothing_of_the_patient_is_logged(node: Node, sshd: Sshd) -> None:
    """Names of files are made of header values, and libraries like to tell what they do."""
    logs = node.logs(10_000)
    patients = {name[: name.index("/") + 1] for name in sshd.files()}
    assert patients and not [word for word in (*patients, SECRET, MARKER) if word in logs]


def the_way_is_shown_step_by_step(node: Node) -> None:
    assert node.json("target", "test", "store")["ok"]
    shown = node.json("target", "test", "drop")
    assert [step["name"] for step in shown["steps"]][2:5] == ["ssh", "host key", "login"] and shown["ok"]


def a_server_that_nobody_vouched_for_gets_nothing(node: Node, tmp_path, sshd: Sshd) -> None:
    before, late = sshd.files(), series(2, 2)
    send(node, tmp_path / "scanner", late)
    wait_until(lambda: evidence.images(node)["delivered"] == len(IMAGES) + len(late), 90, node.logs)
    node.cli("series", "route", str(evidence.arrival_of(node, late[0])), "--target", "nobody")
    wait_until(lambda: events(node, "delivery.parked"), 60, node.logs)
    (parked,) = events(node, "delivery.parked")
    assert sshd.fingerprint in parked.data["error"] and len(sshd.files()) == len(before) + len(late) + 1
