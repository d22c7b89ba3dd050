"""The spool's database is lost: the images are still there, come back held, and a person sends them on."""

from __future__ import annotations

import pytest

from tests.network import evidence
from tests.network.evidence import arrival_of, arrived, digests, doctor, events, send, series
from tests.network.system import Node, rule, target, wait_until
from tests.peers import StoreScp, needs_dcmtk

pytestmark = [needs_dcmtk, pytest.mark.slow, pytest.mark.timeout(240)]

CT, MR, LATER = series(1, 6), series(2, 4, modality="MR"), series(3, 2)


def lose(node: Node) -> None:
    for path in (node.home / "spool").glob("spool.sqlite3*"):
        path.unlink()


def test_a_lost_database_is_rebuilt_from_the_files_and_nothing_is_sent_by_itself(tmp_path):
    with StoreScp(tmp_path / "pacs", options=("+uf",)) as pacs, StoreScp(tmp_path / "new", options=("+uf",)) as new:
        node = Node(tmp_path / "home")
        node.route({"pacs": target(pacs.port), "new": target(new.port)}, [rule("ct", "Modality == 'CT'", "pacs")])
        with node:
            send(node, tmp_path / "scanner", CT)
            send(node, tmp_path / "scanner", MR)
            wait_until(lambda: evidence.images(node)["delivered"] == len(CT), 60, "the CT series is delivered")
            wait_until(lambda: evidence.images(node)["discarded"] == len(MR), 60, "the MR series is discarded")
        lose(node)
        refusal_is_one_line(node)
        bring_back(node)
        with node:
            nothing_moves_by_itself(node, tmp_path, pacs, new)
            people_send_it_on(node, pacs, new)
            finds_everything_in_order(node)


def refusal_is_one_line(node: Node) -> None:
    refused = node.cli("up", check=False)
    lines = refused.stderr.splitlines()
    assert refused.returncode == 1 and len(lines) == 1 and not refused.stdout, refused
    assert "scanpost spool rebuild" in lines[0] and "Traceback" not in lines[0]
    assert not list((node.home / "spool").glob("spool.sqlite3*")), "a refused start must not leave a fresh database"


def bring_back(node: Node) -> None:
    assert node.json("spool", "rebuild")["images"] == len(CT) + len(MR)
    again = node.cli("spool", "rebuild", check=False)
    assert again.returncode == 1 and "there is a database already" in again.stderr


def nothing_moves_by_itself(node: Node, folder, pacs: StoreScp, new: StoreScp) -> None:
    """A series sent now goes all the way, so router and dispatchers had their looks at the held ones, too."""
    send(node, folder / "scanner", LATER)
    wait_until(lambda: evidence.images(node)["delivered"] == len(LATER), 60, "a series of today is delivered")
    assert evidence.images(node)["held"] == len(CT) + len(MR)
    touched = {event.data["arrival"] for event in events(node, "delivery.created", "arrival.decided")}
    assert touched == {arrival_of(node, LATER[0])}
    assert arrived(pacs) == digests([*CT, *LATER]) and not new.received()


def people_send_it_on(node: Node, pacs: StoreScp, new: StoreScp) -> None:
    node.cli("series", "release", str(arrival_of(node, CT[0])))  # the rules decide: to pacs, once more
    node.cli("series", "route", str(arrival_of(node, MR[0])), "--target", "new")
    every = len(CT) + len(MR) + len(LATER)
    wait_until(lambda: evidence.images(node)["delivered"] == every, 60, "the held series are delivered")
    assert arrived(new) == digests(MR)
    assert arrived(pacs) == digests([*CT, *CT, *LATER])


def finds_everything_in_order(node: Node) -> None:
    wait_until(lambda: node.status()["outbox"]["bookkeeper_behind"] == 0, 60, "the bookkeeper has caught up", 0.5)
    assert not doctor(node)["bad"]
    assert node.cli("spool", "check").returncode == 0
