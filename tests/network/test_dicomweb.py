"""A whole node routes to Orthanc by DICOMweb: the archive is away for a while, dies in the middle, and has every byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protocol.testing.images import TestImage
from tests.network.evidence import doctor, events, images, send, series
from tests.network.system import Node, rule, wait_until
from tests.orthanc import Orthanc, needs_dicomweb
from tests.peers import HOST, dataset_bytes, free_port, needs_dcmtk

pytestmark = [needs_dcmtk, needs_dicomweb, pytest.mark.slow, pytest.mark.timeout(240)]
RETRY = {"first_s": 0.5, "factor": 2.0, "max_s": 2.0}
USERS = {"scanpost": "ein Geheimnis"}


def target(port: int, **more: Any) -> dict[str, Any]:
    login = {"user": "scanpost", "password": "${ARCHIVE_PASSWORD}"}
    return {"type": "dicomweb", "url": f"http://{HOST}:{port}/dicom-web", "retry": RETRY, **login, **more}


def archive(folder: Path, port: int) -> Orthanc:
    return Orthanc(folder / "archive", "ARCHIVE", http_port=port, dicomweb=True, users=USERS)


def stored(there: Orthanc, folder: Path) -> dict[str, bytes]:
    found = {}
    for uid, data in there.files().items():
        (folder / "kept.dcm").write_bytes(data)
        found[uid] = dataset_bytes(folder / "kept.dcm")
    return found


def expected(sent: list[TestImage]) -> dict[str, bytes]:
    return {image.sop_uid: image.dataset() for image in sent}


@pytest.fixture(scope="module")
def node(tmp_path_factory) -> Iterator[Node]:
    """Shared: each test has an archive, a configuration and a series of its own."""
    with Node(tmp_path_factory.mktemp("node") / "home", environment={"ARCHIVE_PASSWORD": USERS["scanpost"]}) as made:
        yield made


def test_an_archive_that_is_away_gets_every_image_when_it_is_back(node, tmp_path):
    port = free_port()
    first, second = series(1, 20), series(2, 15)
    node.route({"archive": target(port)}, [rule("all", "Modality == 'CT'", "archive")])
    send(node, tmp_path / "scanner", first)
    wait_until(lambda: len(events(node, "delivery.attempt.failed")) >= 2, 60, "it is tried in vain")
    tested = node.cli("target", "test", "archive", check=False)
    assert tested.returncode == 1 and "tcp" in tested.stdout

    with archive(tmp_path, port) as there:
        wait_until(lambda: images(node)["delivered"] == 20, 60, lambda: f"{node.status()}\n{node.logs()}")
        assert stored(there, tmp_path) == expected(first)
        assert "login" in node.cli("target", "test", "archive").stdout
        there.stop()
        send(node, tmp_path / "scanner", second)
        before = len(events(node, "delivery.attempt.failed"))
        wait_until(lambda: len(events(node, "delivery.attempt.failed")) > before, 60, "it is tried in vain again")

    with archive(tmp_path, port) as there:
        wait_until(lambda: images(node)["delivered"] == 35, 60, lambda: f"{node.status()}\n{node.logs()}")
        assert stored(there, tmp_path) == expected([*first, *second])
    assert not doctor(node)["bad"]
    said = node.logs(10_000) + "".join(file.read_text() for file in (node.home / "config").rglob("*.json"))
    assert USERS["scanpost"] not in said and "Test^Image" not in said


def test_a_wrong_password_parks_with_its_reason_and_a_person_brings_it_through(node, tmp_path):
    port, sent, before = free_port(), series(3, 5), images(node)["delivered"]
    password = tmp_path / "password"
    password.write_text("falsch\n")
    node.route({"archive": target(port, password=f"file:{password}")}, [rule("all", "Modality == 'CT'", "archive")])
    with archive(tmp_path, port) as there:
        send(node, tmp_path / "scanner", sent)
        wait_until(lambda: events(node, "delivery.parked"), 60, lambda: node.logs())
        (parked,) = events(node, "delivery.parked")
        assert parked.data["error"].startswith("HTTP 401") and parked.data["attempts"] == 1
        password.write_text(USERS["scanpost"] + "\n")
        node.cli("queue", "retry", "--all-parked")
        wait_until(lambda: images(node)["delivered"] == before + 5, 60, lambda: f"{node.status()}\n{node.logs()}")
        assert stored(there, tmp_path) == expected(sent)
