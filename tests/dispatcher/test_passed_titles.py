"""From a scanner's AE title to the one that a real target sees: spool, slot and pynetdicom's SCP."""

from __future__ import annotations

import pytest
from dispatcher_fakes import FAST, FixedRouting, make_slot, receive, route, series, states
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage

from actors.targets.registry import make_target
from protocol.clock import SystemClock
from protocol.spool import open_spool

HOST = "127.0.0.1"


@pytest.mark.slow
def test_a_pacs_sees_each_scanners_own_title_though_its_series_come_right_after_each_other(tmp_path):
    seen = []

    def stored(event):
        seen.append((event.assoc.requestor.ae_title, event.assoc.requestor.primitive.called_ae_title))
        return 0x0000

    peer = AE()
    peer.add_supported_context(CTImageStorage, ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"])
    server = peer.start_server((HOST, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, stored)])
    spool = open_spool(tmp_path, create=True)
    try:
        port = server.server_address[1]
        passed = {"port": port, "pass_calling_ae": True, "pass_called_ae": True, "retry": FAST}
        slot = make_slot(spool, FixedRouting({"pacs": passed}), SystemClock(), lambda name: None, make=make_target)
        for number, scanner in enumerate(["MR1", "CT1", "CT1"]):
            route(spool, receive(spool, series(number, 2), calling_ae=scanner), "pacs")
            assert slot.run_once()
        slot.close()
        assert states(spool) == ["delivered"] * 3
        assert seen == [("MR1", "SCANPOST")] * 2 + [("CT1", "SCANPOST")] * 4
    finally:
        spool.close()
        server.shutdown()
