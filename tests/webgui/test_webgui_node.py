"""The node as pages ask it: acts are answered, a ledger that is away is said, and nothing waits for ever."""

import pytest

from protocol.errors import LedgerUnavailable, SpoolMissing
from protocol.settings import load_settings
from webgui.node import Node


@pytest.fixture
def node(real):
    made = Node(real.settings, real.clock)
    yield made
    made.close()


async def test_an_act_is_carried_out_and_answered(real, node):
    real.answering()
    arrival = real.arrival()
    command = await node.act("series.hold", "ann", {"ids": [arrival], "reason": "wrong patient"})
    assert command.state == "done"
    assert (await node.spool(lambda spool: spool.arrivals.get(arrival)))["state"] == "held"


async def test_without_a_router_an_act_is_written_down_and_not_waited_for(real, node):
    command = await node.act("series.hold", "ann", {"ids": [real.arrival()]}, wait_s=3600)
    assert command.state == "new"


async def test_a_ledger_that_is_not_there_is_said_and_the_spool_answers_all_the_same(real, node):
    with pytest.raises(LedgerUnavailable):
        await node.ledger(lambda connection: None)
    assert await node.spool(lambda spool: spool.arrivals.list()) == []


async def test_before_the_first_start_the_spool_is_missing(tmp_path, real):
    empty = Node(load_settings(home=tmp_path / "nothing", environ={}), real.clock)
    with pytest.raises(SpoolMissing, match="scanpost up"):
        await empty.spool(lambda spool: spool.arrivals.list())
    empty.close()
