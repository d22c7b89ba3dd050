"""What a dry run says is what the cleaner then does."""

from __future__ import annotations

import pytest
from cleaner_rig import AT_ONCE, HOUR, Rig

from protocol.spool.forecast import Forecast, forecast
from protocol.spool.retention import retention_at
from protocol.testing.images import TestImage

TEN = {**AT_ONCE, "cleaner.retention_delivered_h": 10.0, "cleaner.retention_discarded_h": 1.0}


def look(node: Rig, after_s: float = 0.0) -> Forecast:
    at = node.world.clock.now() + after_s
    targets = node.cleaner.context.routing.current().configuration.targets
    return forecast(node.spool.database, retention_at(at, node.settings.cleaner, targets), at)


def fill(node: Rig) -> None:
    node.publish(archive=48.0, pacs=None)
    node.series(20, targets=("archive", "pacs"))
    node.series(21, targets=("archive",), images=3)
    for study, outcome in enumerate(["delivered", "discard", "hold", "parked", "in_delivery", "closed", "open"], 1):
        node.series(study, outcome)


@pytest.mark.parametrize("hours", [0, 0.5, 2, 11, 49, 1000])
def test_it_tells_beforehand_what_the_cleaner_does(cleaner, hours):
    node: Rig = cleaner(**TEN)
    fill(node)
    told = look(node, hours * HOUR + 1)
    before = node.files()
    node.after(hours * HOUR + 1)
    deleted = node.spool.arrivals.list(state="deleted", limit=1000)
    assert (told.total.series, told.total.images) == (len(deleted), sum(row["images"] for row in deleted))
    assert told.total.bytes == sum(row["bytes"] for row in deleted)
    assert before - node.files() == told.total.images
    assert told.total.series + sum(kept.amount.series for kept in told.kept) == 9


def test_it_says_what_is_kept_why_and_when_the_first_may_go(cleaner):
    node: Rig = cleaner(**TEN)
    fill(node)
    now = node.world.clock.now()
    kept = {one.why: one for one in look(node, 2 * HOUR).kept}
    assert kept["images still come in"].amount.series == 1
    assert kept["held until a person releases it"].goes_at is None
    assert kept["not delivered everywhere yet"].amount.series == 2
    young = kept["delivered (archive, pacs): younger than its retention"]
    assert young.goes_at == pytest.approx(now + 48 * HOUR, abs=60)
    (goes,) = look(node, 2 * HOUR).goes
    assert (goes.state, goes.targets, goes.amount.images) == ("discarded", [], 2)


def test_what_something_still_needs_is_not_counted_as_going(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    arrival = node.series(1)
    with node.spool.database.write() as tx:  # as no step of the program does
        tx.execute("UPDATE delivery SET state = 'parked' WHERE arrival = ?", (arrival,))
    told = look(node, 10)
    assert told.total.series == 0 and told.goes == []
    assert "still needed" in told.kept[-1].why and told.kept[-1].amount.series == 1


def test_quarantined_objects_are_kept_or_go(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    node.world.send(node.world.connect(), TestImage(), reason="cannot be read")
    assert look(node, 1e6).quarantined_kept.images == 1
    node.settings = type(node.settings).model_validate(
        {**dict(node.settings), "cleaner": {**dict(node.settings.cleaner), "retention_quarantined_h": 24.0}}
    )
    assert look(node, HOUR).quarantined_goes.images == 0
    told = look(node, 25 * HOUR)
    assert (told.quarantined_goes.images, told.quarantined_kept.images) == (1, 0) and told.quarantined_goes.bytes > 0


def test_an_empty_node_has_nothing_to_tell(cleaner):
    told = look(cleaner())
    assert (told.goes, told.kept, told.total.series, told.deleting) == ([], [], 0, 0)
