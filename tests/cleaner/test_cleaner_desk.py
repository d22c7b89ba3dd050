"""What people ask of the cleaner: to clean now, to let go of a quarantined object. Each is answered once, and on record."""

from __future__ import annotations

import pytest
from cleaner_rig import AT_ONCE, HOUR, Rig

from protocol import selftest
from protocol.errors import NotFound
from protocol.testing.images import TestImage

SHUT = {"cleaner.window": "never", "cleaner.retention_delivered_h": 10.0}


def ask(node: Rig, kind: str = "clean.now", **arguments: str) -> int:
    return node.spool.commands.ask(kind, "ann", {"reason": "the disk is needed", **arguments}, executor="cleaner")


def quarantined(node: Rig) -> str:
    (receipt,) = node.world.send(node.world.connect(), TestImage(), reason="cannot be read")
    return receipt.receipt.hex()


def test_cleaning_now_lifts_the_window_once_but_never_the_retention(cleaner):
    node: Rig = cleaner(**SHUT)
    old = node.series(1)
    node.world.clock.advance(11 * HOUR)
    young = node.series(2)
    node.work()
    assert node.state(old) == "delivered"
    command = ask(node)
    node.work()
    assert (node.state(old), node.state(young)) == ("deleted", "delivered")
    answer = node.spool.commands.find(command)
    assert (answer.state, answer.answer) == ("done", "1 series and 2 files were deleted")
    node.after(11 * HOUR)
    assert node.state(young) == "delivered", "the window is shut again"


def test_cleaning_now_with_nothing_to_go_says_so(cleaner):
    node: Rig = cleaner(**SHUT)
    node.series(1)
    command = ask(node)
    node.work()
    assert node.spool.commands.find(command).answer == "nothing may go yet"


