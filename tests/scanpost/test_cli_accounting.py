"""`scanpost accounting`: the balance sheet, its exit code, and that it names the images; with --ledger against the ledger."""

import json

from protocol.ledger.record import Ledger
from protocol.settings import load_settings
from protocol.spool.outbox import Cursor


def carry(home, tmp_path):
    """All events into the ledger, as the bookkeeper does."""
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite3", load_settings(tmp_path, environ={}).node.name)
    at = Cursor(*ledger.open().position)
    batch = home.spool.outbox.read(at, 10_000)
    after = Cursor(batch[-1].epoch, batch[-1].seq)
    ledger.record(batch, at, after)
    ledger.close()
    home.spool.outbox.confirm("bookkeeper", after)


def test_a_sheet_that_balances_exits_0_and_shows_sources_and_days(home, run, three):
    said = run("accounting").output
    assert "received" in said and "MR1" in said and "every image is accounted for" in said
    document = json.loads(run("accounting", "--json").stdout)
    assert document["balanced"] and document["missing"] == 0 and document["problems"] == []
    assert document["received"] == sum(document["images"].values()) == 6
    assert {name: sum(states.values()) for name, states in document["sources"].items()} == {"MR1": 4, "MR2": 2}


def test_an_image_that_is_missing_is_named_and_exits_1(home, run, three):
    with home.spool.database.write() as tx:
        receipt = tx.one("SELECT receipt FROM image ORDER BY receipt LIMIT 1")[0]
        tx.execute("DELETE FROM image WHERE receipt = ?", (receipt,))
    assert receipt.hex() in run("accounting", code=1).output
    (problem,) = json.loads(run("accounting", "--json", code=1).stdout)["problems"]
    assert problem["receipts"] == [receipt.hex()]
    assert receipt.hex() in run("doctor", "--quick", code=1).output


def test_the_ledger_is_compared_and_only_what_it_should_know_counts(home, run, three, tmp_path):
    carry(home, tmp_path)
    document = json.loads(run("accounting", "--ledger", "--wait", "0", "--json").stdout)
    assert document["ledger"]["differences"] == []
    home.series(calling_ae="MR3", Modality="MR")
    said = run("accounting", "--ledger", "--wait", "0").output
    assert "events behind" in said
    with home.spool.database.write() as tx:
        tx.execute("UPDATE arrival SET state = 'held' WHERE id = ?", (three[0],))
    carry(home, tmp_path)
    said = run("accounting", "--ledger", "--wait", "0", code=1).output
    assert f"arrival {three[0]} is held in the spool, in_delivery in the ledger" in said


def test_deliveries_of_the_spool_are_compared_with_the_ledger_and_what_is_under_way_is_none(home, run, three, tmp_path):
    carry(home, tmp_path)
    assert "the ledger knows every image" in run("doctor", "--quick").output
    sent = home.spool.accounting.deliveries()[0].id
    run("queue", "hold", str(sent), "--reason", "second reading")
    assert f"delivery {sent}" not in run("accounting", "--ledger", "--wait", "0").output, "its event is under way"
    carry(home, tmp_path)
    with home.spool.database.write() as tx:
        tx.execute("UPDATE delivery SET state = 'delivered' WHERE id = ?", (sent,))
    said = f"delivery {sent} is delivered in the spool, held in the ledger"
    assert said in run("doctor", "--quick", code=1).output
    document = json.loads(run("accounting", "--ledger", "--wait", "0", "--json", code=1).stdout)
    assert said in [one["text"] for one in document["ledger"]["differences"]]


def test_doctor_reads_every_file_when_it_is_asked_to(home, run, three, tmp_path):
    file = next(one for one in (tmp_path / "spool" / "images").rglob("*.dcm") if one.stat().st_size)
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert file.stem not in run("doctor").output
    assert file.stem in run("doctor", "--contents", code=1).output
    assert file.stem in run("spool", "check", "--contents", code=1).output
    file.write_bytes(content)
    assert "each as it was received" in run("doctor", "--contents").output


def test_doctor_does_not_call_a_ledger_that_is_gone_or_damaged_no_loss(home, run, three, tmp_path):
    assert "there is no ledger" in run("doctor", "--quick").output, "a new node has none yet"
    carry(home, tmp_path)
    run("doctor", "--quick")
    (tmp_path / "ledger.sqlite3").write_bytes(b"no database" * 1000)
    said = run("doctor", "--quick", code=1).output
    assert "needs a backup" in said and "nothing is lost" not in said
    (tmp_path / "ledger.sqlite3").unlink()
    assert "needs a backup" in run("doctor", "--quick", code=1).output
