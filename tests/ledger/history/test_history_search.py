"""Arrivals are found by what people know of them, page by page, each once."""

import dataclasses

import pytest

from protocol.errors import LedgerError
from protocol.ledger.history import Filter, search_arrivals, searching
from protocol.ledger.history.matching import meaning, names_of
from protocol.wire import events as e
from tests.ledger.history import told as stories
from tests.ledger.history.told import EPOCH, SOP, opened, tell_all
from tests.ledger.ledger_events import NODE, example, wrap_all


@pytest.fixture
def found(look, history):
    def search(node=NODE, **fields):
        return [row["arrival"] for row in look(search_arrivals, node, Filter(**fields)).rows]

    return search


TEXTS = [
    ("A100", [1]), ("P2", [3, 2]), ("müller", [3, 2]), ("MÜLLER^J", [3, 2]), ("Müller, Jörg", [3, 2]), ("doe jane", [1]),
    ("van der", [4]), ("1.2.200", [2]), ("1.2.3.9", [3]), (SOP, [1]), ("CT1", [4, 2]), ("ct1", [4, 2]), ("3", [3]),
    (" A100 ", [1]), ("d", []), ("nobody", []), ("", [4, 3, 2, 1]), ("100%", []), ("a\0b", []), ("_oe", []), ("x" * 999, []),
    ("9" * 18, []), ("1.2.840.99", []),
]  # fmt: skip


def test_one_box_finds_by_everything_that_people_have(found):
    assert [(text, found(q=text)) for text, _ in TEXTS] == TEXTS


FILTERS = [
    ({"source": "CT2"}, [3, 1]), ({"source": "CT2", "state": "deleted"}, [1]), ({"modality": "MR"}, [2]),
    ({"modality": "mr"}, [2]), ({"source": "ct2"}, []),
    ({"state": "held"}, [4]), ({"rule": "archive"}, [2, 1]), ({"rule": "archive", "modality": "MR"}, [2]),
    ({"rule": "archive", "target": "pacs"}, [1]), ({"target": "pacs"}, [1]), ({"target": "share"}, [2]),
    ({"target": "ai"}, [3]), ({"target": "ai1"}, [3]), ({"target": "ai", "source": "CT1"}, []),
    ({"target": "ai", "state": "in_delivery"}, [3]), ({"target": "pacs", "rule": "cardiac", "source": "CT2"}, [1]),
    ({"study_uid": "1.2.201"}, [3]), ({"patient_id": "P2"}, [3, 2]), ({"patient_id": "P2", "modality": "MR"}, [2]),
    ({"patient_id": "P2", "target": "share"}, [2]), ({"q": "müller", "rule": "brain"}, [3]),
    ({"since": EPOCH + 29.0}, [4, 3]), ({"until": EPOCH + 10.0}, [1]), ({"target": "pacs", "since": EPOCH + 5.0}, []),
    ({"rule": "archive", "until": EPOCH + 10.0}, [1]), ({"source": "nobody"}, []),
]  # fmt: skip


def test_filters_hold_together(found):
    assert [(fields, found(**fields)) for fields, _ in FILTERS] == FILTERS


def test_rows_have_their_deliveries_and_no_header_values(look, history):
    rows = {row["arrival"]: row for row in look(search_arrivals, NODE, Filter()).rows}
    assert not any("headers" in row for row in rows.values())
    (redirected,) = rows[2]["deliveries"]
    assert (redirected["target"], redirected["wanted"], redirected["state"]) == ("share", "share", "waiting")
    assert (redirected["error"], redirected["cause"], redirected["attempts"]) == (None, None, 0)
    (bound,) = rows[3]["deliveries"]
    assert (bound["target"], bound["wanted"], bound["state"]) == ("ai1", "ai", "sending")
    assert rows[4]["deliveries"] == []


def many(count, epoch=EPOCH):
    told = []
    for number in range(1, count + 1):
        told += [opened_like(number), example(e.ArrivalDecided, arrival=number, rules=["all"], outcome="route"),
                 example(e.DeliveryCreated, delivery=number, arrival=number, target="pacs"),
                 example(e.DeliveryCreated, delivery=count + number, arrival=number, target="pacs")]  # fmt: skip
    return told


def opened_like(number):
    return dataclasses.replace(opened(1), arrival=number, series_uid=f"1.2.{number}")


@pytest.mark.parametrize("fields", [{}, {"target": "pacs"}, {"rule": "all"}, {"source": "CT2"}, {"q": "CT2"}])
@pytest.mark.parametrize("gap", [1.0, 0.0])  # all at one time: only node and number tell them apart
def test_pages_show_each_arrival_once_and_end(open_ledger, look, fields, gap):
    tell_all(open_ledger(), many(17), gap=gap)
    seen, mark = [], None
    for _ in range(10):
        page = look(search_arrivals, NODE, Filter(**fields), mark, 5)
        seen += [row["arrival"] for row in page.rows]
        mark = page.next
        if mark is None:
            break
    assert seen == list(range(17, 0, -1)) and mark is None


