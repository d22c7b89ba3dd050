"""The end of the audit's chain, and what people asked of the spool as entries, each once."""

import pytest

import protocol.wire.events  # noqa: F401  (fills REGISTRY)
from protocol.accounts.carrying import MOST_IDS, TYPES, Entry, entry_of
from protocol.accounts.chain import Head
from protocol.errors import AccountError
from protocol.wire.messages import REGISTRY
from tests.ledger.ledger_events import example


def asked(kind="queue.retry", by="ann", source="/node/cli/ann", command=17, **arguments):
    data = {"command": command, "kind": kind, "by": by, "arguments": arguments, "reason": ""}
    return entry_of("command.asked", 5.0, source, data)


def test_a_head_stands_while_entries_are_added_and_is_missed_when_the_end_is_cut_off(accounts):
    assert accounts.chain.head() == Head(0, "")
    accounts.record("ann", "", "one", "a")
    first = accounts.chain.head()
    accounts.record("ann", "", "two", "b")
    second = accounts.chain.head()
    assert (first.number, second.number) == (1, 2) and Head.of(second.text) == second
    assert accounts.chain.missing([second, first]) is None
    with accounts._database.transaction() as db:
        db.execute("DROP TRIGGER audit_is_kept")
        db.execute("DELETE FROM audit WHERE number = 2")
    assert accounts.trail.check().broken is None, "the chain alone cannot see that its end is gone"
    assert accounts.chain.missing([first, second]) == second
    accounts.record("ann", "", "another", "b")
    assert accounts.chain.missing([first, second]) == second, "a new end does not hide it"


def test_entries_come_with_their_links_oldest_first(accounts):
    for number in range(5):
        accounts.record("ann", "", "did", str(number))
    entries = accounts.chain.entries(1, 3)
    assert [entry.object for entry, _ in entries] == ["1", "2", "3"]
    assert accounts.chain.entries(4)[0][1] == accounts.chain.head().link and accounts.chain.entries(5) == []


def test_entries_from_elsewhere_are_added_once_and_all_or_none(accounts):
    accounts.chain.carry("spool", (0, 0), (1, 9), [asked(ids=[4])])
    assert accounts.chain.place("spool") == (1, 9)
    with pytest.raises(AccountError):
        accounts.chain.carry("spool", (0, 0), (1, 9), [asked(ids=[4])])
    with pytest.raises(AttributeError):
        accounts.chain.carry("spool", (1, 9), (1, 12), [asked(ids=[5]), None])
    assert accounts.chain.place("spool") == (1, 9) and len(accounts.trail.search()) == 1


def test_an_answer_names_who_asked_and_about_what(accounts):
    data = {"command": 17, "kind": "queue.retry", "by": "ann", "state": "done", "answer": "1 retried", "reason": ""}
    answer = entry_of("command.answered", 6.0, "/node/router/0", data)
    accounts.chain.carry("spool", (0, 0), (1, 1), [asked(ids=[4]), asked(command=1, ids=[9]), answer])
    last, _, first = accounts.trail.search()
    assert (last.who, last.action, last.object) == ("cli:ann", "queue.retry done", first.object)
    assert last.after == {"answer": "1 retried"} and accounts.verify_audit() is None
    stray = Entry(7.0, "ann", "queue.retry done", "command 99", {}, 99)
    accounts.chain.carry("spool", (1, 1), (1, 2), [stray])
    assert accounts.trail.search()[0].object == "command 99"


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        ("queue.retry", {"ids": [4]}, "delivery 4"),
        ("queue.hold", {"ids": [4, 5]}, "2 deliveries"),
        ("series.route", {"arrival": 7, "targets": ["pacs"]}, "arrival 7"),
        ("target.pause", {"target": "pacs", "reason": "moved"}, "target pacs"),
        ("queue.redirect", {"ids": [4], "to": "pacs"}, "delivery 4"),
        (
            "queue.cancel",
            {"where": {"target": "pacs", "states": ["parked"]}},
            "deliveries with target pacs, states parked",
        ),
        ("node.drain", {"reason": "maintenance"}, "node"),
        ("quarantine.discard", {"receipt": "00ff"}, "receipt 00ff"),
    ],
)
def test_what_an_act_is_about_is_said_in_a_few_words(kind, arguments, words):
    made = asked(kind, **arguments)
    assert made.object == f"{words} (command 17)" and made.after == arguments and made.action == kind


def test_people_of_the_machine_are_told_from_people_of_the_page_and_programs_are_nobody():
    assert asked(source="/node/cli/ann").who == "cli:ann" and asked(source="/node/webgui/0").who == "ann"
    ended = {"silence": 1, "pattern": "target/*", "by": ""}
    assert entry_of("alert.unsilenced", 1.0, "/node/bookkeeper/0", ended) is None


def test_a_long_list_is_named_by_its_beginning_and_length():
    ids = asked(ids=list(range(1000))).after["ids"]
    assert len(ids) == MOST_IDS + 1 and ids[-1] == f"and {1000 - MOST_IDS} more"


@pytest.mark.parametrize("type", TYPES)
def test_every_type_that_is_carried_makes_an_entry(type):
    made = entry_of(type, 1.0, "/n/webgui/0", example(REGISTRY[type]).data())
    assert made is not None and made.who and made.action and made.object
