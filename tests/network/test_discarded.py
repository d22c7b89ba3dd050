"""What no rule wanted is kept and can be sent later; a routing or settings file that cannot be used changes nothing."""

from __future__ import annotations

import json
import os

import pytest

from tests.network import evidence
from tests.network.evidence import arrival_of, arrived, digests, events, send, series
from tests.network.system import Node, rule, target, wait_until
from tests.peers import StoreScp, needs_dcmtk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CT, MR, LATER = series(1, 5), series(2, 5, modality="MR"), series(3, 3)
CONFIGURATION_ERROR = 78


def refused_in_one_line(node: Node, *command: str, says: tuple[str, ...]) -> None:
    done = node.cli(*command, check=False)
    lines = done.stderr.splitlines()
    assert done.returncode == CONFIGURATION_ERROR and len(lines) == 1 and not done.stdout, done
    assert not [word for word in says if word not in lines[0]], lines[0]


@needs_dcmtk
def test_discarded_images_are_kept_and_routed_later_and_a_bad_configuration_never_becomes_current(tmp_path):
    with StoreScp(tmp_path / "pacs", options=("+uf",)) as pacs:
        node = Node(tmp_path / "home")
        node.route({"pacs": target(pacs.port)}, [rule("ct", "Modality == 'CT'", "pacs")])
        with node:
            send(node, tmp_path / "scanner", CT)
            send(node, tmp_path / "scanner", MR)
            wait_until(lambda: evidence.images(node)["discarded"] == len(MR), 60, "the MR series is discarded")
            wait_until(lambda: evidence.images(node)["delivered"] == len(CT), 60, "the CT series is delivered")
            discarded_is_kept_and_explained(node)

            a_rule_without_its_target_cannot_be_imported(node)
            a_file_damaged_by_hand_changes_nothing(node)
            send(node, tmp_path / "scanner", LATER)
            wait_until(lambda: evidence.images(node)["delivered"] == len(CT) + len(LATER), 60, "routed as before")
            assert [event.data["revision"] for event in events(node, "arrival.decided")] == [1, 1, 1]
            assert arrived(pacs) == digests([*CT, *LATER])
            the_current_file_cut_short_leaves_the_former_revision(node)

            node.cli("series", "route", str(arrival_of(node, MR[0])), "--target", "pacs")
            wait_until(lambda: evidence.images(node)["delivered"] == 13, 60, "the discarded series is delivered")
            assert arrived(pacs) == digests([*CT, *LATER, *MR])
            assert evidence.images(node)["discarded"] == 0


def discarded_is_kept_and_explained(node: Node) -> None:
    story = node.json("series", "show", str(arrival_of(node, MR[0])))
    assert story["arrival"]["state"] == "discarded" and len(story["images"]) == len(MR)
    assert [decision["outcome"] for decision in story["decisions"]] == ["discard"] and not story["deliveries"]
    assert len(list((node.home / "spool" / "images").rglob("*.dcm"))) == len(CT) + len(MR)


def a_rule_without_its_target_cannot_be_imported(node: Node) -> None:
    document = json.loads(node.cli("routing", "export").stdout)
    document["rules"].append(rule("lost", "True", "archive"))
    file = node.home / "lost.json"
    file.write_text(json.dumps(document))
    refused_in_one_line(node, "routing", "import", str(file), says=("lost.json", "rules[1]", "archive"))
    refused_in_one_line(node, "routing", "check", str(file), says=("lost.json", "rules[1]", "archive"))
    file.write_text('{"targets": {},,}')
    refused_in_one_line(node, "routing", "import", str(file), says=("lost.json", "line 1"))
    assert [version["number"] for version in node.json("routing", "history")] == [1]


def a_file_damaged_by_hand_changes_nothing(node: Node) -> None:
    """Somebody edits where only versions are published: the next one is nonsense."""
    folder = node.home / "config" / "routing"
    (folder / "000002.json").write_text('{"targets": {}, "rules": [')
    wait_until(lambda: events(node, "config.damaged"), 60, "the router says that it is damaged")
    damaged = events(node, "config.damaged")
    assert "000002.json" in damaged[0].data["error"] and damaged[0].data["place"] == "routing/000002"
    assert node.status()["revision"] == 1
    said = node.cli("doctor", check=False)
    assert said.returncode == 1 and "000002.json" in said.stdout


def the_current_file_cut_short_leaves_the_former_revision(node: Node) -> None:
    """A router that runs keeps what it has read; one that starts takes the newest version that can be used."""
    export = node.home / "export.json"
    export.write_text(node.cli("routing", "export").stdout)
    assert node.json("routing", "import", str(export))["version"] == 3  # number 2 is taken, if only by nonsense
    wait_until(lambda: [event.data["revision"] for event in events(node, "config.changed")] == [1, 3], 60, "3 in force")
    file = node.home / "config" / "routing" / "000003.json"
    file.write_bytes(file.read_bytes()[:100])
    node.cli("restart", "router")
    assert [event.data["revision"] for event in events(node, "config.changed")] == [1, 3, 1]
    assert "000003.json" in events(node, "config.damaged")[-1].data["error"] and node.status()["revision"] == 1


def test_settings_that_cannot_be_used_stop_up_with_one_line(tmp_path):
    node = Node(tmp_path / "home")
    (node.home / "config").mkdir(parents=True)
    file = node.home / "config" / "scanpost.toml"
    for text, says in (
        ('[receiver]\nae_title = "far too long for an AE title"\n', ("scanpost.toml", "receiver.ae_title", "16")),
        ("[receiver]\nprot = 11112\n", ("scanpost.toml", "receiver.prot", "receiver.port")),
        ("[receiver\nport = 11112\n", ("scanpost.toml", "line 1")),
    ):
        file.write_text(text)
        refused_in_one_line(node, "up", says=says)
    assert sorted(os.listdir(node.home)) == ["config"], "nothing was started or made"


def test_an_environment_variable_that_cannot_be_used_is_named(tmp_path):
    node = Node(tmp_path / "home", environment={"SCANPOST_RECEIVER__PORT": "eleven"})
    refused_in_one_line(node, "up", says=("SCANPOST_RECEIVER__PORT",))