RARE = [
    ({"target": "pacs", "modality": "MR"}, [20, 10]), ({"rule": "all", "source": "CT9"}, [21, 14, 7]),
    ({"target": "pacs", "rule": "all", "source": "CT9"}, [21, 14, 7]), ({"source": "CT9", "modality": "MR"}, []),
    ({"source": "CT9", "modality": "CT"}, [21, 14, 7]), ({"source": "CT9", "modality": "ct"}, [21, 14, 7]),
    ({"target": "pacs", "source": "GONE"}, []), ({"modality": "MR"}, [20, 10]), ({"modality": "mr"}, [20, 10]),
]  # fmt: skip


@pytest.mark.parametrize("fields, wanted", RARE)
def test_pages_that_look_through_few_rows_find_what_is_rare_in_the_end(open_ledger, look, monkeypatch, fields, wanted):
    monkeypatch.setattr(searching, "LOOKS", (2, 5))
    monkeypatch.setattr(stories, "PEOPLE", dict.fromkeys(range(1, 22), stories.PEOPLE[1]))
    told = many(21) + [example(e.ArrivalCompleted, arrival=number, calling_ae="CT9" if number % 7 == 0 else "CT2",
                     modality="MR" if number % 10 == 0 else "CT") for number in range(1, 22)]  # fmt: skip
    tell_all(open_ledger(), told)
    seen, mark, partial = [], None, 0
    for _ in range(60):
        page = look(search_arrivals, NODE, Filter(**fields), mark, 2)
        seen += [row["arrival"] for row in page.rows]
        partial += page.partial
        mark = page.next
        if mark is None:
            break
    assert seen == wanted and mark is None
    assert partial or fields.get("target") != "pacs" or "source" in fields


@pytest.mark.parametrize("state", ["", "held"])
def test_each_spelling_of_a_modality_is_walked_along_its_index(open_ledger, look, url, state):
    """Asked for both at once, SQLite would put all series of the modality into order for one page."""
    if not url.startswith("sqlite"):
        pytest.skip("its plans depend on how much there is")
    open_ledger()

    def plans(connection):
        walks = list(searching._walks(connection, None, Filter(modality="mr", state=state), searching.OPENED))
        texts = [str(one.behind(None).compile(compile_kwargs={"literal_binds": True})) for one in walks]
        return [[row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")] for text in texts]

    found = look(plans)
    assert len(found) == 2 and not any(row.endswith("B-TREE FOR ORDER BY") for plan in found for row in plan), found


def test_pages_go_over_all_nodes_in_the_order_of_time(open_ledger, look):
    for node, shift in (("a", 0), ("b", 0.5)):
        batch = wrap_all(*(opened_like(number) for number in range(1, 5)))
        batch = [dataclasses.replace(one, id=f"{node}{one.id}", time=one.time + shift) for one in batch]
        open_ledger(node).record(batch, (0, 0), (batch[-1].epoch, batch[-1].seq))
    first = look(search_arrivals, None, Filter(), None, 3)
    second = look(search_arrivals, None, Filter(), first.next, 100)
    assert [(row["node"], row["arrival"]) for row in first.rows + second.rows] == [
        (node, number) for number in (4, 3, 2, 1) for node in ("b", "a")]  # fmt: skip
    assert [row["node"] for row in look(search_arrivals, "a", Filter(q="2")).rows] == ["a"]
    assert len(look(search_arrivals, None, Filter(q="2")).rows) == 2


@pytest.mark.parametrize("mark", ["x", "%%%", "WzFd", "WyJzaWRlIiwxLjAsIm4iLDFd", "é"])
def test_a_mark_that_is_none_is_refused_in_one_line(look, history, mark):
    with pytest.raises(LedgerError, match="mark"):
        look(search_arrivals, NODE, Filter(), mark)


def test_a_mark_of_another_search_is_refused(look, history):
    mark = look(search_arrivals, NODE, Filter(rule="archive"), None, 1).next
    with pytest.raises(LedgerError, match="another search"):
        look(search_arrivals, NODE, Filter(), mark)


def test_an_arrival_whose_beginning_the_ledger_never_saw_is_in_the_lists(open_ledger, look):
    tell_all(
        open_ledger(),
        [example(e.ArrivalHeld, arrival=9), example(e.DeliveryClaimed, delivery=1, arrival=9, target="x")],
    )
    (row,) = look(search_arrivals, NODE, Filter()).rows
    assert (row["arrival"], row["opened"], row["deliveries"][0]["wanted"]) == (9, EPOCH + 1.0, "x")
    assert [row["arrival"] for row in look(search_arrivals, NODE, Filter(target="x")).rows] == [9]


def test_what_a_text_may_mean():
    assert meaning("1.2.3").sop_uid == "1.2.3" and meaning("1.2.3").names == []
    assert meaning("4711").number == 4711 and meaning("4711").exact["patient_id"] == ["4711"]
    assert meaning("1" * 19).number is None
    assert (
        names_of("Doe,J")[:2] == ["doe,j", "doe^j"]
        and names_of("Doe  J")[:2] == ["doe j", "doe^j"]
        and names_of("d") == []
    )
