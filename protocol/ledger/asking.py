"""One arrival of the past as a case for rules, out of what the ledger keeps. It only reads."""

from __future__ import annotations

from datetime import tzinfo

from protocol.errors import NotFound
from protocol.ledger.engine import reader, reading
from protocol.ledger.recorded import recorded_arrival
from protocol.routing.backtest.asked import History, asked_since
from protocol.routing.backtest.cases import Past, Reads
from protocol.routing.judging import Case
from protocol.routing.model import RoutingConfiguration


def recorded_case(
    url: str, node: str, number: int, configuration: RoutingConfiguration, zone: tzinfo | None, versions: History
) -> tuple[Case, list[str]]:
    """The case of a recorded arrival, and for each rule that the kept values cannot tell a line that says so.

    `versions` of the routing know which unusual elements were read then.

    Raises NotFound if its header values are not there (any more), LedgerUnavailable.
    """
    engine = reader(url)
    try:
        with reading(engine) as connection:
            record = recorded_arrival(connection, node, number)
    finally:
        engine.dispose()
    if record is None:
        raise NotFound(f"the ledger keeps no header values of arrival {number} (see ledger.headers_days)")
    since = min(one.received for one in (record, *record.earlier))
    reads = Reads(configuration, asked=asked_since(versions, since, configuration))
    reads.each_image = True  # one arrival is small: show what differs between its images, whatever the rules read
    reads.of_images = reads.of_families
    past = Past(record, reads, zone)
    told = [(rule.name, past.untold(rule)) for rule in configuration.rules]
    return past.case({}, went=bool(record.earlier)), [f"rule {name} cannot be told: {why}" for name, why in told if why]