def test_cleaning_now_is_not_done_by_a_clock_that_is_wrong(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    node.work()
    arrival = node.series(1)
    node.world.clock.jump_wall(3 * HOUR)
    command = ask(node)
    node.work()
    found = node.spool.commands.find(command)
    assert found.state == "failed" and "clock jumped" in found.answer and node.state(arrival) == "delivered"


def test_cleaning_now_goes_on_after_a_death_in_the_middle(cleaner):
    node: Rig = cleaner(**SHUT, **{"cleaner.files_per_s": 10.0})
    arrival = node.series(1, images=30)
    node.world.clock.advance(11 * HOUR)
    command = ask(node)
    node.work()
    assert node.state(arrival) == "deleted" and node.spool.commands.find(command).state == "new"
    node.new_cleaner()
    for _ in range(40):
        node.after(1)
    assert node.spool.commands.find(command).state == "done" and node.files() == 0
    assert len(node.events("command.answered")) == 1


def test_cleaning_now_keeps_to_the_rate(cleaner):
    node: Rig = cleaner(**SHUT, **{"cleaner.files_per_s": 10.0})
    node.series(1, images=30)
    node.world.clock.advance(11 * HOUR)
    ask(node)
    node.work()
    assert node.files() == 28


def test_a_quarantined_object_is_let_go_by_a_person(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    first, second = quarantined(node), quarantined(node)
    command = ask(node, "quarantine.discard", receipt=first)
    node.work()
    assert node.spool.commands.find(command).state == "done"
    assert sorted(node.spool.fs.listdir(node.spool.places.quarantine)) == [second, f"{second}.json"]
    (event,) = node.events("quarantine.deleted")
    assert (event.data["receipt"], event.data["command"]) == (first, command)
    assert [row["receipt"] for row in node.spool.quarantine.list()] == [second]
    assert node.spool.accounting.balance(files=True) == []


@pytest.mark.parametrize("receipt", ["00" * 16, "nonsense", "", "12"])
def test_what_is_not_there_cannot_be_let_go(cleaner, receipt):
    node: Rig = cleaner(**AT_ONCE)
    command = ask(node, "quarantine.discard", receipt=receipt)
    node.work()
    assert node.spool.commands.find(command).state == "failed"


def test_an_object_is_let_go_once(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    receipt = quarantined(node)
    ask(node, "quarantine.discard", receipt=receipt)
    again = ask(node, "quarantine.discard", receipt=receipt)
    node.work()
    assert node.spool.commands.find(again).state == "failed"
    assert node.spool.accounting.figures().images["deleted"] == 1


def test_a_quarantined_object_is_shown_by_the_beginning_of_its_receipt(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    receipt = quarantined(node)
    shown = node.spool.quarantine.show(receipt[:8].upper())
    assert (shown["receipt"], shown["reason"]) == (receipt, "cannot be read")
    assert shown["meta"]["calling_ae"] == "CT1" and shown["file"].endswith(receipt)
    with pytest.raises(NotFound):
        node.spool.quarantine.show("ffffff" if receipt[:6] != "ffffff" else "000000")


def test_bytes_of_an_object_that_was_let_go_before_a_death_are_removed_at_the_next_start(cleaner, monkeypatch):
    node: Rig = cleaner(**AT_ONCE)
    receipt = quarantined(node)
    monkeypatch.setattr(node.spool.quarantine, "_remove", lambda receipts: None)
    ask(node, "quarantine.discard", receipt=receipt)
    node.work()
    monkeypatch.undo()
    assert len(node.spool.fs.listdir(node.spool.places.quarantine)) == 2
    assert node.new_cleaner().recover()["quarantine_finished"] == 1
    assert node.spool.fs.listdir(node.spool.places.quarantine) == []


def test_an_unknown_command_is_answered(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    command = node.spool.commands.ask("target.test", "ann", {}, executor="cleaner")
    node.work()
    assert node.spool.commands.find(command).state == "failed"


def test_a_command_that_finds_no_room_keeps_nothing_from_making_room(cleaner, monkeypatch):
    from protocol.errors import OutOfSpace

    node: Rig = cleaner(**AT_ONCE)
    receipt, arrival = quarantined(node), node.series(1)

    def full(receipt, command):
        raise OutOfSpace("the disk is full")

    monkeypatch.setattr(node.spool.quarantine, "discard", full)
    command = ask(node, "quarantine.discard", receipt=receipt)
    node.after(1)
    assert node.state(arrival) == "deleted" and node.spool.commands.find(command).state == "new"
    monkeypatch.undo()
    node.after(1)
    assert node.spool.commands.find(command).state == "done"


class Stuck:
    """Files whose names hold one of `words` cannot be removed."""

    def __init__(self, fs, monkeypatch, *words: str) -> None:
        self.words, real = set(words), fs.unlink

        def unlink(path):
            if any(word in str(path) for word in self.words):
                raise PermissionError(1, "Operation not permitted")
            real(path)

        monkeypatch.setattr(fs, "unlink", unlink)


def test_a_quarantined_object_that_cannot_be_removed_keeps_nothing_else_and_is_told(cleaner, monkeypatch):
    node: Rig = cleaner(**AT_ONCE, **{"cleaner.retention_quarantined_h": 1.0})
    first, second = quarantined(node), quarantined(node)
    stuck = Stuck(node.spool.fs, monkeypatch, first)
    arrival = node.series(1)
    node.after(2 * HOUR)
    assert (node.state(arrival), node.files()) == ("deleted", 0)
    assert first in node.spool.notices.alerts()["cleaning.stuck"]
    assert second not in node.spool.fs.listdir(node.spool.places.quarantine)
    assert node.new_cleaner().recover()["quarantine_finished"] == 0, "a cleaner that starts goes on as well"
    stuck.words.clear()
    node.after(2)
    assert node.spool.fs.listdir(node.spool.places.quarantine) == []
    assert node.spool.notices.alerts() == {}


def test_an_object_that_a_person_lets_go_and_that_cannot_be_removed_stops_nothing(cleaner, monkeypatch):
    node: Rig = cleaner(**AT_ONCE)
    receipt = quarantined(node)
    stuck = Stuck(node.spool.fs, monkeypatch, receipt)
    ask(node, "quarantine.discard", receipt=receipt)
    arrival = node.series(1)
    node.after(2)
    assert node.state(arrival) == "deleted"
    assert receipt in node.spool.notices.alerts()["cleaning.stuck"]
    stuck.words.clear()
    node.after(2)
    assert node.spool.fs.listdir(node.spool.places.quarantine) == [] and node.spool.notices.alerts() == {}


def test_images_of_a_self_test_that_cannot_be_removed_do_not_keep_the_cleaner(cleaner, monkeypatch):
    node: Rig = cleaner(**AT_ONCE)
    arrival = node.series(1)
    study = node.spool.arrivals.get(arrival)["study_uid"]
    monkeypatch.setattr(selftest, "looks_like_one", lambda uid: True)
    begun = node.spool.commands.ask(selftest.BEGIN, "ann", {"study_uid": study}, executor="router")
    node.spool.commands.finish(begun, "announced")
    stuck = Stuck(node.spool.fs, monkeypatch, ".dcm")
    command = ask(node, selftest.END, study_uid=study)
    node.work()
    assert node.spool.commands.find(command).state == "failed"
    assert node.state(arrival) == "deleted" and node.files() == 2
    stuck.words.clear()
    node.after(2)
    assert node.files() == 0


def test_a_file_that_is_named_like_a_day_does_not_stop_the_cleaner(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    node.spool.fs.write_new(node.spool.places.images / "20200101", b"somebody's")
    arrival = node.series(1)
    node.after(2)
    node.after(2)
    assert node.state(arrival) == "deleted"
    assert node.spool.fs.listdir(node.spool.places.images) == ["20200101"]


def test_a_quarantined_object_that_goes_while_it_is_looked_for_is_not_missing(cleaner, monkeypatch):
    node: Rig = cleaner(**AT_ONCE)
    gone, lost = quarantined(node), quarantined(node)
    fs, quarantine = node.spool.fs, node.spool.places.quarantine
    fs.unlink(quarantine / lost)
    real, asked = fs.exists, []

    def exists(path):
        if path.name == gone and not asked:
            asked.append(ask(node, "quarantine.discard", receipt=gone))
            node.work()
        return real(path)

    monkeypatch.setattr(fs, "exists", exists)
    assert node.spool.accounting.balance(files=True) == [f"quarantined object {lost} has no file"]
